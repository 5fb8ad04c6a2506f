"""A consumer without sockets or tasks: permits, entries kept whole and read in place, grouped acknowledgements."""
from ..errors import ConnectError, ProtocolError
from ..port import ACK_GROUP, QUEUE_BYTES, collect, const, ticks_add, ticks_diff
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
_ACK_GROUP_TIME = const(100)  # ms that an acknowledgement waits for others
_ACKS_GROWN = const(100)  # ids in an ACK that waits for the one before
_SURE = const(5000)  # ms: who was heard of so long after an ACK has got it
_SENT_KEPT = const(2)  # ACK frames, over a lost link
_SENT_KEPT_ON_HOSTS = const(32)
_SKIPPED = const(2)  # see Entry.done
_SEEKING = const(-1)  # as the handle's request, see features/seeking: a seek that fails leaves it as open as it was
_UNLIMITED = const(5252864)  # bytes of the largest frame, where the read buffer has no limit of its own

# Entries kept at most for each permit: a broker in order sends one, none where the permits are used up.
_PERMIT_ENTRIES = const(2)

# In `counts`; bytes are two halves, which stay small numbers.
_ACKNOWLEDGED = const(1)
_ENTRIES = const(2)
_REDELIVERED = const(3)
_BYTES = const(4)
_BYTES_HIGH = const(5)
_RECEIVED = const(6)
_LOW_MASK = const(0xFFFFFFF)

# What is wrong with an entry, for features/unreadable
_CHECKSUM = const(0)
_METADATA = const(1)
_BATCH = const(2)
_CONTENT = const(3)


class ConsumerCore(Finding):
    """What the broker sent and nobody took yet, and what is to be acknowledged.

    Calls on its owner besides a handle's: arrived() when there is something to take.
    """

    close_kind = _CLOSE_CONSUMER
    opened_kind = _SUCCESS

    key_shared = None  # the pairs of KeySharedMeta
    # Raised with every redelivery to an only consumer; what was sent before is void. Named from the first SUBSCRIBE on:
    # else the broker marks no message before the first redelivery.
    epoch = 0
    _ack = None  # the ACK frame sent last
    partial = None  # features/batch_acks: what makes ids of entries that are acknowledged in part
    start = None  # features/start: what is before it is not delivered

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
        self.consumer_type = consumer_type
        self._initial_position = initial_position
        self._properties = None
        if properties:
            from ..wire.properties import key_values

            self._properties = key_values(properties)
        self._queue = []  # entries, oldest first
        self._used = 0  # permits to be given back
        self._flow = None  # the FLOW sent last, and its permits
        self._granted = 0
        self._acks = []  # encoded ids of entries all of whose messages are acknowledged
        self._acks_due = None  # tick at which they leave
        self._sent = []  # the last ACK frames
        self._sent_at = 0  # tick of the last
        self._doubts = 0  # so many entries may be acknowledged and come again; -1: the link is lost
        self._fields = Fields(_METADATA_FIELDS)
        self.counts = [-1, 0, 0, 0, 0, 0, 0]  # see features/stats; the first is that of openings after the first

    def open_command(self, request_id):
        return subscribe(
            self.topic, self.subscription, self.consumer_type, self.id, request_id, self.name,
            properties=self._properties, initial_position=self._initial_position, key_shared=self.key_shared,
            epoch=None if self.consumer_type & 1 else self.epoch,
        )

    def on_opened(self, number, buffer, fields):
        connection = self.connection
        if QUEUE_BYTES:
            # Permits count messages, memory counts entries: each permit may bring an entry as large as the buffer.
            self.permits = max(1, min(self.permits, QUEUE_BYTES // (connection.limit or _UNLIMITED)))
        self._used = 0
        # Before the permits: what is acknowledged by then does not come again.
        for frame in self._sent:
            connection.send(frame)
        if self._acks:
            self._send_acks()
        self.grant(self.permits)
        return True

    def grant(self, permits):
        """The broker may send so many messages more."""
        frame = flow(self.id, permits)
        self.connection.send(frame)
        self._flow = frame
        self._granted = permits

    def lost(self, error, now, slow=False):
        if self.state == READY and ticks_diff(self.connection._heard, self._sent_at) < _SURE:
            self._doubts = -1  # the broker may not have got the last ACKs
        super().lost(error, now, slow)

    def on_lost(self):
        # Whatever was not acknowledged comes again.
        self._queue = []
        self._acks_due = None
        self._used = 0
        if self.state == READY:
            if self._doubts >= 0:
                # It has them, or an administrator has moved the subscription back, to have messages sent again.
                self._sent.clear()
            self._doubts = 2 * self.permits
        if self.service:
            # In the cluster that the topic has migrated to, the same ids are those of other messages.
            self._acks = []
            self._sent.clear()
            self._doubts = 0

    def start_close(self, now):
        self.flush()
        super().start_close(now)

    def sweep(self, now):
        left = super().sweep(now)
        if self._used * 2 >= self.permits and self.state == READY:
            self.give_permits(0)
            if self._used:
                left = min(left, _ACK_GROUP_TIME)
        if self._acks and self.state == READY:
            if self._acks_due is None:
                self._acks_due = ticks_add(now, _ACK_GROUP_TIME)
            wait = ticks_diff(self._acks_due, now)
            if wait > 0:
                left = min(left, wait)
            else:
                self.flush()
        return left

    # From the broker

    def on_message(self, buffer, command, pos, end):
        if self.state != READY and self._request != _SEEKING:
            return
        if command.value[2] < 0:
            raise ProtocolError("MESSAGE without an id", pos)
        message_id = command.bytes(buffer, 2)
        redelivery_count = max(command.value[3], 0)
        start = pos
        pos = skip_broker_entry(buffer, pos, end)
        if end - pos > 6 and buffer[pos] == _MAGIC and buffer[pos + 1] == _CHECKSUM_MARK:
            if not check(buffer, pos + 2, end):
                self._unreadable(message_id, pos + 6, _CHECKSUM, buffer)
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
            self._unreadable(message_id, 1, _METADATA)
            return
        value = fields.value
        count = max(value[11], 0)
        if (
            value[8] > 0 or value[13] >= 0 or value[27] > 1 or not value[11]
            or count * _SMALLEST_ENTRY > len(data) - payload
        ):
            self._unreadable(message_id, count, _CONTENT, buffer, command)
            return
        if len(self._queue) >= _PERMIT_ENTRIES * self.permits:
            raise ProtocolError("%s: the broker sends more than the permits it has" % self.topic)
        entry = Entry(message_id, data, 4, payload, count, redelivery_count)
        if command.value[4] >= 0 or self.start or self.epoch:
            from ..features.part_of_entry import prepare

            if not prepare(self, entry, buffer, command):
                return
        self._queue.append(entry)
        self._failures = 0  # a good place: a link that is lost from now on is the first
        counts = self.counts
        counts[_ENTRIES] += 1
        if redelivery_count:
            counts[_REDELIVERED] += 1
        size = counts[_BYTES] + end - start
        if size > _LOW_MASK:
            size &= _LOW_MASK
            counts[_BYTES_HIGH] += 1
        counts[_BYTES] = size
        self.arrived()

    def on_oversize(self, buffer, command, pos, end, size):
        from ..features.unreadable import oversize

        oversize(self, buffer, command, pos, end, size)

    def _unreadable(self, message_id, permits, what, buffer=None, command=None):
        from ..features.unreadable import unreadable

        unreadable(self, message_id, permits, what, buffer, command)

    # To the user

    def take(self):
        """The next Message, or None."""
        while self._queue and self.state == READY:
            entry = self._queue[0]
            if self._doubts and not entry.index:
                self._doubts -= 1
                from ..features.part_of_entry import acknowledged

                if acknowledged(self, entry):
                    continue
            try:
                message = self._next(entry)
            except (ProtocolError, IndexError):
                self._queue.pop(0)
                self._unreadable(entry, 0, _BATCH)
                continue
            index = entry.index
            entry.index = index + 1
            if index + 1 >= entry.count:
                self._queue.pop(0)
            if entry.done and entry.done[index] == _SKIPPED:
                continue
            self.counts[_RECEIVED] += 1
            self.taken(1)
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
        message = Message(entry, metadata, start, end, entry.index, self.topic)
        entry.position = end  # not before: without memory for the Message, it is still to be taken
        return message

    def give_permits(self, count):
        """So many permits that the broker had are free again."""
        self._used += count
        if self._used * 2 >= self.permits and self.state == READY:
            # Messages taken in one go return their permits in one FLOW: the one that waits to be written grows.
            connection = self.connection
            if connection.take_back(self._flow):
                self._used += self._granted
            try:
                self.grant(self._used)
            except MemoryError:
                self.attend()  # the sweep grants them; whoever takes a message gets it
            else:
                self._used = 0

    taken = give_permits

    # Acknowledgement

    def acknowledge(self, message):
        """A Message or MessageId is done with: its entry's id leaves in a grouped ACK once all its messages are."""
        entry = message._entry
        if entry is None:
            from ..features.by_id import entry_of

            entry = entry_of(self, message)
        index = message._index
        done = entry.flags()
        if done[index]:
            return
        done[index] = 1
        try:
            if done[-1] and all(done):
                self.acknowledged(entry.message_id)
            elif self.partial:
                self.acknowledged(entry)
        except MemoryError:
            done[index] = 0  # the caller may try again
            raise
        self.counts[_ACKNOWLEDGED] += 1

    def acknowledged(self, entry):
        """An entry's id leaves with the next group; an Entry itself where it is acknowledged in part."""
        acks = self._acks
        acks.append(entry)
        if self.state != READY:
            # They leave with the next opening. What is too much comes again.
            if len(acks) > ACK_GROUP:
                acks.pop(0)
        # While the ACK before waits to be written, the next one grows: few frames, however many messages.
        elif len(acks) >= ACK_GROUP and (len(acks) >= _ACKS_GROWN or self._ack not in self.connection.control):
            try:
                self.flush()
            except MemoryError:
                self.attend()  # the sweep sends them
        elif len(acks) == 1:
            self.attend()

    def flush(self):
        """Send the acknowledgements that wait."""
        if self.state == READY:
            self._send_acks()

    def _send_acks(self):
        acks = self._acks
        if self.partial:
            acks = self.partial(acks)
        group = max(ACK_GROUP, _ACKS_GROWN)
        for start in range(0, len(acks), group):
            self._ack = ack(self.id, acks[start:start + group])
            self.connection.send(self._ack)
            self._sent.append(self._ack)
            if len(self._sent) > (_SENT_KEPT if QUEUE_BYTES else _SENT_KEPT_ON_HOSTS):
                self._sent.pop(0)
        # Not before: without memory for a frame all of them leave later, and twice does no harm.
        self._acks = []
        self._acks_due = None
        self._sent_at = self.connection.now


def _copy(buffer, pos, end):
    """buffer[pos:end] as bytes, None where there is no memory for them even after a collection."""
    for _ in range(2):
        try:
            return bytes(memoryview(buffer)[pos:end])
        except MemoryError:
            collect()
    return None


def skip_broker_entry(buffer, pos, end):
    """Where the frame goes on behind a BrokerEntryMetadata, if it has one."""
    if end - pos > 6 and buffer[pos] == _MAGIC and buffer[pos + 1] == _BROKER_ENTRY_MARK:
        pos += 6 + uint32(buffer, pos + 2)
        if pos > end:
            raise ProtocolError("broker entry metadata that does not fit its frame", pos)
    return pos
