"""Frames with a payload in a replay, received: through Connection, ConsumerCore and the methods of Message."""
from mpy_pulsar.core.connection import Connection
from mpy_pulsar.core.consumer_core import ConsumerCore
from mpy_pulsar.core.handle import READY
from mpy_pulsar.wire.commands import command
from mpy_pulsar.wire.scanner import Fields, scan_command, signed, uint32
from tests.unit.vector_feed import feed, feed_everywhere
from tests.unit.vector_file import value_of
from tests.unit.vector_same import Difference, same

_LOW_MASK = 0xFFFFFFF
_TOPIC = "persistent://public/default/replay"
_SIZES = 8  # bytes before a simple frame's command


def receive_payload(vector):
    """Let a consumer of the client's receive the frame and compare; True: it has read it."""
    kind = value_of(vector.command, 1)
    if kind == 9:
        receiver = MessageReceiver(vector, value_of(vector.command, 9))
        feed_everywhere(receiver, vector.data)
        return receiver.delivered
    # What was sent comes back to a consumer as it is, behind another command.
    producer_id = value_of(value_of(vector.command, kind), 1)
    frame = bytearray(command(9, 1, producer_id, 2, (1, 5, 2, 6)))
    frame.extend(memoryview(vector.data)[8 + uint32(vector.data, 4):])
    frame[:4] = (len(frame) - 4).to_bytes(4, "big")
    feed_everywhere(MessageReceiver(vector, [1, producer_id, 2, [1, 5, 2, 6]]), frame)
    return False


class MessageReceiver:
    """A consumer that is open, and what it has to hand out after the frame of one vector."""

    def __init__(self, vector, command_pairs):
        self.vector = vector
        self.pairs = command_pairs
        self.errors = []
        self.delivered = False  # has the client read the messages?
        size = len(vector.data) + 64
        self.connection = Connection(self, bytearray(size), size, 0)
        self.core = ConsumerCore(_TOPIC, value_of(command_pairs, 1) & _LOW_MASK, 30000, "replay", 1, 0, 1000)
        self.core.report = self.errors.append
        self.connection.start("none", None)
        self.core.attach(self.connection, 0)
        self._open()

    def wake(self):
        """There is something to write."""

    def serves(self, url, tls_url, proxied):
        """Any broker is the right one."""
        return True

    def _open(self):
        """Answer what the consumer asks until it is open."""
        fields = Fields()
        connection = self.connection
        while self.core.state != READY:
            if not connection.control:
                raise Difference("the consumer asks nothing and is not open")
            frame = connection.control.pop(0)
            kind = scan_command(fields, frame, _SIZES, len(frame))
            number = fields.value
            if kind == 23:
                self.feed(command(24, 1, "pulsar://here:6650", 3, 1, 4, number[2], 5, True))
            elif kind == 21:
                self.feed(command(22, 1, 0, 2, number[2], 3, 0))
            elif kind == 4:
                self.feed(command(13, 1, number[5]))

    def feed(self, data, start=0, end=None):
        """What a link's reader does."""
        feed(self.connection, data, start, len(data) if end is None else end)

    def expect(self):
        """Before a round."""
        del self.errors[:]
        del self.connection.control[:]

    def check(self):
        """After a round: every message is there, as the vector says."""
        vector = self.vector
        metadata = vector.metadata
        messages = []
        while True:
            message = self.core.take()
            if message is None:
                break
            messages.append(message)
        same("bytes left over", 0, self.connection.filled)
        refused = value_of(metadata, 8) or value_of(metadata, 13) is not None or value_of(metadata, 27, 0) > 1
        if refused and not messages:
            # What the client cannot read yet is an error that names the topic, never a message.
            same("errors reported", 1, len(self.errors))
            return
        if self.errors:
            raise Difference("reported: %s" % self.errors[0])
        singles = vector.singles
        same("messages", len(singles) // 2 if singles else 1, len(messages))
        self.delivered = True
        for index, message in enumerate(messages):
            self._compare_entry(message, metadata)
            if singles:
                self._compare_single(message, index, singles[2 * index], singles[2 * index + 1])
            else:
                same("batch index", -1, message.message_id().batch_index())
                same("sequence_id()", value_of(metadata, 2), message.sequence_id())
                _compare_own(message, metadata, (4, 6, 12, 18, 25))
                if vector.plain is not None:
                    same("data()", vector.plain, message.data())

    def _compare_entry(self, message, metadata):
        ids = value_of(self.pairs, 2)
        message_id = message.message_id()
        same("ledger_id()", signed(value_of(ids, 1)), message_id.ledger_id())
        same("entry_id()", signed(value_of(ids, 2)), message_id.entry_id())
        same("partition()", value_of(ids, 3, -1), message_id.partition())
        same("redelivery_count()", value_of(self.pairs, 3, 0), message.redelivery_count())
        same("producer_name()", value_of(metadata, 1), message.producer_name())
        same("publish_timestamp()", value_of(metadata, 3), message.publish_timestamp())
        same("schema_version()", value_of(metadata, 16, b""), message.schema_version())

    def _compare_single(self, message, index, own, payload):
        own = own or []
        metadata = self.vector.metadata
        count = len(self.vector.singles) // 2
        same("batch index", index, message.message_id().batch_index())
        same("batch size", count, message.message_id().batch_size())
        place = "single" if count == 1 else "first" if not index else "last" if index == count - 1 else "intermediate"
        same("batch_place()", place, message.batch_place())
        same("data()", payload, message.data())
        same("sequence_id()", value_of(own, 8, value_of(metadata, 2) + index), message.sequence_id())
        _compare_own(message, own, (1, 2, 5, 7, 9))


def _compare_own(message, metadata, numbers):
    """What stands in a message's own metadata; numbers: of properties, key, event time, ordering key, null value."""
    properties, key, event_time, ordering_key, null = numbers
    expected = {}
    for index in range(0, len(metadata), 2):
        if metadata[index] == properties:
            expected[value_of(metadata[index + 1], 1)] = value_of(metadata[index + 1], 2)
    same("properties()", expected, message.properties())
    same("partition_key()", value_of(metadata, key, ""), message.partition_key())
    same("event_timestamp()", value_of(metadata, event_time, 0), message.event_timestamp())
    same("ordering_key()", value_of(metadata, ordering_key, b""), message.ordering_key())
    same("has_null_value()", bool(value_of(metadata, null)), message.has_null_value())
