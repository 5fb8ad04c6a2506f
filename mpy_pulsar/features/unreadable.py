"""Entries that cannot be delivered: reported with their id, never handed out as garbage, their permits given back."""
from ..core.consumer_core import skip_broker_entry
from ..core.handle import READY
from ..core.message_id import MessageId
from ..errors import ProtocolError, PulsarError
from ..port import const
from ..wire.commands import close
from ..wire.consumer_commands import ack
from ..wire.scanner import uint32
from .part_of_entry import permits_of

# Why, in an ACK
_DECOMPRESSION_ERROR = const(1)
_CHECKSUM_MISMATCH = const(2)
_BATCH_DESERIALIZE_ERROR = const(3)
_DECRYPTION_ERROR = const(4)

_UNKNOWN = const(0xFFFFFFF)

# What is wrong, as ConsumerCore says it
_BATCH = const(2)
_CONTENT = const(3)
_TEXTS = ("the checksum does not match", "the metadata cannot be read", "the batch is not well formed")


def unreadable(core, message_id, permits, what, buffer, command):
    """An entry is of no use to anybody: the broker is told why, so that it is not sent for ever. Or not to this client
    (compressed, encrypted, chunked): it stays for others, unless `acknowledge_unreadable`.

    permits: how many it has cost; where `what` is 3 the count of messages it claims, 0 outside of a batch; where it is
    2, message_id is an Entry that was taken in part; where it is 0, where in the buffer its metadata's size is.
    """
    reason = _BATCH_DESERIALIZE_ERROR if what else _CHECKSUM_MISMATCH
    known = what == _BATCH
    if not what:
        known = _is_single(core, buffer, permits)
        permits = 1
    if what == _CONTENT:
        value = core._fields.value
        if value[8] > 0 or value[13] >= 0 or value[27] > 1:
            _not_for_us(core, message_id, _cost(permits, buffer, command), value)
            return
        text = "the batch does not hold what it claims"
        # The broker believed it; what the scanner could not hold (a negative count too) nobody knows.
        known = permits < _UNKNOWN
        permits = _cost(permits, buffer, command) if known else 1
    else:
        text = _TEXTS[what]
        if what == _BATCH:
            permits = permits_of(message_id)
            message_id = message_id.message_id
    _give_up(core, message_id)
    error = ProtocolError("%s: entry %r: %s; it is given up" % (core.topic, MessageId(message_id), text))
    core.connection.send(ack(core.id, [message_id], False, reason))
    if not known and _begin_afresh(core, error):
        return
    core.report(error)
    core.give_permits(permits)


def _is_single(core, buffer, pos):
    """Does the metadata of a damaged entry still say that it is no batch?"""
    try:
        size = uint32(buffer, pos)
        core._fields.scan(buffer, pos + 4, pos + 4 + size)
    except (IndexError, ProtocolError):
        return False
    return size <= len(buffer) and core._fields.value[11] < 0


def _begin_afresh(core, error):
    """Nobody knows how many permits an entry that does not come again has cost: with all of them at the broker lost,
    nothing would come any more. False: not now, one is given back."""
    if core.state != READY:
        return False
    if core._queue and hasattr(core, "afresh"):
        core.afresh = True  # once the reader's place is behind that entry, which it would get again
        return False
    reopen(core, error)
    return True


def reopen(core, error):
    """Close the consumer at the broker and open it again, with its permits counted anew."""
    core.flush()
    core.connection.send(close(core.close_kind, core.id, core.connection.request(core)))
    core.retry(error)


def _not_for_us(core, message_id, permits, value):
    reason = None
    text = "chunked"
    if value[13] >= 0:
        reason, text = _DECRYPTION_ERROR, "encrypted"
    elif value[8] > 0:
        reason, text = _DECOMPRESSION_ERROR, "compressed"
    core.report(PulsarError("%s: entry %r is %s, which is not supported yet; %s" % (
        core.topic, MessageId(message_id), text, _leave(core, message_id, permits, reason)
    )))


def oversize(core, buffer, command, pos, end, size):
    """A MESSAGE of `size` bytes that the read buffer or the heap cannot hold; its head is buffer[pos:end]."""
    message_id = command.bytes(buffer, 2) or b""
    count = _claimed(core._fields, buffer, pos, end)
    known = 0 <= count < _UNKNOWN
    if not known and command.value[4] >= 0:
        count = _UNKNOWN  # its ack_set has a bit for each message that was paid for
        known = True
    error = PulsarError(
        "%s: entry %r of %d bytes does not fit (a read buffer of %d bytes, or the memory left): enlarge"
        " read_buffer_size or free memory; %s" % (
            core.topic, MessageId(message_id), size, len(buffer),
            _leave(core, message_id, _cost(count, buffer, command) if known else 1, None),
        )
    )
    # One permit is never too many, but perhaps too few. To begin afresh would bring the entry again, which has to be
    # gone or behind a reader's place; else only a larger buffer helps.
    gone = hasattr(core, "give_up") or getattr(core, "acknowledges_unreadable", False)
    if known or not gone or not _begin_afresh(core, error):
        core.report(error)


def _claimed(fields, buffer, pos, end):
    """The messages in a batch, 0: no batch; of an entry that begins at buffer[pos]. -1: what is here does not say."""
    begun = False
    try:
        pos = skip_broker_entry(buffer, pos, end)
        if buffer[pos] == 14 and buffer[pos + 1] == 1:
            pos += 6  # the checksum, which nobody can verify
        metadata_end = pos + 4 + uint32(buffer, pos)
        begun = True
        fields.scan(buffer, pos + 4, metadata_end)
    except (IndexError, ProtocolError):
        # The metadata itself is cut off. Whoever writes protobuf does it in the order of the fields' numbers.
        if not begun or max(fields.value[11:]) < 0:
            return -1
    return max(fields.value[11], 0)


def _cost(count, buffer, command):
    """The permits that an entry of `count` messages has cost, 0: outside of a batch."""
    if count and command.value[4] >= 0:
        from .ack_set import cost_of

        return cost_of(buffer, command, count)
    return count or 1


def _give_up(core, message_id):
    """A reader's place moves all the same."""
    give_up = getattr(core, "give_up", None)
    if give_up and message_id:
        give_up(message_id)


def _leave(core, message_id, permits, reason):
    """What becomes of an entry that others may be able to read, as a text."""
    _give_up(core, message_id)
    acknowledges = getattr(core, "acknowledges_unreadable", False)
    if acknowledges:
        core.connection.send(ack(core.id, [message_id], False, reason))
    core.give_permits(permits)
    return "it is acknowledged" if acknowledges else "it stays unacknowledged"
