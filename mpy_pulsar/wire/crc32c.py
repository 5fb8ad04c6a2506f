"""CRC32C (Castagnoli) by a table of 16-bit halves, so that no intermediate leaves MicroPython's small integers.

TABLE[i] is the low half of the usual table's entry i, TABLE[256 + i] the high half: 1 KB of RAM, for the plain kernels
and the viper ones.
"""
from array import array

from ..port import const

_POLYNOMIAL_LOW = const(0x3B78)
_POLYNOMIAL_HIGH = const(0x82F6)


def _table():
    table = array("H", range(512))
    for index in range(256):
        low = index
        high = 0
        for _ in range(8):
            odd = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if odd:
                low ^= _POLYNOMIAL_LOW
                high ^= _POLYNOMIAL_HIGH
        table[index] = low
        table[256 + index] = high
    return table


TABLE = _table()
