"""Protobuf read from left to right: value and offset by field number; no object, no dict, no trust in any length."""
from ..errors import ProtocolError
from ..port import const

_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
_OVERLONG = const(70)  # ten bytes of seven bits
_ABSENT = const(-1)
_COMMAND_FIELDS = const(128)


def uint32(buffer, at):
    """The four bytes at `at`, big-endian; 2^28 and more is no length of this protocol: ProtocolError."""
    if buffer[at] > 15:
        raise ProtocolError("length above 2^28", at)
    return buffer[at] << 24 | buffer[at + 1] << 16 | buffer[at + 2] << 8 | buffer[at + 3]


class Fields:
    """The fields of one message, found by `scan`; the same object is scanned into again and again.

    value[n]: a number's low 28 bits, or the length of a string, bytes or nested message; -1: the field is absent.
    at[n]: where the first byte stands; for a number that offset inverted (`~offset`, negative), so that a peer which
    sends a number where bytes belong, or the reverse, is found out when the field is read.
    Fields above `highest` or of fixed width (wire types 1 and 5, none of ours), and of repeated ones all but the last,
    are passed over (`each` finds the latter). The last value of a singular field wins.
    """

    def __init__(self, highest=15):
        self.value = [_ABSENT] * (highest + 1)
        self.at = [0] * (highest + 1)

    def scan(self, buffer, start, end):
        """Read buffer[start:end], a message; ProtocolError with the offset where it is not one."""
        values = self.value
        offsets = self.at
        count = len(values)
        for index in range(count):
            values[index] = _ABSENT
        pos = start
        try:
            while pos < end:
                tag = buffer[pos]
                pos += 1
                if tag > 127:
                    tag = tag & 127 | buffer[pos] << 7
                    pos += 1
                    if tag > 16383:
                        pos, tag = long_tag(buffer, pos, tag)
                at = pos
                byte = buffer[pos]
                pos += 1
                kind = tag & 7
                if kind == 0 or kind == 2:
                    value = byte & 127
                    shift = 7
                    while byte > 127:
                        byte = buffer[pos]
                        pos += 1
                        if shift < _LOW:
                            value |= (byte & 127) << shift
                        elif shift >= _OVERLONG:
                            raise ProtocolError("number of more than ten bytes", at)
                        shift += 7
                    if kind:
                        if shift > _LOW:
                            raise ProtocolError("length above 2^28", at)
                        at = pos
                        pos += value
                    else:
                        at = ~at
                elif kind == 5 or kind == 1:
                    # Fixed width: none of our fields. Kept, four bytes of 0xFF would be read as an endless varint.
                    pos = at + (4 if kind == 5 else 8)
                    continue
                else:
                    raise ProtocolError("wire type %d" % kind, at)
                tag >>= 3
                if tag < count:
                    values[tag] = value
                    offsets[tag] = at
        except IndexError:
            pos = end + 1
        if pos != end:
            raise ProtocolError("a field runs past the end of its message", start)

    def integer(self, buffer, field, absent=None):
        """All 64 bits of a numeric field, unsigned; `absent` where it is not there."""
        if self.value[field] < 0:
            return absent
        at = self.at[field]
        if at >= 0:
            raise ProtocolError("field %d: bytes instead of a number" % field, at)
        return varint(buffer, ~at)

    def start(self, field):
        """Where a string, bytes or nested field that is there begins."""
        at = self.at[field]
        if at < 0:
            raise ProtocolError("field %d: a number instead of bytes" % field, ~at)
        return at

    def bytes(self, buffer, field):
        """A copy of a string, bytes or nested field; None where it is not there."""
        size = self.value[field]
        if size < 0:
            return None
        at = self.start(field)
        return bytes(memoryview(buffer)[at:at + size])

    def text(self, buffer, field):
        """A string field as str; "" where it is not there, ProtocolError where it is not UTF-8."""
        value = self.bytes(buffer, field)
        if not value:
            return ""
        try:
            return value.decode()
        except (UnicodeError, ValueError):
            raise ProtocolError("field %d: text that is not UTF-8" % field, self.at[field])


def long_tag(buffer, pos, tag):
    """The rest of a tag of more than two bytes, which is no field of ours: where it ends, and its wire type with a
    field number that no `Fields` holds."""
    size = 2
    byte = 128
    while byte > 127:
        if size == 5:
            raise ProtocolError("tag of more than five bytes", pos)
        byte = buffer[pos]
        pos += 1
        size += 1
    return pos, tag & 7 | _LOW_MASK & ~7


def varint(buffer, at):
    """The number at `at`, up to 64 bits, unsigned; ProtocolError where it has more than ten bytes.

    A scan has seen that a field's number is whole; in a packed field the caller looks where it ends.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = buffer[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF
        at += 1
    raise ProtocolError("number of more than ten bytes", at)


def signed(value):
    """An unsigned 64-bit value as the int64 it stands for."""
    return value - (1 << 64) if value >> 63 else value


def each(buffer, start, end, field):
    """Iterate over a repeated field of a message that was scanned: yields offset and size (for a number: its size).

    Packed numbers come as one piece: read numbers from the offset on until the size is used up.
    """
    while start < end:
        pos = start
        while buffer[pos] > 127:
            pos += 1
        pos += 1
        tag = varint(buffer, start)
        at = pos
        kind = tag & 7
        if kind == 5 or kind == 1:
            start = pos + (4 if kind == 5 else 8)
            continue
        while buffer[pos] > 127:
            pos += 1
        pos += 1
        if kind == 2:
            size = varint(buffer, at)
            at = pos
            pos += size
        if tag >> 3 == field:
            yield at, pos - at
        start = pos


def scan_command(fields, buffer, start, end):
    """Scan the BaseCommand in buffer[start:end]: its type, and into `fields` what its one sub-message holds.

    The sub-message's field number equals the type. Type first is the usual order; any other is read as well. As
    field 0, a number that none has, stands the sub-message itself.
    """
    pos = start + 3
    kind = _ABSENT
    try:
        kind = buffer[start + 1]
        tag = kind << 3 | 2
        if tag > 127:
            usual = buffer[start + 2] == tag & 127 | 128 and buffer[pos] == tag >> 7
            pos += 1
        else:
            usual = buffer[start + 2] == tag
        size = buffer[pos]
        pos += 1
        if size > 127:
            size = size & 127 | buffer[pos] << 7
            pos += 1
        usual = usual and size < 16384 and pos + size == end and buffer[start] == 8 and kind < 128
    except IndexError:
        usual = False
    if not usual:
        outer = Fields(_COMMAND_FIELDS - 1)
        outer.scan(buffer, start, end)
        kind = outer.integer(buffer, 1, _ABSENT)
        if kind < 0:
            raise ProtocolError("command without a type", start)
        if kind >= _COMMAND_FIELDS:
            fields.scan(buffer, start, start)
            return kind
        size = outer.value[kind]
        pos = outer.at[kind]
        if size < 0 or pos < 0:
            raise ProtocolError("command %d without its message" % kind, start)
        end = pos + size
    fields.scan(buffer, pos, end)
    fields.at[0] = pos
    fields.value[0] = end - pos
    return kind
