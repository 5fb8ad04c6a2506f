"""BaseCommands: the usual order, any other order, and what is no command; and random bytes for the whole scanner."""
from mpy_pulsar.errors import ProtocolError
from mpy_pulsar.wire.scanner import Fields, each, scan_command, varint
from mpy_pulsar.wire.writer import message
from tests.unit.support import raises
from tests.unit.wire_support import Random

FUZZ_CASES = 3000


def _command(data, highest=15):
    """Scan the command `data` in the middle of a buffer; its type, the fields, the buffer."""
    buffer = b"\x08\x05" + data + b"\xff" * 20
    fields = Fields(highest)
    return scan_command(fields, buffer, 2, 2 + len(data)), fields, buffer


def _refused(data):
    for behind in (b"\xff" * 20, b"", bytes(20)):
        error = raises(ProtocolError, scan_command, Fields(), b"\x08\x05" + data + behind, 2, 2 + len(data))
        assert error.offset >= 2, error


def test_every_type_in_the_usual_order():
    for kind in range(2, 128):
        for size in (0, 1, 100, 127, 128, 16383, 16384, 20000) if kind in (2, 15, 16, 127) else (0, 120, 200):
            kind_read, fields, buffer = _command(message(1, kind, kind, (1, 7, 2, b"x" * size)))
            assert kind_read == kind
            assert fields.integer(buffer, 1) == 7 and fields.bytes(buffer, 2) == b"x" * size


def test_a_command_without_any_field():
    kind, fields, _ = _command(b"\x08\x12\x92\x01\x00")
    assert kind == 18 and fields.value[1:] == [-1] * 15


def test_other_orders_and_other_forms():
    for kind in (2, 7, 17, 37, 127):
        body = message(kind, (1, 7, 2, "text"))
        kind_field = message(1, kind)
        for data in (
            body + kind_field,
            kind_field + message(3, 9) + body,
            kind_field + message(100, "unknown", 2000, 5) + body,
            message(1, 3) + kind_field + body,  # the last type wins
            kind_field + message(kind, (1, 1)) + body,
            b"\x08" + bytes((kind | 128, 0)) + body,  # a type longer than it need be
            b"\x88\x00" + bytes((kind,)) + body,
        ):
            kind_read, fields, buffer = _command(data)
            assert kind_read == kind, data
            assert fields.integer(buffer, 1) == 7 and fields.text(buffer, 2) == "text"


def test_unknown_types_are_told_and_have_no_fields():
    for kind in (128, 129, 200, 255, 256, 16384, 1 << 28, (1 << 28) + 6, (1 << 32) + 6, (1 << 64) - 1):
        for body in (b"", message(3, (1, 7)), message(kind & 1023 or 1024, (1, 7))):
            kind_read, fields, _ = _command(message(1, kind) + body)
            assert kind_read == kind
            assert fields.value == [-1] * 16


def test_what_only_looks_like_the_usual_order():
    # A type of three bytes whose last two might be the tag of a type 133: what follows is field 2.
    unknown = b"\x08\x85\xaa\x08" + b"\x12\x11" + bytes(8) + b"\x7a\x07abcdefg"
    assert _command(unknown)[0] == 5 + (42 << 7) + (8 << 14)
    # A length of three bytes of which the first two, and the third as part of the message, would fit.
    _refused(b"\x08\x07\x3a\x80\x81" + b"\x08\x01\x7a\xfa\x80\x01" + bytes(16506))
    # Field 2 where the type belongs.
    _refused(b"\x10\x07\x3a\x02\x08\x07")


def test_commands_without_a_type_or_a_message():
    _refused(b"")
    _refused(message(7, (1, 7)))
    _refused(message(1, 7))
    _refused(message(1, 7, 8, (1, 7)))
    _refused(message(1, 7, 7, 5))  # a number where the message belongs
    _refused(b"\x0a\x05abcde" + message(5, (1, 7)))  # bytes where the type belongs
    _refused(b"\x08")
    _refused(b"\x08\x07\x3a")


def test_every_truncation_of_a_command():
    for body in (b"", b"x" * 10, b"x" * 140, b"x" * 17000):
        for kind in (7, 17):
            data = message(1, kind, kind, (1, 7, 2, body))
            for size in list(range(min(len(data), 160))) + [len(data) - 1]:
                _refused(data[:size])


def test_a_message_longer_or_shorter_than_its_command():
    for kind in (7, 17):
        data = bytearray(message(1, kind, kind, (1, kind, 2, b"x" * 20)))
        at = 3 if kind == 7 else 4
        for size in range(128):
            data[at] = size
            if size == 0 or size == 2:  # it ends between two fields, and what follows passes for fields of the command
                kind_read, fields, buffer = _command(bytes(data))
                assert kind_read == kind
                assert fields.integer(buffer, 1) == (kind if size else None) and fields.bytes(buffer, 2) is None
            elif size != 24:
                _refused(bytes(data))


def test_a_field_within_the_message_that_runs_past_it():
    # The length is right for the command but the field in it reaches behind it.
    _refused(b"\x08\x07\x3a\x03\x12\x05x")
    _refused(b"\x08\x07\x3a\x02\x08\xff")


def _corpus():
    return [
        message(1, 7, 7, (1, -1, 2, 5, 3, (1, 1 << 40, 2, 77))),
        message(1, 17, 17, (1, 4, 2, "producer", 3, 5, 4, b"")),
        message(1, 9, 9, (1, 1, 2, (1, 300, 2, 4, 3, -1), 3, 2, 4, [5, 1 << 63])),
        b"\xfa\xff\x03\x03abc\xf9\xff\x01" + bytes(8) + message(1, 2, 2, (1, "x" * 140)),
    ]


def _mutant(random, data):
    """`data` with a few bytes changed, cut out or put in; or random bytes."""
    if random.below(8) == 0:
        return random.data(random.below(40))
    data = bytearray(data)
    for _ in range(1 + random.below(3)):
        at = random.below(len(data)) if data else 0
        kind = random.below(4)
        if kind == 0:
            data = data[:at] + data[at + 1 + random.below(4):]
        elif kind == 1:
            data = data[:at] + random.data(random.below(4)) + data[at:]
        elif data:
            data[at] = (0x80, 0xFF, 0, random.below(256), data[at] ^ 1 << random.below(8))[random.below(5)]
    return data


def _read_everything(data, fields, nested):
    """All that a peer's bytes pass through; only ProtocolError may come out."""
    end = len(data)
    scan_command(fields, data, 0, end)
    for field in range(16):
        size = fields.value[field]
        if size >= 0:
            try:
                assert 0 <= fields.integer(data, field) < 1 << 64
            except ProtocolError:
                at = fields.start(field)
                assert 0 < at <= at + size <= end
                assert len(fields.bytes(data, field)) == size
                try:
                    fields.text(data, field)
                except ProtocolError:
                    pass
                nested.scan(data, at, at + size)
                for inner, inner_size in each(data, at, at + size, 1):
                    assert at < inner <= inner + inner_size <= at + size
                    if nested.at[1] < 0 and ~nested.at[1] == inner:
                        varint(data, inner)


def test_random_bytes_are_read_or_refused():
    random = Random(6)
    corpus = _corpus()
    fields = Fields()
    nested = Fields()
    refused = 0
    for case in range(FUZZ_CASES):
        data = _mutant(random, corpus[case % len(corpus)])
        try:
            _read_everything(data, fields, nested)
        except ProtocolError as error:
            refused += 1
            assert 0 <= error.offset <= len(data), error
        except Exception:
            print("the scanner fails on", bytes(data))
            raise
    assert FUZZ_CASES // 10 < refused < FUZZ_CASES * 9 // 10, refused
