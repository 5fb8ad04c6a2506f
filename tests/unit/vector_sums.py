"""Checksums, numbers, zlib and hashes in a replay."""
import io

from mpy_pulsar.wire.kernels import check, put_checksum
from mpy_pulsar.wire.scanner import Fields, varint
from mpy_pulsar.wire.writer import Writer, message
from tests.unit.vector_file import from_hex, unescape
from tests.unit.vector_same import Difference, same

_MASK32 = 0xFFFFFFFF
_MASK31 = 0x7FFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
_SMALL_WINDOW = 10  # 2^10 bytes: vectors are short, and 32 KB would be half of a small board's heap

try:
    from deflate import ZLIB, DeflateIO

    def inflate(data, size):
        """The first `size` bytes that a zlib stream holds; its end need not be there."""
        if not size:
            return b""
        return DeflateIO(io.BytesIO(data), ZLIB, _SMALL_WINDOW).read(size)

except ImportError:
    import zlib

    def inflate(data, size):
        """The first `size` bytes that a zlib stream holds; its end need not be there."""
        return zlib.decompressobj().decompress(data, size) if size else b""


def replay_sum(vector):
    """Replay a line of one kind; True: by the functions that the client itself calls."""
    words = vector.words
    if vector.kind == "crc32c":
        _checksum(from_hex(words[0]), from_hex(words[1]))
    elif vector.kind == "varint":
        _number(int(words[0]), from_hex(words[1]))
    elif vector.kind == "zlib":
        raw = from_hex(words[0])
        same("inflate", raw, inflate(from_hex(words[1]), len(raw)))
        return False
    else:
        _hashes(words)
        return False
    return True


def _checksum(data, expected):
    for start in (0, 3):  # at any place in a buffer
        buffer = bytearray(start + 4) + data + b"!"
        end = len(buffer) - 1
        put_checksum(buffer, start, end)
        same("put_checksum", expected, bytes(buffer[start:start + 4]))
        buffer[start:start + 4] = expected
        same("check", True, check(buffer, start, end))
        for at in range(start, end):
            buffer[at] ^= 4
            same("check of a damaged byte", False, check(buffer, start, end))
            buffer[at] ^= 4


def _number(value, expected):
    unsigned = value & _MASK64
    writer = Writer(bytearray(12), 11)
    writer.varint(unsigned & 0xFFFFFFF, unsigned >> 28)
    same("Writer.varint", expected, bytes(writer.buffer[writer.start:11]))
    same("varint", unsigned, varint(b"\0" + expected + b"\xff", 1))
    data = message(5, value)
    same("field", b"\x28" + expected, data)
    fields = Fields()
    fields.scan(data, 0, len(data))
    same("Fields.integer", unsigned, fields.integer(data, 5))
    same("Fields.value", unsigned & 0xFFFFFFF, fields.value[5])


def _hashes(words):
    key = " ".join(words[4 + int(words[4]) + 1:])
    if key[:1] != "=":
        raise Difference("a hash's line ends in =KEY")
    key = unescape(key[1:])
    data = key.encode()
    same("UTF-8", from_hex(words[0]), data)
    murmur = murmur3_32(data) & _MASK31
    java = java_string_hash(key)
    same("murmur3_32", int(words[1]), murmur)
    same("java_string_hash", int(words[2]), java)
    same("key_shared_slot", int(words[3]), murmur % 65536 or 1)
    for word in words[5:5 + int(words[4])]:
        count, murmur_place, java_place = [int(number) for number in word.split(":")]
        same("murmur3_32 mod %d" % count, murmur_place, murmur % count)
        same("java_string_hash mod %d" % count, java_place, java % count)


# The two hashes that spread keys over partitions. The client gets its own with partitions; until then these check the
# vectors that are stored for them.


def murmur3_32(data):
    """MurmurHash3, x86, 32 bits, seed 0."""
    value = 0
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        value ^= _mixed(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24)
        value = (_rotated(value, 13) * 5 + 0xE6546B64) & _MASK32
    rest = 0
    for at in range(len(data) - 1, whole - 1, -1):
        rest = rest << 8 | data[at]
    value ^= _mixed(rest) ^ len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK32
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK32
    return value ^ value >> 16


def _mixed(block):
    return _rotated(block * 0xCC9E2D51 & _MASK32, 15) * 0x1B873593 & _MASK32


def _rotated(value, bits):
    return (value << bits | value >> 32 - bits) & _MASK32


def java_string_hash(text):
    """Java's String.hashCode, over UTF-16 units, without the sign bit."""
    value = 0
    for character in text:
        code = ord(character)
        units = (code,) if code < 0x10000 else (0xD7C0 + (code >> 10), 0xDC00 | code & 0x3FF)
        for unit in units:
            value = (value * 31 + unit) & _MASK32
    return value & _MASK31
