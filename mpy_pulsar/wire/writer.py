"""Protobuf written from right to left: every nested length is known when it is written, so nothing is sized first."""
from ..port import const
from .kernels import copy

_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
_HIGH_MASK = const(0xFFFFFFFFF)

# What one field needs at most besides its own bytes: a tag of two bytes, and a number of ten or a length of five.
_FIELD_ROOM = const(12)
_UTF8_MOST = const(4)


class Writer:
    """Fills `buffer` from `end` towards its start; what was written stands at buffer[start:end].

    There is no bounds check: the caller gives room enough (`room_for` says how much).
    """

    def __init__(self, buffer, end):
        self.buffer = buffer
        self.start = end

    def varint(self, low, high=0):
        """A number given as its low 28 bits and what is above them (to 36 bits)."""
        size = 1
        if high:
            size = 5
            rest = high >> 7
        else:
            rest = low >> 7
        while rest:
            size += 1
            rest >>= 7
        self.start -= size
        buffer = self.buffer
        at = self.start
        if high:
            for _ in range(4):
                buffer[at] = low & 127 | 128
                low >>= 7
                at += 1
            low = high
        while low > 127:
            buffer[at] = low & 127 | 128
            low >>= 7
            at += 1
        buffer[at] = low

    def number(self, field, low, high=0):
        """A numeric field, its value in two halves as for `varint`."""
        self.varint(low, high)
        self.varint(field << 3)

    def data(self, field, value):
        """A string or bytes field (str, bytes, bytearray)."""
        if isinstance(value, str):
            value = value.encode()
        end = self.start
        self.start -= len(value)
        copy(self.buffer, self.start, value, 0, len(value))
        self.close(field, end)

    def close(self, field, end):
        """Make what was written since `start` was `end` the nested message `field`."""
        self.varint(end - self.start)
        self.varint(field << 3 | 2)

    def uint32(self, value):
        """Four bytes, big-endian; value below 2^30."""
        self.start -= 4
        at = self.start
        buffer = self.buffer
        buffer[at] = value >> 24
        buffer[at + 1] = value >> 16 & 255
        buffer[at + 2] = value >> 8 & 255
        buffer[at + 3] = value & 255

    def fields(self, pairs):
        """The fields of one message: `pairs` is field, value, field, value … by ascending field.

        value: int or bool (negative ones as protobuf's int64), str, bytes, bytearray; None leaves the field out; a
        tuple of pairs is a nested message; a list holds the values of a repeated field.
        """
        for index in range(len(pairs) - 2, -1, -2):
            field = pairs[index]
            value = pairs[index + 1]
            if isinstance(value, list):
                for item in reversed(value):
                    self._field(field, item)
            else:
                self._field(field, value)

    def _field(self, field, value):
        if value is None:
            return
        if isinstance(value, tuple):
            end = self.start
            self.fields(value)
            self.close(field, end)
        elif isinstance(value, (str, bytes, bytearray)):
            self.data(field, value)
        else:
            value = int(value)
            self.number(field, value & _LOW_MASK, value >> _LOW & _HIGH_MASK)


def room_for(values):
    """Bytes that `Writer.fields(values)` needs at most."""
    size = 0
    for value in values:
        size += _FIELD_ROOM
        if isinstance(value, str):
            size += len(value) * _UTF8_MOST
        elif isinstance(value, (bytes, bytearray)):
            size += len(value)
        elif isinstance(value, (tuple, list)):
            size += room_for(value)
    return size


def message(*pairs):
    """The bytes of a message of these fields; see `Writer.fields`."""
    size = room_for(pairs)
    writer = Writer(bytearray(size), size)
    writer.fields(pairs)
    return bytes(memoryview(writer.buffer)[writer.start:])
