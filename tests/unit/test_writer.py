"""Protobuf written right to left."""
from mpy_pulsar.wire.writer import Writer, message, room_for
from tests.unit.support import raises
from tests.unit.wire_support import Random, read_message, varint

# Each with both neighbours: the sizes of a number change here, and at 2^28 its two halves meet.
BORDERS = [0] + [1 << bits for bits in (7, 14, 21, 28, 29, 30, 31, 32, 35, 42, 49, 56, 62, 63)]


def _numbers():
    numbers = {0, (1 << 64) - 1}
    for border in BORDERS[1:]:
        numbers.update((border - 1, border, border + 1))
    return sorted(numbers)


def test_numbers_of_every_length():
    for value in _numbers():
        assert message(1, value) == b"\x08" + varint(value), value
        assert message(15, value) == b"\x78" + varint(value), value
        assert message(16, value) == b"\x80\x01" + varint(value), value
        assert message(2047, value) == b"\xf8\x7f" + varint(value), value


def test_the_number_of_two_halves_is_that_of_the_whole():
    for value in _numbers():
        writer = Writer(bytearray(20), 17)
        writer.number(3, value & 0xFFFFFFF, value >> 28)
        assert bytes(writer.buffer[writer.start:17]) == b"\x18" + varint(value), value
        assert bytes(writer.buffer[17:]) == b"\0\0\0"
        assert bytes(writer.buffer[:writer.start]) == bytes(writer.start)


def test_negative_numbers_are_ten_bytes():
    assert message(1, -1) == b"\x08" + b"\xff" * 9 + b"\x01"
    for value in (-1, -2, -127, -128, -(1 << 28), -(1 << 28) - 1, -(1 << 31), -(1 << 56), -(1 << 63)):
        data = message(1, value)
        assert len(data) == 11
        assert data[1:] == varint(value + (1 << 64)), value


def test_booleans_are_written_even_when_false():
    assert message(1, True, 2, False) == b"\x08\x01\x10\x00"


def test_strings_and_bytes():
    assert message(1, "") == b"\x0a\x00" == message(1, b"")
    assert message(2, "grün €") == b"\x12\x09gr\xc3\xbcn \xe2\x82\xac"
    assert message(2, "\U0001f600" * 3) == b"\x12\x0c" + b"\xf0\x9f\x98\x80" * 3
    assert message(2, b"\0\xff", 3, bytearray(b"ab")) == b"\x12\x02\0\xff\x1a\x02ab"


def test_lengths_of_one_to_three_bytes():
    for size in (0, 1, 126, 127, 128, 129, 16383, 16384):
        data = Random(size).data(size)
        assert message(1, data) == b"\x0a" + varint(size) + data
        assert message(1, bytes(data)) == b"\x0a" + varint(size) + data


def test_none_leaves_a_field_out():
    assert message(1, None, 2, 5, 3, None) == b"\x10\x05"
    assert message(1, None) == message() == b""


def test_nested_messages():
    assert message(1, ()) == b"\x0a\x00"
    assert message(1, (2, 3)) == b"\x0a\x02\x10\x03"
    assert message(1, (2, (3, (4, (5, "x"))))) == b"\x0a\x09\x12\x07\x1a\x05\x22\x03\x2a\x01x"
    long = message(1, (1, "a" * 200, 2, None), 2, -1)
    assert long == b"\x0a\xcb\x01\x0a\xc8\x01" + b"a" * 200 + b"\x10" + b"\xff" * 9 + b"\x01"


def test_repeated_fields_keep_their_order():
    assert message(1, [1, 2, 300]) == b"\x08\x01\x08\x02\x08\xac\x02"
    assert message(1, ["a", "b"], 2, 7) == b"\x0a\x01a\x0a\x01b\x10\x07"
    assert message(6, [(1, "k", 2, "v"), (1, "", 2, "w")]) == b"\x32\x06\x0a\x01k\x12\x01v\x32\x05\x0a\x00\x12\x01w"
    assert message(1, [], 2, 1) == b"\x10\x01"


def _random_value(random, depth):
    kind = random.below(9 if depth else 6)
    if kind == 0:
        return None
    if kind == 1:
        return (1 << random.below(65)) - random.below(2)
    if kind == 2:
        return -(1 << random.below(64))
    if kind == 3:
        return "aé€\U0001f600"[random.below(4)] * random.below(200)
    if kind == 4:
        return random.data(random.below(200))
    if kind == 5:
        return random.below(2) == 1
    if kind == 6:
        return [_random_value(random, 0) for _ in range(random.below(4))]
    return _random_pairs(random, depth - 1)


def _random_pairs(random, depth):
    pairs = []
    field = 0
    for _ in range(random.below(5)):
        field += 1 + random.below(500)
        pairs.append(field)
        pairs.append(_random_value(random, depth))
    return tuple(pairs)


def test_room_for_is_an_upper_bound():
    random = Random(5)
    for _ in range(1500):
        pairs = _random_pairs(random, 3)
        room = room_for(pairs)
        spare = 300  # were room_for too small, `start` would show it here instead of running out of the buffer
        writer = Writer(bytearray(room + spare), room + spare)
        writer.fields(pairs)
        assert writer.start >= spare, pairs
    for value in (-1, (1 << 64) - 1, "\U0001f600" * 9, b"x" * 16384, [-1] * 50, [()] * 9, (2047, (2047, "€"))):
        writer = Writer(bytearray(20000), 20000)
        writer.fields((2047, value))
        assert 20000 - writer.start <= room_for((2047, value)), value


def test_fields_leave_what_stands_after_the_end_alone():
    writer = Writer(bytearray(b"\xee" * 60), 50)
    writer.fields((1, "abc", 2, (1, -5)))
    assert bytes(writer.buffer[50:]) == b"\xee" * 10
    assert bytes(writer.buffer[:writer.start]) == b"\xee" * writer.start
    assert read_message(writer.buffer[writer.start:50])[1] == b"abc"


def test_uint32_is_big_endian():
    writer = Writer(bytearray(8), 8)
    writer.uint32(0x3FFFFFFF)
    writer.uint32(258)
    assert bytes(writer.buffer) == b"\0\0\x01\x02\x3f\xff\xff\xff"


def test_a_value_of_no_kind_that_protobuf_has_is_an_error():
    raises(TypeError, message, 1, object())
    raises(TypeError, message, 1, {})
