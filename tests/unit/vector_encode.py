"""Encoding in a replay: the client's own functions for what it sends, the generic path for the rest."""
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire import commands, consumer_commands, consumer_requests
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.commands import command
from mpy_pulsar.wire.writer import message
from tests.unit.vector_file import fields_of, value_of
from tests.unit.vector_generic import batch_payload, encode, holds_double, nested, payload_frame
from tests.unit.vector_same import same

SENT = (2, 4, 5, 6, 10, 11, 12, 15, 16, 18, 19, 20, 21, 23, 25, 28, 29, 32, 34, 37, 39)
_LOW_MASK = 0xFFFFFFF
_PROTOCOL_VERSION = 21

# By command type: the fields that the client's function of that command always writes, and those it may write.
_NAMED = {
    2: ((1, 4, 5, 10), (3, 6)),
    4: ((1, 2, 3, 4, 5, 13), (6, 8, 9, 10, 17, 19)),
    5: ((1, 2, 3, 8, 9, 10), (4, 6, 11)),
    10: ((1, 2, 3), (4, 8)),
    11: ((1, 2), ()),
    12: ((1, 2), ()),
    15: ((1, 2), ()),
    16: ((1, 2), ()),
    18: ((), ()),
    19: ((), ()),
    20: ((1,), (2, 3)),
    21: ((1, 2), (6,)),
    23: ((1, 2, 3), (7,)),
    28: ((1, 2), (3, 4)),
    29: ((1, 2), ()),
    32: ((1, 2, 3), ()),
    34: ((1, 2), (3,)),
    37: ((1, 2, 3), ()),
    39: ((1, 2, 3), ()),
}


def encode_vector(vector):
    """Encode a vector in every way there is and compare; True: by the functions that the client itself calls."""
    if vector.kind == "message" or vector.kind == "sub":
        same("encode", bytes(vector.data), encode(vector.command))
        return False
    if vector.kind == "payload":
        return _encode_payload(vector)
    expected = bytes(vector.data)
    kind = value_of(vector.command, 1)
    pairs = value_of(vector.command, kind, [])
    if vector.kind == "command":
        size = len(expected)
        expected = (size + 4).to_bytes(4, "big") + size.to_bytes(4, "big") + expected
    same("encode, type", fields_of(vector.command), {1, kind})
    if holds_double(pairs):
        same("encode", expected[8:], encode(vector.command))
        return False
    same("encode by command()", expected, command(kind, *nested(pairs)))
    named = _by_name(kind, pairs)
    if named is not None:
        same("encode by the command's own function", expected, named)
    return kind in SENT


def _by_name(kind, pairs):
    """The frame by the client's function of that name; None where it does not write these very fields."""
    if kind not in _NAMED:
        return None
    always, at_times = _NAMED[kind]
    present = fields_of(pairs)
    if not present.issuperset(always) or present.difference(always).difference(at_times):
        return None

    def one(field):
        return value_of(pairs, field)

    def values(field):
        found = [pairs[index + 1] for index in range(0, len(pairs), 2) if pairs[index] == field]
        return [nested(value) for value in found] or None

    def encoded(field):
        value = value_of(pairs, field)
        return None if value is None else encode(value)

    if kind == 2:
        if (one(1), one(4), one(10)) != (commands.CLIENT_VERSION, _PROTOCOL_VERSION, [1, 1]):
            return None
        return commands.connect(one(5), one(3), one(6))
    if kind == 5:
        return commands.producer(one(1), one(2), one(3), one(4), one(8), one(9), one(10), values(6), one(11))
    if kind == 15 or kind == 16:
        return commands.close(kind, one(1), one(2))
    if kind == 18:
        return commands.PING_FRAME
    if kind == 19:
        return commands.PONG_FRAME
    if kind == 21:
        return commands.partitioned_metadata(one(1), one(2), one(6))
    if kind == 23:
        return commands.lookup(one(1), one(2), one(3), one(7))
    if kind == 37:
        if one(1) != commands.CLIENT_VERSION or one(3) != _PROTOCOL_VERSION or fields_of(one(2)) != {1, 2}:
            return None
        return commands.auth_response(value_of(one(2), 1), value_of(one(2), 2))
    return _consumer_command(kind, one, values, encoded)


def _consumer_command(kind, one, values, encoded):
    def ids(field):
        found = values(field)
        return found and [message(*pairs) for pairs in found]

    if kind == 4:
        key_shared = one(17)
        return consumer_commands.subscribe(
            one(1), one(2), one(3), one(4), one(5), one(6), one(8), encoded(9), values(10), one(13),
            None if key_shared is None else nested(key_shared), one(19),
        )
    if kind == 10:
        return consumer_commands.ack(one(1), ids(3), one(2), one(4), one(8))
    if kind == 11:
        return consumer_commands.flow(one(1), one(2))
    if kind == 12:
        return consumer_requests.unsubscribe(one(1), one(2))
    if kind == 20:
        return consumer_requests.redeliver(one(1), ids(2), one(3))
    if kind == 28:
        return consumer_requests.seek(one(1), one(2), encoded(3), one(4))
    if kind == 29:
        return consumer_requests.get_last_message_id(one(1), one(2))
    if kind == 32:
        return consumer_requests.get_topics_of_namespace(one(1), one(2), one(3))
    if kind == 34:
        return consumer_requests.get_schema(one(1), one(2), one(3))
    return consumer_requests.get_or_create_schema(one(1), one(2), nested(one(3)))


def _encode_payload(vector):
    plain = vector.plain
    if vector.singles:
        batch = batch_payload(vector.singles)
        if plain is not None:
            same("batch", plain, batch)
        plain = batch
    stored = plain if vector.stored is None else vector.stored
    frame = payload_frame(vector.command, vector.broker, vector.metadata, stored, vector.checksum is not None)
    same("encode", vector.data, frame)
    if value_of(vector.command, 1) != 6:
        return False
    return _by_ring(vector, stored)


def _by_ring(vector, stored):
    """Compare with the frame that a producer's ring makes; False where a ring makes no such frame."""
    send = value_of(vector.command, 6)
    metadata = vector.metadata
    name = value_of(metadata, 1).encode()
    sequence = value_of(metadata, 2)
    batched = value_of(metadata, 11) is not None
    expressible = metadata[:6:2] == [1, 2, 3] and value_of(send, 2) == sequence and len(name) <= 64
    if batched:
        last = sequence + value_of(metadata, 11) - 1
        expected = [1, value_of(send, 1), 2, sequence, 3, value_of(metadata, 11), 6, last]
        expressible = expressible and metadata[6:] == [11, value_of(metadata, 11), 24, last] and send == expected
    else:
        expressible = expressible and fields_of(send) == {1, 2}
    if not expressible:
        return False
    count = len(vector.singles) // 2
    ring = BatchRing(bytearray(len(vector.data) + 300), value_of(send, 1), 3, count + 1, len(vector.data) + 300)
    ring.set_name(name)
    ring.sequence = sequence & _LOW_MASK
    ring.sequence_high = sequence >> 28
    if batched:
        for index in range(0, 2 * count, 2):
            if vector.singles[index] is None:
                ring.add(vector.singles[index + 1])
            else:
                add_entry(ring, vector.singles[index + 1], encode(vector.singles[index]))
    else:
        ring.add_unbatched(stored, encode(metadata[6:]))
    time = value_of(metadata, 3)
    slot = ring.next_frame(time & _LOW_MASK, time >> 28)
    same("slot of the ring's frame", 0, slot)
    frame = memoryview(ring.buffer)[ring.frame_start(slot):ring.frame_end(slot)]
    same("encode by the ring", bytes(vector.data), bytes(frame))
    return True
