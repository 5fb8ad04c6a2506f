"""Messages in a batch with more than a payload: a producer that sends bare ones never loads this."""
from ..port import const
from ..wire.kernels import copy

_SIZE = const(4)


def add_entry(ring, payload, metadata, key=b""):
    """What `BatchRing.add` is, for a message with more than a payload; metadata: bytes of its SingleMessageMetadata.

    key: its key's fields in MessageMetadata. A broker that deals messages out by key looks at the batch's alone, which
    is that of its first message. Allocates nothing.
    """
    size = len(payload)
    head = len(metadata)
    at = ring._end
    buffer = ring.buffer
    before = ring._head
    if at + _SIZE + head + size > ring._limit or (key and not ring._count):
        before = len(key)
        at = ring.open_batch(_SIZE + head + size + before)
        copy(buffer, at, key, 0, before)
        at += before
    writer = ring._writer
    at += _SIZE
    writer.buffer = buffer
    writer.start = at
    writer.uint32(head)
    copy(buffer, at, metadata, 0, head)
    at += head
    copy(buffer, at, payload, 0, size)
    ring._head = before
    ring._end = at + size
    count = ring._count + 1
    ring._count = count
    if count >= ring._most:
        ring.close_batch()
        return True
    return count == 1
