"""Frames outside the ring, each in a buffer of its own but in the ring's order: large messages, and repeated ones."""
from ..errors import MessageTooBig, QueueFull
from ..port import const
from ..wire.batch import ENTRY_HEAD
from ..wire.kernels import copy

_BARE = const(-1)
_UNBATCHED = const(-1)


def requeue(ring, number):
    """Move a batch that was refused behind all that is queued, to be transmitted with new ids: its new number."""
    slot = number % ring._slots
    start = ring._entries[slot]
    size = ring.frame_end(slot) - start
    buffer = bytearray(ring.head_room + size)
    copy(buffer, ring.head_room, ring.own.get(slot, ring.buffer), start, size)
    count = ring._counts[slot]
    head = ring._heads[slot]
    # Its own slot may be the one that is needed.
    ring.drop(number)
    return _append(ring, buffer, count, head)


def has_room(ring, size):
    """Will a message of `size` bytes, too large for the ring, be taken now?"""
    number = ring.open + 1 if ring._count else ring.open
    return (
        not fits_ring(ring, size) and size <= ring.largest and not ring.failure and not ring.own
        and number - ring.oldest < ring._slots and ring.pending + ring._count < ring.max_pending
    )


def fits_ring(ring, size):
    """Would a bare message of `size` bytes fit the empty ring, and its entry a frame that the broker takes?"""
    return size + ring.head_room + 2 * ENTRY_HEAD <= len(ring.buffer) and size + ENTRY_HEAD <= ring.largest


def add_large(ring, content, metadata, sequence, established):
    """Queue a message that no ring of this size holds; metadata: of its MessageMetadata, from field 4 up.

    One at a time, since each takes its size in memory: QueueFull while another is under way. MessageTooBig: the broker
    would not take it (`established`: it has said so).
    """
    if ring.failure:
        raise ring.failure.again("; the message was not sent")
    head = len(metadata)
    size = len(content)
    if established and head + size > ring.largest:
        raise MessageTooBig(
            "a message of %d bytes with its metadata; the broker takes %d: it was not sent"
            % (head + size, ring.largest)
        )
    if ring.overflow:
        ring.overflow(None, 1)
    number = ring.open + 1 if ring._count else ring.open
    if ring.own or number - ring.oldest >= ring._slots or ring.pending + max(ring._count, 0) >= ring.max_pending:
        ring.full = True
        raise QueueFull("a message larger than the send buffer goes alone: wait with `await producer.room(size)`")
    room = ring.head_room
    buffer = bytearray(room + head + size)
    copy(buffer, room, metadata, 0, head)
    copy(buffer, room + head, content, 0, size)
    number = _append(ring, buffer, _UNBATCHED, head)
    ring._sequences[number % ring._slots] = sequence
    return True


def _append(ring, buffer, count, head):
    ring.close_batch()
    number = ring.open
    slot = number % ring._slots
    # Where the ring's own bytes go on behind it.
    end = ring._ends[(number - 1) % ring._slots] if number != ring.oldest else 0
    ring.own[slot] = buffer
    ring._entries[slot] = ring.head_room
    ring._frames[slot] = _BARE
    ring._ends[slot] = end
    ring._counts[slot] = count
    ring._heads[slot] = head
    ring._sequences[slot] = -1
    ring.pending += max(count, 1)
    ring.open = number + 1
    return number
