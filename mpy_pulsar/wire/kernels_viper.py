"""The kernels for chips whose MicroPython compiles viper code: about 65 times as fast, and they allocate nothing.

Pointers are not bounds-checked: callers pass offsets that they have checked. See kernels_plain for what each does.
"""
import micropython

from .crc32c import TABLE

_expected = bytearray(4)


@micropython.viper
def _checksum(buffer: ptr8, start: int, end: int, table: ptr16, target: ptr8, at: int):
    crc = uint(0xFFFFFFFF)
    i = start
    while i < end:
        index = (int(crc) ^ buffer[i]) & 255
        crc = (crc >> 8) ^ uint(table[index | 256] << 16 | table[index])
        i += 1
    value = int(crc ^ uint(0xFFFFFFFF))
    target[at] = value >> 24
    target[at + 1] = value >> 16
    target[at + 2] = value >> 8
    target[at + 3] = value


def put_checksum(buffer, at, end):
    _checksum(buffer, at + 4, end, TABLE, buffer, at)


def check(buffer, at, end):
    _checksum(buffer, at + 4, end, TABLE, _expected, 0)
    for byte in _expected:
        if buffer[at] != byte:
            return False
        at += 1
    return True


@micropython.viper
def put_entry(buffer: ptr8, at: int, payload: ptr8, size: int) -> int:
    buffer[at] = 0
    buffer[at + 1] = 0
    buffer[at + 2] = 0
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
    i = 0
    while i < size:
        buffer[at + i] = payload[i]
        i += 1
    return at + size


@micropython.viper
def copy(target: ptr8, at: int, source: ptr8, start: int, size: int):
    i = 0
    while i < size:
        target[at + i] = source[start + i]
        i += 1
