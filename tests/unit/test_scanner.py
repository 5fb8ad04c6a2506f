"""The scanner: every field where it is, and ProtocolError for whatever is not a message; it trusts no length."""
from mpy_pulsar.errors import ProtocolError
from mpy_pulsar.wire.scanner import Fields, each, signed, uint32, varint
from mpy_pulsar.wire.writer import message
from tests.unit.support import raises
from tests.unit.wire_support import varint as write_varint

ALL_FIELDS = (1, 300, 2, "text", 3, -1, 4, (1, 1 << 40, 2, "nested"), 5, [1, 2, 3], 15, b"\xff" * 130)
# What stands behind a message in the read buffer must never be read as a part of it.
_BEHIND = b"\xff" * 20


def _scan(data, highest=15):
    """Scan `data` in the middle of a larger buffer; the fields and that buffer."""
    buffer = bytearray(b"\x08\x01" + data + _BEHIND)
    fields = Fields(highest)
    fields.scan(buffer, 2, 2 + len(data))
    return fields, buffer


def _refused(data, offset=None, highest=15):
    """Scanning `data` must raise a ProtocolError with an offset, whatever stands behind it, or nothing at all."""
    for behind in (_BEHIND, b"", bytes(20)):
        buffer = b"\x08\x01" + data + behind
        error = raises(ProtocolError, Fields(highest).scan, buffer, 2, 2 + len(data))
        assert 2 <= error.offset <= len(buffer), error
        assert "offset %d" % error.offset in str(error)
        if offset is not None:
            assert error.offset == offset + 2, error


def test_all_kinds_of_fields():
    fields, buffer = _scan(message(*ALL_FIELDS))
    assert fields.value[1] == 300 == fields.integer(buffer, 1)
    assert fields.text(buffer, 2) == "text" and fields.bytes(buffer, 2) == b"text"
    assert fields.integer(buffer, 3) == (1 << 64) - 1
    assert signed(fields.integer(buffer, 3)) == -1
    assert fields.value[3] == (1 << 28) - 1
    assert fields.value[5] == 3  # the last one wins
    assert fields.value[15] == 130 and buffer[fields.start(15)] == 0xFF
    nested = Fields()
    at = fields.start(4)
    nested.scan(buffer, at, at + fields.value[4])
    assert nested.integer(buffer, 1) == 1 << 40 and nested.text(buffer, 2) == "nested"


def test_absent_fields():
    fields, buffer = _scan(b"")
    assert fields.value == [-1] * 16
    assert fields.integer(buffer, 1) is None and fields.integer(buffer, 1, 7) == 7
    assert fields.bytes(buffer, 1) is None and fields.text(buffer, 1) == ""
    fields, buffer = _scan(message(1, 0, 2, ""))
    assert fields.integer(buffer, 1, 7) == 0
    assert fields.bytes(buffer, 2) == b"" and fields.value[2] == 0


def test_a_second_scan_forgets_the_first():
    fields, _ = _scan(message(*ALL_FIELDS))
    data = message(2, 5)
    fields.scan(data, 0, len(data))
    assert [field for field in range(16) if fields.value[field] >= 0] == [2]


def test_numbers_at_every_border():
    for bits in range(65):
        for value in ((1 << bits) - 1, (1 << bits) & (1 << 64) - 1):
            fields, buffer = _scan(message(1, value))
            assert fields.integer(buffer, 1) == value
            assert fields.value[1] == value & 0xFFFFFFF
            assert signed(value) == (value if value < 1 << 63 else value - (1 << 64))


def test_every_truncation_of_a_message():
    data = message(*ALL_FIELDS)
    whole = set()
    pairs = ()
    for index in range(0, len(ALL_FIELDS), 2):
        values = ALL_FIELDS[index + 1] if isinstance(ALL_FIELDS[index + 1], list) else [ALL_FIELDS[index + 1]]
        for value in values:
            whole.add(len(message(*pairs)))
            pairs += (ALL_FIELDS[index], value)
    for size in range(len(data)):
        if size in whole:
            _scan(data[:size])  # it ends between two fields: a message
        else:
            _refused(data[:size])


def test_a_number_may_be_longer_than_it_need_but_not_than_ten_bytes():
    for size in range(2, 11):
        fields, buffer = _scan(b"\x08\x85" + b"\x80" * (size - 2) + b"\x00\x10\x01")
        assert fields.integer(buffer, 1) == 5 == fields.value[1]
        assert fields.integer(buffer, 2) == 1
    _refused(b"\x08" + b"\x80" * 10 + b"\x00", 1)
    _refused(b"\x08" + b"\xff" * 10 + b"\x01\x10\x01", 1)
    _refused(b"\x08" + b"\xff" * 300 + b"\x01", 1)


def test_the_bits_of_a_number_above_64_are_dropped():
    fields, buffer = _scan(b"\x08" + b"\xff" * 9 + b"\x7f")
    assert fields.integer(buffer, 1) == (1 << 64) - 1


def test_lengths_that_cannot_be():
    _refused(b"\x0a\x80\x80\x80\x80\x01")  # 2^28
    _refused(b"\x0a\xff\xff\xff\xff\x0f")  # 2^32 - 1, or -1
    _refused(b"\x0a" + b"\xff" * 9 + b"\x01")  # -1 in 64 bits
    _refused(b"\x0a\xff\xff\xff\x7f")  # 2^28 - 1
    _refused(b"\x0a" + b"\x80" * 11)
    for size in range(1, 25):  # the bytes behind the message would do
        _refused(b"\x0a" + write_varint(size) + b"x" * (size - 1))


def test_wire_types_of_groups_and_those_that_do_not_exist():
    for kind in (3, 4, 6, 7):
        for field in (1, 15, 16, 2047, 100000):
            tag = write_varint(field << 3 | kind)
            _refused(tag + b"\x00" * 8, len(tag))
            _refused(b"\x10\x01" + tag + b"\x00", 2 + len(tag))


def test_unknown_fields_are_passed_over():
    contents = {
        0: (b"\x00", b"\xff" * 9 + b"\x01"), 1: (b"\xff" * 8,), 2: (b"\x00", b"\x03\x0b\xff\xff"), 5: (b"\xff" * 4,)
    }
    for kind in contents:
        for content in contents[kind]:
            for field in (16, 100, 2048, 1 << 18, 1 << 25, (1 << 29) - 1):
                unknown = write_varint(field << 3 | kind) + content
                data = message(1, 5) + unknown + message(2, "b")
                fields, buffer = _scan(data)
                assert fields.integer(buffer, 1) == 5 and fields.text(buffer, 2) == "b"
                assert list(fields.value[3:]) == [-1] * 13
                for size in range(3, 2 + len(unknown)):
                    _refused(data[:size])


def test_tags_of_up_to_five_bytes():
    for size in range(2, 5):
        fields, buffer = _scan(b"\xf8" + b"\xff" * (size - 1) + b"\x01\x07\x08\x09")
        assert fields.integer(buffer, 1) == 9
    _refused(b"\xf8\xff\xff\xff\xff\x01\x07")
    _refused(b"\xf8" + b"\xff" * 30 + b"\x01\x07")
    _refused(b"\x88" + b"\x80" * 5 + b"\x00\x07")


def test_a_number_where_bytes_belong_and_the_reverse():
    fields, buffer = _scan(b"\x08\x05\x12\x01x")
    for read in (fields.bytes, fields.text):
        assert raises(ProtocolError, read, buffer, 1).offset == 3
    assert raises(ProtocolError, fields.start, 1).offset == 3
    assert raises(ProtocolError, fields.integer, buffer, 2).offset == 6


def test_a_field_of_fixed_width_is_none_of_ours():
    for content in (b"\x09" + b"\xff" * 8, b"\x0d" + b"\xff" * 4):
        data = b"\x10\x01" + content
        fields = Fields()
        fields.scan(data, 0, len(data))  # nothing behind it: 0xFF would be read as a number without an end
        assert fields.integer(data, 1, 7) == 7 and fields.bytes(data, 1) is None
        assert list(each(data, 0, len(data), 1)) == []
        for size in range(3, len(data)):
            _refused(data[:size])


def test_the_last_value_wins():
    fields, buffer = _scan(message(1, [7, 1 << 33], 2, ["first", "second", ""], 3, 1))
    assert fields.integer(buffer, 1) == 1 << 33
    assert fields.text(buffer, 2) == "" and fields.value[3] == 1


def test_text_that_is_not_utf_8():
    fields, buffer = _scan(message(1, b"ab\xff\xfe", 2, "é€"))
    assert raises(ProtocolError, fields.text, buffer, 1).offset == 4
    assert fields.text(buffer, 2) == "é€"


def test_each_value_of_a_repeated_field():
    unknown = b"\xf9\xff\x01" + bytes(8) + b"\xfd\xff\x01" + bytes(4) + b"\xfa\xff\x01\x03abc\xf8\xff\x01\x80\x01"
    data = b"\x00" + message(1, [5, 300, -1]) + unknown + message(2, ["a", "", "ccc"], 1, 6) + _BEHIND
    end = len(data) - len(_BEHIND)
    Fields().scan(data, 1, end)
    assert [varint(data, at) for at, _ in each(data, 1, end, 1)] == [5, 300, (1 << 64) - 1, 6]
    assert [size for _, size in each(data, 1, end, 1)] == [1, 2, 10, 1]
    assert [data[at:at + size] for at, size in each(data, 1, end, 2)] == [b"a", b"", b"ccc"]
    assert list(each(data, 1, end, 3)) == []
    assert [data[at:at + size] for at, size in each(data, 1, end, 4095)] == [b"abc", b"\x80\x01"]


def test_packed_numbers_come_in_one_piece():
    data = message(4, [1]) + message(4, b"\x02\xac\x02")
    assert [data[at:at + size] for at, size in each(data, 0, len(data), 4)] == [b"\x01", b"\x02\xac\x02"]


def test_a_number_without_an_end():
    assert raises(ProtocolError, varint, b"\xff" * 2000, 3).offset == 13


def test_uint32():
    assert uint32(b"\xff\x00\x00\x01\x02", 1) == 258
    assert uint32(b"\x0f\xff\xff\xff", 0) == (1 << 28) - 1
    for first in (16, 128, 255):
        assert raises(ProtocolError, uint32, b"\0" + bytes((first, 0, 0, 0)), 1).offset == 1
