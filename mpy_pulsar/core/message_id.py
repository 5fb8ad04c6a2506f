"""MessageId: a message's place in its topic, kept as the bytes that the broker sent."""
from ..errors import ProtocolError
from ..port import const
from ..wire.scanner import Fields, signed
from ..wire.writer import message as encode

_MAX_UINT64 = const(0xFFFFFFFFFFFFFFFF)
_MOST_IN_BATCH = const(1 << 20)  # above what fits the largest frame
_MAX_INT64 = const(0x7FFFFFFFFFFFFFFF)


class MessageId:
    """A message's place in its topic: ledger, entry, and its index in the entry's batch (-1: not in a batch).

    Holds the encoded MessageIdData that the broker sent, which is what goes back in an acknowledgement. Comparable:
    by ledger, entry, batch index.
    """

    earliest: "MessageId"  # before the first message of a topic
    latest: "MessageId"  # behind the last one
    _entry = None  # what a Message has in its place
    earliest = latest = None  # pyright: ignore[reportAssignmentType] - set below

    def __init__(self, encoded, batch_index=-1, batch_size=0, done=None):
        """encoded: bytes of MessageIdData as received, for the whole entry. done: what its Entry has by that name."""
        self.encoded = encoded
        self._index = batch_index
        self._batch_size = batch_size
        self.done = done

    def _number(self, field, absent):
        fields = Fields(6)
        fields.scan(self.encoded, 0, len(self.encoded))
        return fields.integer(self.encoded, field, absent)

    def ledger_id(self):
        """int; -1 for `earliest`, and for the last message of an empty topic."""
        return signed(self._number(1, 0))

    def entry_id(self):
        """int; -1 likewise."""
        return signed(self._number(2, 0))

    def partition(self):
        """The partition's index, -1 where the topic is not a partition."""
        return signed(self._number(3, _MAX_UINT64))

    def batch_index(self):
        """The place in the batch from 0, -1 outside of one."""
        return self._index

    def batch_size(self):
        """Messages in the batch, 0 outside of one."""
        return self._batch_size

    def _key(self):
        fields = Fields(6)
        data = self.encoded
        fields.scan(data, 0, len(data))
        return (signed(fields.integer(data, 1, 0)), signed(fields.integer(data, 2, 0)), self._index)

    def __eq__(self, other):
        return isinstance(other, MessageId) and self._key() == other._key()

    def __lt__(self, other):
        return self._key() < other._key()

    def __le__(self, other):
        return self._key() <= other._key()

    # MicroPython does not turn a > b into b < a.
    def __gt__(self, other):
        return self._key() > other._key()

    def __ge__(self, other):
        return self._key() >= other._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        return "(%d,%d,%d,%d)" % (
            self.ledger_id(), self.entry_id(), self.partition(), self._index
        )

    def serialize(self):
        """Bytes to store and to give to `deserialize` later; those of every other Pulsar client."""
        fields = Fields(6)
        data = self.encoded
        fields.scan(data, 0, len(data))
        partition = fields.integer(data, 3)
        batched = self._index >= 0
        return encode(
            1, fields.integer(data, 1, 0), 2, fields.integer(data, 2, 0),
            3, None if partition is None else signed(partition),
            4, self._index if batched else None, 6, self._batch_size if batched and self._batch_size else None,
        )

    @staticmethod
    def deserialize(data):
        """The MessageId that `serialize` made the bytes of, here or in another client; ProtocolError if it is none."""
        fields = Fields(6)
        fields.scan(data, 0, len(data))
        if fields.value[1] < 0 or fields.value[2] < 0:
            raise ProtocolError("a message id without a ledger or an entry")
        size = fields.integer(data, 6, 0)
        if size > _MOST_IN_BATCH:
            raise ProtocolError("a message id in a batch of %d messages" % size)
        partition = fields.integer(data, 3)
        index = signed(fields.integer(data, 4, _MAX_UINT64))
        return MessageId(
            encode(
                1, fields.integer(data, 1, 0), 2, fields.integer(data, 2, 0),
                3, None if partition is None else signed(partition),
            ),
            index, size,
        )


MessageId.earliest = MessageId(encode(1, -1, 2, -1))
MessageId.latest = MessageId(encode(1, _MAX_INT64, 2, _MAX_INT64))
