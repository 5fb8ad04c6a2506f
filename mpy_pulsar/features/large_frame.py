"""Frames larger than a link's read buffer may grow to: of a message the head is read, the rest passed over."""
from ..errors import ProtocolError
from ..port import const
from ..wire.scanner import scan_command, uint32

_MESSAGE = const(9)


def pass_over(connection, pos, end, size):
    """A frame of `size` bytes at `pos`, of which those up to `end` are here: where to go on in the buffer."""
    if end - pos < len(connection.buffer):
        return pos  # wait until all that fits is here
    command_end = pos + 8 + uint32(connection.buffer, pos + 4)
    if command_end > end:
        raise ProtocolError("command larger than the read buffer of %d bytes" % len(connection.buffer), pos)
    fields = connection._fields
    kind = scan_command(fields, connection.buffer, pos + 8, command_end)
    handle = connection.handles.get(fields.value[1])
    if kind != _MESSAGE:
        raise ProtocolError("command %d of %d bytes, above the read buffer" % (kind, size), pos)
    if handle:
        handle.on_oversize(connection.buffer, fields, command_end, end, size)
    connection._skip = size - (end - pos)
    return end
