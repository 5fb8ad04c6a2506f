"""One connection to a broker, sans-io: bytes in, frames out, and calls to its handles (producers and consumers)."""
from ..errors import ConnectError, ProtocolError, Timeout
from ..port import const, ticks_diff
from ..wire.commands import PING_FRAME, PONG_FRAME, auth_response, connect
from ..wire.kernels import copy
from ..wire.scanner import Fields, scan_command, uint32

_CONNECTED = const(3)
_SEND_RECEIPT = const(7)
_SEND_ERROR = const(8)
_MESSAGE = const(9)
_ERROR = const(14)
_CLOSE_PRODUCER = const(15)
_CLOSE_CONSUMER = const(16)
_PING = const(18)
_PONG = const(19)
_PARTITIONED_METADATA_RESPONSE = const(22)
_LOOKUP_RESPONSE = const(24)
_REACHED_END_OF_TOPIC = const(27)
_GET_LAST_MESSAGE_ID_RESPONSE = const(30)
_ACTIVE_CONSUMER_CHANGE = const(31)
_AUTH_CHALLENGE = const(36)
_ACK_RESPONSE = const(38)
_TOPIC_MIGRATED = const(68)

# SUCCESS, ERROR, PRODUCER_SUCCESS, PARTITIONED_METADATA_RESPONSE, LOOKUP_RESPONSE, CONSUMER_STATS_RESPONSE,
# GET_LAST_MESSAGE_ID_RESPONSE, GET_TOPICS_OF_NAMESPACE_RESPONSE, GET_SCHEMA_RESPONSE, ACK_RESPONSE,
# GET_OR_CREATE_SCHEMA_RESPONSE
_REPLIES = b"\x0d\x0e\x11\x16\x18\x1a\x1e\x21\x23\x26\x28"

# ms of silence after which we ask, half of that where the broker owes us an answer; ours has half of it, too.
_KEEP_ALIVE = const(30000)
_CONNECT_TIMEOUT = const(10000)  # ms from the first attempt to CONNECTED
_LATE = const(1000)  # ms by which a deadline may be noticed too late before that says something about ourselves
_MAX_MESSAGE = const(5242880)  # bytes, where CONNECTED does not say
# What may wait to be written: some, a few of each handle, and an answer to each of the smallest messages in the buffer.
_CONTROL_MOST = const(64)
_CONTROL_OF_HANDLE = const(4)
_SMALLEST = const(32)
_FRAME_EXTRA = const(10240)  # what a frame may hold besides a message of the maximum


class Connection:
    """Between `feed` (what the broker sent) and `control` (frames that go out before data).

    owner: what it belongs to, with wake() (there is something to write) and challenged() (fresh credentials, please).
    buffer[filled:] is where the next bytes belong; `buffer` changes when it grows.
    """

    def __init__(self, owner, buffer, limit, now):
        """buffer: bytearray to read into. limit: bytes to which it may grow, 0 for the broker's largest frame."""
        self.owner = owner
        self.buffer = buffer
        self.limit = limit
        self.filled = 0
        self.control = []
        self.handles = {}  # by producer or consumer id: both come from one range
        self.ready = False  # may commands be sent, even if CONNECTED has not come yet?
        self.connected = False
        self.speculation = 1  # 0: no opening leaves before its look-up's answer; above 1: so many have no answer yet
        self.max_message_size = _MAX_MESSAGE
        self.keep_alive = _KEEP_ALIVE
        self.foreign = False  # is it to another cluster, to which a topic has migrated?
        self.now = now  # tick of the last bytes received, or of the last sweep
        self._requests = {}  # by request id: the handle that waits
        self._next_request = 0
        self._fields = Fields()
        self._skip = 0  # bytes of an oversized frame still to come
        self._heard = now
        self._begun = now  # tick since which CONNECTED, or the answer to our PING, is waited for
        self._pinged = False
        self._answer = None  # the last AUTH_RESPONSE

    def start(self, auth_method, auth_data, proxy_to=None):
        """Say CONNECT, first of all; without authentication other commands may follow at once."""
        self.control.insert(0, connect(auth_method, auth_data, proxy_to))
        if auth_data is None and proxy_to is None:
            self._be_ready()
        self.owner.wake()

    def answer_challenge(self, auth_method, auth_data):
        """Send the credentials that the owner was asked for by `challenged`."""
        # The newest serves for all questions that we had no time to answer.
        self.take_back(self._answer)
        self._answer = auth_response(auth_method, auth_data)
        self.send(self._answer)

    def send(self, frame):
        """Queue a frame to go before data."""
        self.control.append(frame)
        self.owner.wake()

    def take_back(self, frame):
        """Do not send that frame after all: False where it is gone already, or may be half written."""
        control = self.control
        for index in range(1, len(control)):
            if control[index] is frame:
                control.pop(index)
                return True
        return False

    def request(self, handle):
        """A fresh request id, whose answer goes to handle.on_reply."""
        self._next_request += 1
        self._requests[self._next_request] = handle
        return self._next_request

    def expect_again(self, number, handle):
        """A second answer to the same request will follow."""
        self._requests[number] = handle

    def forget(self, handle):
        """No answer is for this handle any more; late ones are ignored."""
        self.handles.pop(handle.id, None)
        for number in [number for number in self._requests if self._requests[number] is handle]:
            del self._requests[number]

    def feed(self, count, now):
        """`count` bytes were put into buffer[filled:]. ProtocolError or PulsarError: the link is of no more use."""
        self.now = self._heard = now
        self._pinged = False
        buffer = self.buffer
        if len(self.control) > _CONTROL_MOST + _CONTROL_OF_HANDLE * len(self.handles) + len(buffer) // _SMALLEST:
            raise ProtocolError("the broker goes on asking and does not read our answers")
        end = self.filled + count
        pos = 0
        if self._skip:
            pos = min(self._skip, end)
            self._skip -= pos
        while end - pos >= 4:
            size = uint32(buffer, pos) + 4
            if size > end - pos:
                if size > len(buffer):
                    pos = self._large(pos, end, size)
                break
            self._frame(pos + 4, pos + size)
            pos += size
        left = end - pos
        if left and (pos or buffer is not self.buffer):
            copy(self.buffer, 0, buffer, pos, left)
        self.filled = left

    def _large(self, pos, end, size):
        """A frame larger than the buffer: grow, or pass it over once its head is here. Where to go on."""
        if size > self.max_message_size + _FRAME_EXTRA:
            raise ProtocolError("frame of %d bytes, above the broker's own limit" % size, pos)
        if not self.limit or size <= self.limit:
            self.buffer = bytearray(size)
            return pos
        from ..features.large_frame import pass_over

        return pass_over(self, pos, end, size)

    def _frame(self, pos, end):
        buffer = self.buffer
        fields = self._fields
        if end - pos < 4:
            raise ProtocolError("frame without a command", pos)
        command_end = pos + 4 + uint32(buffer, pos)
        if command_end > end:
            raise ProtocolError("command that does not fit its frame", pos)
        kind = scan_command(fields, buffer, pos + 4, command_end)
        value = fields.value
        if kind == _SEND_RECEIPT:
            handle = self.handles.get(value[1])
            if handle:
                handle.on_receipt(buffer, fields)
        elif kind == _MESSAGE:
            handle = self.handles.get(value[1])
            if handle:
                handle.on_message(buffer, fields, command_end, end)
        elif kind == _PING:
            # One answer serves any number of questions that we had no time to answer.
            if PONG_FRAME not in self.control:
                self.send(PONG_FRAME)
        elif kind != _PONG:
            self._rare(kind, buffer, fields)

    def _rare(self, kind, buffer, fields):
        value = fields.value
        if kind == _CONNECTED:
            size = fields.integer(buffer, 3, 0)
            if 0 < size <= 0x7FFFFFFF:
                self.max_message_size = size
            elif not size and self.speculation == 1:
                self.speculation = 0  # a proxy: it closes the link for what only a broker takes
            self.connected = True
            self._be_ready()
        elif kind == _AUTH_CHALLENGE:
            self.owner.challenged()
        elif kind < 128 and kind in _REPLIES:  # CPython raises ValueError for what no byte holds
            if kind == _LOOKUP_RESPONSE:
                number = value[4]
            elif kind == _PARTITIONED_METADATA_RESPONSE or kind == _GET_LAST_MESSAGE_ID_RESPONSE:
                number = value[2]
            else:
                number = value[6 if kind == _ACK_RESPONSE else 1]
            handle = self._requests.pop(number, None)
            if handle:
                handle.on_reply(kind, number, buffer, fields)
            elif kind == _ERROR and (not self.connected or number == 0xFFFFFFF):
                from ..features.refused import broker_error

                raise broker_error(value[2], fields.text(buffer, 3), "the connection was refused")
        else:
            handle = self.handles.get(value[1])
            if not handle:
                return
            if kind == _SEND_ERROR:
                handle.on_send_error(value[2], value[3], fields.text(buffer, 4))
            elif kind == _CLOSE_PRODUCER or kind == _CLOSE_CONSUMER:
                handle.on_closed(buffer, fields)
            elif kind == _REACHED_END_OF_TOPIC or kind == _ACTIVE_CONSUMER_CHANGE or kind == _TOPIC_MIGRATED:
                handle.on_event(kind, buffer, fields)

    def _be_ready(self):
        if not self.ready:
            self.ready = True
            for handle in list(self.handles.values()):
                handle.on_ready()

    def sweep(self, now):
        """Keep-alive and the handshake's deadline: ms until the next thing to look at. Raises when the link is dead."""
        self.now = now
        patience = _CONNECT_TIMEOUT
        silent = ticks_diff(now, self._heard)
        if self.connected:
            patience = self.keep_alive // 2
            if silent < (patience if self._waits() else self.keep_alive):
                return patience - silent % patience
            if not self._pinged:
                self._pinged = True
                self._begun = now
                self.send(PING_FRAME)
        left = patience - ticks_diff(now, self._begun)
        if left > 0:
            return left
        if left > -_LATE:
            if self.connected:
                raise ConnectError("the broker has been silent for %d s" % (silent // 1000))
            raise Timeout("no CONNECTED within %d s" % (_CONNECT_TIMEOUT // 1000))
        # Nothing ran here for a while: a handshake takes all of a board's time, a host was asleep. What came meanwhile
        # may not have been read yet.
        self._begun = now
        return patience

    def _waits(self):
        """Is there a request or a message without an answer?"""
        for handle in self.handles.values():
            ring = handle.ring
            if ring and ring.oldest < ring.unsent:
                return True
        return bool(self._requests)
