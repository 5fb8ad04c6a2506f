"""The kernels in plain Python, byte by byte: slower, but they allocate nothing on any MicroPython.

A slice store `buffer[a:b] = data` would make a slice object (16 bytes of heap on a 32-bit board) each time.
"""
from array import array

from .crc32c import TABLE

_halves = array("H", (0, 0))
_BYTES = (bytes, bytearray, memoryview, array)


def _checksum(buffer, start, end):
    """Leave the CRC32C of buffer[start:end] in `_halves`: high, low."""
    table = TABLE
    low = high = 0xFFFF
    for at in range(start, end):
        index = (low ^ buffer[at]) & 255
        low = (low >> 8 | (high & 255) << 8) ^ table[index]
        high = high >> 8 ^ table[index | 256]
    _halves[0] = high ^ 0xFFFF
    _halves[1] = low ^ 0xFFFF


def put_checksum(buffer, at, end):
    """Write the CRC32C of buffer[at + 4:end] into the four bytes at `at`, big-endian."""
    _checksum(buffer, at + 4, end)
    for half in _halves:
        buffer[at] = half >> 8
        buffer[at + 1] = half & 255
        at += 2


def check(buffer, at, end):
    """Is the checksum at `at` that of buffer[at + 4:end]? bool."""
    _checksum(buffer, at + 4, end)
    for half in _halves:
        if buffer[at] != half >> 8 or buffer[at + 1] != half & 255:
            return False
        at += 2
    return True


def put_entry(buffer, at, payload, size):
    """Write a batch entry that is nothing but its payload; return its end.

    Four bytes of metadata size, SingleMessageMetadata with payload_size alone (field 3), the payload.
    """
    _refuse_other(payload)
    buffer[at] = buffer[at + 1] = buffer[at + 2] = 0
    metadata = at + 4
    buffer[metadata] = 0x18
    at = metadata + 1
    rest = size
    while rest > 127:
        buffer[at] = rest & 127 | 128
        rest >>= 7
        at += 1
    buffer[at] = rest
    at += 1
    buffer[metadata - 1] = at - metadata
    for index in range(size):
        buffer[at + index] = payload[index]
    return at + size


def copy(target, at, source, start, size):
    """target[at:at + size] = source[start:start + size]; within one buffer only towards its start."""
    _refuse_other(source)
    for index in range(size):
        target[at + index] = source[start + index]


def _refuse_other(payload):
    """TypeError for what has no bytes; the other kernels refuse it by themselves, while a list of small ints would do
    here."""
    if not isinstance(payload, _BYTES):
        raise TypeError("a message is bytes, or a bytearray, memoryview or array of bytes")
