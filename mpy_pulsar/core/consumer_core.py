"""A consumer without sockets or tasks: permits, entries kept whole and read in place, grouped acknowledgements."""
from ..errors import ConnectError, ProtocolError, PulsarError
from ..port import QUEUE_BYTES, collect, const
from ..wire.commands import key_values
from ..wire.consumer_commands import ack, flow, subscribe
from ..wire.kernels import check
from ..wire.scanner import Fields, uint32
from .finding import Finding
from .handle import READY, nothing
from .message import Entry, Message

_SUCCESS = const(13)
_CLOSE_CONSUMER = const(16)
_METADATA_FIELDS = const(31)
_MAGIC = const(14)  # first byte of the two marks
_CHECKSUM_MARK = const(1)
_BROKER_ENTRY_MARK = const(2)
_SMALLEST_ENTRY = const(6)  # four bytes of size and a payload_size
_ACKS_MOST = const(1000)  # ids in one ACK
_UNLIMITED = const(5252864)  # bytes of the largest frame, where the read buffer has no limit of its own

# Entries kept at most for each permit: a broker in order sends one, none where the permits are used up.
_PERMIT_ENTRIES = const(2)

_CHECKSUM_MISMATCH = const(2)
_BATCH_DESERIALIZE_ERROR = const(3)


class ConsumerCore(Finding):
    """What the broker sent and nobody took yet, and what is to be acknowledged.

    Calls on its owner besides a handle's: arrived() when there is something to take.
    """

    close_kind = _CLOSE_CONSUMER
    opened_kind = _SUCCESS

    def __init__(
        self, topic, handle_id, timeout, subscription, consumer_type, initial_position, permits, name=None,
        properties=None,
    ):
        """permits: messages that the broker may send ahead. For the rest see `subscribe` in wire/consumer_commands."""
        super().__init__(topic, handle_id, timeout)
        self.subscription = subscription
        self.name = name
        self.arrived = nothing
        self.permits = permits
        self._consumer_type = consumer_type
        self._initial_position = initial_position
        self._properties = key_values(properties)
        self._queue = []  # entries, oldest first
        self._used = 0  # permits to be given back
        self._flow = None  # the FLOW sent last, and its permits
        self._granted = 0
        self._acks = []  # encoded ids of entries all of whose messages are acknowledged
        self._fields = Fields(_METADATA_FIELDS)

    def open_command(self, request_id):
        return subscribe(
            self.topic, self.subscription, self._consumer_type, self.id, request_id, self.name,
            properties=self._properties, initial_position=self._initial_position,
        )

    def on_opened(self, number, buffer, fields):
        connection = self.connection
        if QUEUE_BYTES:
            # Permits count messages, memory counts entries: each permit may bring an entry as large as the buffer.
            self.permits = max(1, min(self.permits, QUEUE_BYTES // (connection.limit or _UNLIMITED)))
        self._used = 0
        connection.send(flow(self.id, self.permits))
        return True

    def on_lost(self):
        # Whatever was not acknowledged comes again.
        self._queue = []
        self._acks = []
        self._used = 0

    def start_close(self, now):
        frame = self.ack_frame()
        while frame:
            self.connection.send(frame)
            frame = self.ack_frame()
        super().start_close(now)

    # From the broker

    def on_message(self, buffer, command, pos, end):
        if self.state != READY:
            return
        if command.value[2] < 0:
            raise ProtocolError("MESSAGE without an id", pos)
        message_id = command.bytes(buffer, 2)
        redelivery_count = max(command.value[3], 0)
        start = pos
        pos = _skip_broker_entry(buffer, pos, end)
        if end - pos > 6 and buffer[pos] == _MAGIC and buffer[pos + 1] == _CHECKSUM_MARK:
            if not check(buffer, pos + 2, end):
                self._give_up(message_id, 1, _CHECKSUM_MISMATCH, "checksum of an entry of %s does not match")
                return
            pos += 6
        data = _copy(buffer, pos, end)
        if data is None:
            if self._queue:
                # A fresh start frees what is queued; all of it comes again, in order.
                raise ConnectError("%s: no memory for an entry of %d bytes" % (self.topic, end - start))
            # There is nothing to free: the next link would bring the same entry, and end the same way.
            self.on_oversize(buffer, command, start, end, end - start)
            return
        fields = self._fields
        try:
            payload = uint32(data, 0) + 4
            fields.scan(data, 4, payload)
        except (ProtocolError, IndexError):
            payload = len(data) + 1
        if payload > len(data):
            # Frame and checksum are in order, so is the link; raised, this would come back with every new one.
            self._give_up(message_id, 1, _BATCH_DESERIALIZE_ERROR, "the metadata of an entry of %s cannot be read")
            return
        count = max(fields.value[11], 0)
        if fields.value[8] > 0 or fields.value[13] >= 0 or fields.value[27] > 1:
            self.report(PulsarError(
                "%s: entry %r is compressed, encrypted or chunked, which is not supported yet; it stays"
                " unacknowledged" % (self.topic, _readable(message_id))
            ))
            self._return_permits(count or 1)
        elif not fields.value[11] or count * _SMALLEST_ENTRY > len(data) - payload:
            self._give_up(message_id, 1, _BATCH_DESERIALIZE_ERROR, "a batch of %s does not hold what it claims")
        else:
            if len(self._queue) >= _PERMIT_ENTRIES * self.permits:
                raise ProtocolError("%s: the broker sends more than the permits it has" % self.topic)
            self._queue.append(Entry(message_id, data, 4, payload, count, redelivery_count))
            self.arrived()

    def on_oversize(self, buffer, command, pos, end, size):
        count = 1
        try:
            pos = _skip_broker_entry(buffer, pos, end)
            if buffer[pos] == _MAGIC and buffer[pos + 1] == _CHECKSUM_MARK:
                pos += 6
            self._fields.scan(buffer, pos + 4, pos + 4 + uint32(buffer, pos))
            count = max(self._fields.value[11], 1)
        except (IndexError, ProtocolError):
            pass  # the head itself is larger than the buffer: one permit is given back, which is never too many
        self.report(PulsarError(
            "%s: entry %r of %d bytes does not fit (a read buffer of %d bytes, or the memory left): it stays"
            " unacknowledged; enlarge read_buffer_size or free memory"
            % (self.topic, _readable(command.bytes(buffer, 2) or b""), size, len(buffer))
        ))
        self._return_permits(count)

    def _give_up(self, message_id, permits, reason, text):
        """An entry that cannot be read: tell the broker why, so that it is not sent for ever."""
        self.report(ProtocolError(text % self.topic))
        self.connection.send(ack(self.id, [message_id], False, reason))
        self._return_permits(permits)

    # To the user

    def take(self):
        """The next Message, or None."""
        while self._queue:
            entry = self._queue[0]
            try:
                message = self._next(entry)
            except (ProtocolError, IndexError):
                self._queue.pop(0)
                self._give_up(
                    entry.message_id, entry.left, _BATCH_DESERIALIZE_ERROR, "a batch of %s is not well formed"
                )
                continue
            entry.left -= 1
            if not entry.left:
                self._queue.pop(0)
            self._return_permits(1)
            return message
        return None

    def _next(self, entry):
        data = entry.data
        if not entry.count:
            return Message(entry, entry.metadata, entry.payload, len(data), -1, self.topic)
        pos = entry.position
        size = data[pos + 3]
        metadata = pos + 4
        start = metadata + size
        if size == 2 and data[metadata] == 24 and data[pos + 2] == 0 and data[metadata + 1] < 128:
            # Nothing but a payload_size of one byte, and the same with two: what bare messages look like.
            end = start + data[metadata + 1]
        elif size == 3 and data[metadata] == 24 and data[pos + 2] == 0 and data[metadata + 2] < 128:
            end = start + (data[metadata + 1] & 127 | data[metadata + 2] << 7)
        else:
            start = metadata + uint32(data, pos)
            self._fields.scan(data, metadata, start)
            end = start + self._fields.value[3]
            if end < start:
                raise ProtocolError("message without a payload size", metadata)
        if end > len(data):
            raise ProtocolError("message past the end of its batch", metadata)
        entry.position = end
        return Message(entry, metadata, start, end, entry.count - entry.left, self.topic)

    def _return_permits(self, count):
        self._used += count
        if self._used * 2 >= self.permits and self.state == READY:
            # Messages taken in one go return their permits in one FLOW: the one that waits to be written grows.
            connection = self.connection
            if connection.take_back(self._flow):
                self._used += self._granted
            self._granted = self._used
            self._flow = flow(self.id, self._used)
            connection.send(self._flow)
            self._used = 0

    # Acknowledgement

    def acknowledge(self, message):
        """A message is done with: its entry's id leaves in a grouped ACK once all its messages are."""
        entry = message._entry
        index = message._index
        if index >= 0:
            done = entry.acknowledged
            if done is None:
                done = entry.acknowledged = bytearray(entry.count)
            if done[index]:
                return
            done[index] = 1
        elif not entry.unacknowledged:
            return
        entry.unacknowledged -= 1
        if not entry.unacknowledged and self.connection:
            self._acks.append(entry.message_id)
            if len(self._acks) == 1:
                self.wake()

    def ack_frame(self):
        """The acknowledgements that wait as one command, or None."""
        acks = self._acks
        if not acks or self.state != READY:
            return None
        self._acks = acks[_ACKS_MOST:]
        return ack(self.id, acks[:_ACKS_MOST])


def _copy(buffer, pos, end):
    """buffer[pos:end] as bytes, None where there is no memory for them even after a collection."""
    for _ in range(2):
        try:
            return bytes(memoryview(buffer)[pos:end])
        except MemoryError:
            collect()
    return None


def _readable(message_id):
    """An encoded message id for an error's text."""
    from .message_id import MessageId

    return MessageId(message_id)


def _skip_broker_entry(buffer, pos, end):
    """Where the frame goes on behind a BrokerEntryMetadata, if it has one."""
    if end - pos > 6 and buffer[pos] == _MAGIC and buffer[pos + 1] == _BROKER_ENTRY_MARK:
        pos += 6 + uint32(buffer, pos + 2)
        if pos > end:
            raise ProtocolError("broker entry metadata that does not fit its frame", pos)
    return pos
