"""The kernels (plain, the interpreter's own, viper where it compiles): right, and the same byte for byte."""
from mpy_pulsar.wire import kernels, kernels_plain
from tests.unit.support import raises
from tests.unit.wire_support import Random, crc32c, varint

try:
    from mpy_pulsar.wire import kernels_viper
except (ImportError, SyntaxError, ValueError):  # CPython, and ports without an emitter
    kernels_viper = None

ALL = [module for module in (kernels_plain, kernels, kernels_viper) if module]

# Numbers of one to three bytes and both sides of each border (tests/twin has the next one: 2 MB do not fit here).
SIZES = list(range(301)) + [16383, 16384]
_MARGIN = 20


def _entry(payload):
    metadata = b"\x18" + varint(len(payload))
    return bytes((0, 0, 0, len(metadata))) + metadata + bytes(payload)


def _each_form(payload):
    """The same payload as users hand it over: bytes, bytearray, memoryviews, one of them of a part."""
    longer = bytearray(b"abc") + payload + b"de"
    return [bytes(payload), bytearray(payload), memoryview(payload), memoryview(longer)[3:3 + len(payload)]]


def test_the_interpreters_own_kernels_are_the_fast_ones_it_can_have():
    if kernels_viper:
        assert kernels.put_entry is kernels_viper.put_entry
        assert kernels.put_checksum is kernels_viper.put_checksum
    assert len(ALL) >= 2


def test_known_checksums():
    known = (
        (b"123456789", b"\xe3\x06\x92\x83"),
        (b"a", b"\xc1\xd0\x43\x30"),
        (bytes(32), b"\x8a\x91\x36\xaa"),
        (b"", b"\0\0\0\0"),
    )
    for data, checksum in known:
        assert crc32c(data) == checksum
        for module in ALL:
            buffer = bytearray(b"\xaa\xbb____" + data + b"\xcc")
            end = 6 + len(data)
            assert not data or not module.check(buffer, 2, end)
            module.put_checksum(buffer, 2, end)
            assert buffer == b"\xaa\xbb" + checksum + data + b"\xcc"
            assert module.check(buffer, 2, end)


def test_checksums_of_every_size_agree_with_the_definition():
    random = Random(1)
    for size in SIZES:
        data = random.data(size)
        want = crc32c(data)
        buffer = bytearray(4) + data
        for module in ALL:
            buffer[0] = buffer[1] = buffer[2] = buffer[3] = 0x55
            module.put_checksum(buffer, 0, size + 4)
            assert bytes(buffer[:4]) == want, (module, size)
            assert module.check(buffer, 0, size + 4)
        assert buffer[4:] == data


def test_check_finds_every_flipped_bit():
    random = Random(2)
    buffer = bytearray(b"xx____") + random.data(40) + b"yy"
    end = len(buffer) - 2
    kernels_plain.put_checksum(buffer, 2, end)
    for module in ALL:
        for at in range(len(buffer)):
            inside = 2 <= at < end
            for bit in range(8):
                buffer[at] ^= 1 << bit
                assert module.check(buffer, 2, end) is not inside, (module, at, bit)
                buffer[at] ^= 1 << bit


def test_check_takes_a_memoryview():
    buffer = bytearray(b"____some bytes")
    kernels_plain.put_checksum(buffer, 0, len(buffer))
    view = memoryview(buffer)
    for module in ALL:
        assert module.check(view, 0, len(buffer))
        assert not module.check(view, 0, len(buffer) - 1)


def test_entries_of_every_size_and_form():
    random = Random(3)
    for size in SIZES:
        payload = random.data(size)
        want = _entry(payload)
        for module in ALL:
            for form in _each_form(payload):
                buffer = bytearray(b"\xee" * (len(want) + _MARGIN))
                end = module.put_entry(buffer, 7, form, size)
                assert end == 7 + len(want), (module, size)
                assert bytes(buffer[7:end]) == want, (module, size)
                assert bytes(buffer[:7]) == b"\xee" * 7
                assert bytes(buffer[end:]) == b"\xee" * (_MARGIN - 7)


def test_copies_of_every_size_and_form():
    random = Random(4)
    for size in SIZES:
        source = random.data(size + 3)
        for module in ALL:
            for form in _each_form(source):
                target = bytearray(b"\xee" * (size + 9))
                module.copy(target, 4, form, 2, size)
                assert bytes(target[4:4 + size]) == bytes(source[2:2 + size]), (module, size)
                assert bytes(target[:4]) == b"\xee" * 4
                assert bytes(target[4 + size:]) == b"\xee" * 5


def test_copy_within_one_buffer_towards_its_start():
    for size in (0, 1, 5, 90):
        for distance in (1, 2, 50):
            for module in ALL:
                buffer = Random(size + distance).data(200)
                want = bytes(buffer[distance + 3:distance + 3 + size])
                rest = bytes(buffer[3 + size:])
                module.copy(buffer, 3, buffer, distance + 3, size)
                assert bytes(buffer[3:3 + size]) == want
                assert bytes(buffer[3 + size:]) == rest and len(buffer) == 200


def test_what_holds_numbers_and_no_bytes_is_refused():
    for module in ALL:
        for payload in ([1, 2], (1, 2)):  # a str is refused before
            raises(TypeError, module.put_entry, bytearray(20), 0, payload, 2)
            raises(TypeError, module.copy, bytearray(20), 0, payload, 0, 2)
