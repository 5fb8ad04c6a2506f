"""What a consumer hands out: messages, views of the entry that came; all but the payload is read on demand."""
from ..port import const
from ..wire.scanner import Fields, each

_METADATA_FIELDS = const(31)

SKIPPED = const(2)  # in Entry.done: not to be delivered, its permit is settled


class Entry:
    """One received entry, a batch or a single message: a copy of all that came behind the command.

    data[metadata:payload] is its MessageMetadata, data[payload:] its messages.
    """

    def __init__(self, message_id, data, metadata, payload, count, redelivery_count):
        self.message_id = message_id  # encoded MessageIdData
        self.data = data
        self.metadata = metadata
        self.payload = payload
        self.position = payload  # of the next message to be taken
        self.count = count  # messages in the batch; 0: a single message
        self.index = 0  # of the next message to be taken
        self.done = None  # bytearray, made when first needed: of each message 0, 1 acknowledged, or SKIPPED
        self.redelivery_count = redelivery_count

    def flags(self):
        """Its `done`, made now if need be."""
        if self.done is None:
            self.done = bytearray(self.count or 1)
        return self.done


class Message:
    """One message; `data()` copies the payload out, all else is read when asked for."""

    def __init__(self, entry, metadata, start, end, index, topic):
        self._entry = entry
        self._metadata = metadata  # where its own (Single)MessageMetadata starts; it ends at the payload
        self._start = start
        self._end = end
        self._index = index
        self._topic = topic

    def data(self):
        """The payload, bytes."""
        return self._entry.data[self._start:self._end]

    value = data  # without a schema

    def message_id(self):
        """Its MessageId."""
        # Loaded on demand: who only takes payloads and acknowledges never holds an id.
        from .message_id import MessageId

        entry = self._entry
        return MessageId(entry.message_id, self._index, entry.count, entry.flags())

    def topic_name(self):
        """The full name of the topic it came from."""
        return self._topic

    def redelivery_count(self):
        """How often the broker sent it before, int."""
        return self._entry.redelivery_count

    def batch_place(self):
        """Where it stood in its entry: "single", "first", "intermediate" or "last"."""
        count = self._entry.count
        if count < 2:
            return "single"
        if not self._index:
            return "first"
        return "last" if self._index == count - 1 else "intermediate"

    def _end_of_metadata(self):
        return self._start if self._entry.count else self._entry.payload

    def _own(self):
        """The fields of its own metadata."""
        fields = Fields(_METADATA_FIELDS)
        fields.scan(self._entry.data, self._metadata, self._end_of_metadata())
        return fields

    def _of_entry(self):
        """The fields of the entry's MessageMetadata."""
        fields = Fields(_METADATA_FIELDS)
        entry = self._entry
        fields.scan(entry.data, entry.metadata, entry.payload)
        return fields

    def properties(self):
        """dict of str to str, empty where there are none."""
        data = self._entry.data
        found = {}
        fields = Fields(2)
        field = 1 if self._entry.count else 4
        for at, size in each(data, self._metadata, self._end_of_metadata(), field):
            fields.scan(data, at, at + size)
            found[fields.text(data, 1)] = fields.text(data, 2)
        return found

    def partition_key(self):
        """str, "" where there is none; a binary key arrives in base64, as it was sent."""
        return self._own().text(self._entry.data, 2 if self._entry.count else 6)

    def ordering_key(self):
        """bytes, b"" where there is none."""
        return self._own().bytes(self._entry.data, 7 if self._entry.count else 18) or b""

    def event_timestamp(self):
        """Milliseconds since 1970 as its sender gave them, 0 where it gave none."""
        return self._own().integer(self._entry.data, 5 if self._entry.count else 12, 0)

    def has_null_value(self):
        """Was it sent without a value (a tombstone of a compacted topic)? bool."""
        return self._own().value[9 if self._entry.count else 25] > 0

    def publish_timestamp(self):
        """Milliseconds since 1970 by its sender's clock, int."""
        return self._of_entry().integer(self._entry.data, 3, 0)

    def producer_name(self):
        """str."""
        return self._of_entry().text(self._entry.data, 1)

    def sequence_id(self):
        """Its sender's number for it: in a batch its own where it has one, else the first one's plus its place."""
        entry = self._entry
        if entry.count:
            own = self._own().integer(entry.data, 8)
            if own is not None:
                return own
        return self._of_entry().integer(entry.data, 2, 0) + max(self._index, 0)

    def schema_version(self):
        """bytes (eight, big-endian), b"" without a schema."""
        return self._of_entry().bytes(self._entry.data, 16) or b""
