"""Decoding in a replay, frames with a payload apart: what a client receives through Connection.feed, the rest through
the scanner alone."""
from mpy_pulsar.core.connection import Connection
from mpy_pulsar.errors import PulsarError
from mpy_pulsar.wire.commands import PONG_FRAME
from mpy_pulsar.wire.scanner import Fields, scan_command
from tests.unit.vector_feed import feed, feed_everywhere
from tests.unit.vector_file import value_of
from tests.unit.vector_generic import compare, encode
from tests.unit.vector_same import Difference, same

RECEIVED = (3, 7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 22, 24, 26, 27, 30, 31, 33, 35, 36, 38, 40, 68)
_REQUEST_FIELD = {22: 2, 24: 4, 30: 2, 38: 6}  # of answers; that of all others is 1
_ANSWERS = (13, 14, 17, 22, 24, 26, 30, 33, 35, 38, 40)
_TO_A_HANDLE = (7, 8, 9, 15, 16, 27, 31, 68)
_LOW_MASK = 0xFFFFFFF
_MAX_UINT64 = 0xFFFFFFFFFFFFFFFF


def decode_vector(vector):
    """Decode a vector that is no frame with a payload, in every way there is, and compare.

    True: by the functions that the client itself calls.
    """
    data = vector.data
    command = vector.command
    strict = not vector.decode_only
    if vector.kind == "message":
        compare("decode", command, data, 0, len(data), strict)
        return vector.about == "MessageIdData" and _message_id(vector, strict)
    if vector.kind == "sub":
        kind = int(vector.about)
        data = encode([1, kind, kind, bytes(data)])
        command = [1, kind, kind, command]
    elif vector.kind == "simple":
        data = data[8:]
    kind = value_of(command, 1)
    compare("decode", command, data, 0, len(data), strict)
    fields = Fields(31)
    same("decode, type", kind, scan_command(fields, data, 0, len(data)))
    start, end = _sub_message(data, 0, len(data), kind)
    compare("decode by scan_command", value_of(command, kind), data, start, end, strict, fields)
    if kind not in RECEIVED:
        return False
    size = len(data)
    frame = (size + 4).to_bytes(4, "big") + size.to_bytes(4, "big") + bytes(data)
    if vector.kind == "simple":
        same("frame", frame, bytes(vector.data))
    feed_everywhere(_Receiver(kind, value_of(command, kind), strict), frame)
    return True


def _sub_message(buffer, start, end, kind):
    """Where the message of a command stands, found apart from the client's own way."""
    outer = Fields(127)
    outer.scan(buffer, start, end)
    at = outer.start(kind)
    return at, at + outer.value[kind]


class _Receiver:
    """A connection with one handle that compares all it is called for with one command."""

    def __init__(self, kind, pairs, strict):
        self.kind = kind
        self.pairs = pairs
        self.strict = strict
        self.id = value_of(pairs, 1, 0) if kind in _TO_A_HANDLE else 0
        self.ring = None
        self.calls = 0
        self.challenges = 0
        self.failure = None
        self.connection = Connection(self, bytearray(64), 0, 0)

    # The connection's owner

    def wake(self):
        """There is something to write."""

    def challenged(self):
        """AUTH_CHALLENGE."""
        self.challenges += 1

    # Its one handle

    def on_ready(self):
        """CONNECTED."""

    def _seen(self, buffer, fields):
        self.calls += 1
        start, end = _sub_message(buffer, 8, 8 + int.from_bytes(buffer[4:8], "big"), self.kind)
        compare("decode by feed", self.pairs, buffer, start, end, self.strict, fields)

    def on_reply(self, kind, number, buffer, fields):
        """An answer."""
        same("type of the answer", self.kind, kind)
        self._seen(buffer, fields)

    def on_receipt(self, buffer, fields):
        """SEND_RECEIPT."""
        self._seen(buffer, fields)

    def on_closed(self, buffer, fields):
        """CLOSE_PRODUCER, CLOSE_CONSUMER."""
        self._seen(buffer, fields)

    def on_event(self, kind, buffer, fields):
        """TOPIC_MIGRATED and the like."""
        same("type of the event", self.kind, kind)
        self._seen(buffer, fields)

    def on_message(self, buffer, fields, pos, end):
        """MESSAGE."""
        same("where the command ends", end, pos)
        self._seen(buffer, fields)

    def on_send_error(self, sequence, code, text):
        """SEND_ERROR."""
        same("sequence id", value_of(self.pairs, 2) & _LOW_MASK, sequence)
        same("error", value_of(self.pairs, 3), code)
        same("text", value_of(self.pairs, 4, ""), text)
        self._seen(self.connection.buffer, self.connection._fields)

    # Rounds

    def expect(self):
        """Before a round."""
        connection = self.connection
        self.calls = self.challenges = 0
        self.failure = None
        connection.filled = 0
        connection.connected = self.kind != 14
        connection.handles = {self.id & _LOW_MASK: self}
        if self.kind in _ANSWERS:
            number = value_of(self.pairs, _REQUEST_FIELD.get(self.kind, 1))
            if not self._refusal():
                connection.expect_again(number & _LOW_MASK, self)
        del connection.control[:]

    def _refusal(self):
        return self.kind == 14 and value_of(self.pairs, 1) == _MAX_UINT64

    def feed(self, data, start, end):
        """What a link's reader does."""
        try:
            feed(self.connection, data, start, end)
        except PulsarError as error:
            if not self._refusal():
                raise
            self.failure = error

    def check(self):
        """After a round."""
        connection = self.connection
        kind = self.kind
        if kind == 18:
            same("answer to PING", [PONG_FRAME], connection.control)
        elif kind == 19:
            same("answer to PONG", [], connection.control)
        elif kind == 3:
            same("connected", True, connection.connected)
            most = value_of(self.pairs, 3)
            if most is not None:
                same("max_message_size", most, connection.max_message_size)
            self._seen(connection.buffer, connection._fields)
        elif kind == 36:
            same("challenges", 1, self.challenges)
            self._seen(connection.buffer, connection._fields)
        elif self._refusal():
            same("refusal", value_of(self.pairs, 2), self.failure and self.failure.code)
            if value_of(self.pairs, 3) not in self.failure.text:
                raise Difference("the error does not hold the broker's text: %s" % self.failure)
            return
        else:
            same("calls of the handle", 1, self.calls)
        same("bytes left over", 0, connection.filled)


def _message_id(vector, strict):
    """MessageId.deserialize and serialize; True where they hold all that is in the vector."""
    from mpy_pulsar.core.message_id import MessageId
    from mpy_pulsar.wire.scanner import signed

    if not {1, 2, 3, 4, 6}.issuperset(vector.command[::2]):
        return False
    message_id = MessageId.deserialize(bytes(vector.data))
    found = (message_id.ledger_id(), message_id.entry_id(), message_id.partition(), message_id.batch_index(),
             message_id.batch_size())
    absent = ((1, 0), (2, 0), (3, -1), (4, -1), (6, 0))
    expected = [value_of(vector.command, field, none) for field, none in absent]
    expected[:2] = [signed(value) for value in expected[:2]]
    same("MessageId.deserialize", tuple(expected), found)
    if strict:
        same("MessageId.serialize", bytes(vector.data), message_id.serialize())
    return True
