"""What a message may carry besides its content: its metadata in a batch and alone, ids of its own, delivery times."""
from time import time_ns

from ..port import const, unix_seconds
from ..wire.properties import key_values
from ..wire.writer import message
from .entries import add_entry

_SECONDS_TO_2000 = const(946684800)
_ID_MOST = const(0x7FFFFFFFFFFFFFFF)
_BITS_OF_1970 = const(35)  # of ms, up to February 1971: such a time has fewer bytes than one of today


def add(core, batching, content, fields):
    """Queue a message; fields: (properties, partition_key, ordering_key, sequence_id, event_timestamp, deliver_at,
    deliver_after) as `Producer.send` takes them. Errors as of BatchRing.add; ValueError, TypeError: a field is wrong.
    """
    ring = core.ring
    content, null = _content(content)
    properties, key, encoded, ordering_key = _checked(fields)
    if batching and fields[3] is None and fields[5] is None and fields[6] is None:
        time = fields[4]
        metadata = message(
            1, properties, 2, key, 3, len(content), 5, _usual(time), 6, encoded, 7, ordering_key, 9, null,
        ) + _of_1970(b"\x28", time)
        # Its own fields, as the batch's where it is the first there.
        return add_entry(ring, content, metadata, message(6, key, 17, encoded, 18, ordering_key))
    metadata, sequence = _alone(core, fields, null, properties, key, encoded, ordering_key)
    wake = ring.add_unbatched(content, metadata, sequence)
    core.last_own = max(core.last_own, sequence)
    return wake


def add_large(core, content, fields):
    """The same for a message that no ring of this size holds."""
    from .own_frames import add_large as add_to_ring

    content, null = _content(content)
    metadata, sequence = b"", -1
    if fields:
        metadata, sequence = _alone(core, fields, null, *_checked(fields))
    wake = add_to_ring(core.ring, content, metadata, sequence, core._ready_at is not None)
    core.last_own = max(core.last_own, sequence)
    return wake


def _content(content):
    return (b"", True) if content is None else (content, None)


def _checked(fields):
    """Properties as key values, the partition key as text, whether that is base64, the ordering key as bytes."""
    properties, key, ordering_key = fields[:3]
    properties = key_values(properties)
    encoded = None
    if isinstance(key, (bytes, bytearray)):
        from binascii import b2a_base64

        key = b2a_base64(bytes(key)).decode().strip()
        encoded = True
    elif key is not None and not isinstance(key, str):
        raise TypeError("partition_key: %r is neither str nor bytes" % (key,))
    if isinstance(ordering_key, str):
        ordering_key = ordering_key.encode()
    elif ordering_key is not None and not isinstance(ordering_key, (bytes, bytearray)):
        raise TypeError("ordering_key: %r is neither bytes nor str" % (ordering_key,))
    event_timestamp = fields[4]
    if event_timestamp is not None and not 0 <= event_timestamp <= _ID_MOST:
        raise ValueError("event_timestamp: %r is not in ms since 1970" % (event_timestamp,))
    return properties, key, encoded, ordering_key


def _alone(core, fields, null, properties, key, encoded, ordering_key):
    """The bytes of MessageMetadata from field 4 up, and the message's own id or -1."""
    sequence = -1
    if fields[3] is not None:
        sequence = fields[3]
        _check_id(core, sequence)
    time = fields[4]
    delivery = _delivery_time(fields[5], fields[6])
    metadata = message(
        4, properties, 6, key, 12, _usual(time), 17, encoded, 18, ordering_key, 19, _usual(delivery), 25, null,
    ) + _of_1970(b"\x60", time) + _of_1970(b"\x98\x01", delivery)
    return metadata, sequence


def _usual(time):
    """A time, unless `_of_1970` writes it."""
    return time if not time or time >> _BITS_OF_1970 else None


def _of_1970(tag, time):
    """The field of a time read from a clock that was never set: it needs room for what it will be once it is."""
    if _usual(time) == time:
        return b""
    from .clock_gate import wide

    return wide(tag, time)


def _check_id(core, sequence):
    """ValueError for an id that is not above all that this producer has given out or will give to what is queued."""
    if not 0 <= sequence <= _ID_MOST:
        raise ValueError("sequence_id: %r is not from 0 to 2^63 - 1" % (sequence,))
    ring = core.ring
    following = (ring.sequence_high << 28) + ring.sequence
    highest = core.last_own
    for number in range(ring.oldest, ring.open):
        slot = number % ring._slots
        if ring._frames[slot] == -1:
            own = ring._sequences[slot]
            following = max(following, own + 1) if own >= 0 else following + max(ring._counts[slot], 1)
    following += ring._count
    # Until it gives any out, ids of before may come again: a broker that weeds out duplicates confirms them.
    if following != core.first_id:
        highest = max(highest, following - 1)
    if sequence <= highest:
        raise ValueError("sequence_id %d: the one before was %d, and ids must rise" % (sequence, highest))


def _delivery_time(deliver_at, deliver_after):
    """ms since 1970, None: at once."""
    if deliver_after is None:
        if deliver_at is not None and deliver_at < 0:
            raise ValueError("deliver_at: %r is not in ms since 1970" % (deliver_at,))
        return deliver_at
    if deliver_at is not None:
        raise ValueError("deliver_at and deliver_after: only one of them")
    if hasattr(deliver_after, "total_seconds"):  # a timedelta
        deliver_after = int(deliver_after.total_seconds() * 1000)
    if deliver_after < 0:
        raise ValueError("deliver_after: %r is in the past" % (deliver_after,))
    now = time_ns() // 1000000
    if unix_seconds() - now // 1000 > _SECONDS_TO_2000 // 2:
        now += _SECONDS_TO_2000 * 1000  # this port counts from 2000
    return now + deliver_after
