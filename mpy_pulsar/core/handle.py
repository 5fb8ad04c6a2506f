"""What a producer and a consumer have in common: being refused, moved, closed, and every deadline; sans-io."""
from ..errors import AlreadyClosed, ConnectError, ProtocolError, Timeout
from ..port import const, ticks_add, ticks_diff
from ..wire.commands import close
from .connection import broker_error
from .retry import back_off, verdict
from .topic import is_partition

_ERROR = const(14)

_METADATA_ERROR = const(1)
_CONSUMER_BUSY = const(5)
_PRODUCER_BUSY = const(16)
_ENCRYPTION = "Encryption is required"

# A name that our own dead link still holds is free again after two keep-alive intervals of the broker.
_BUSY_WAIT = const(70000)

# ms after which a place at a broker has proved good: one that is lost sooner counts as a further failure in a row.
_SETTLED = const(5000)

# States of a handle
IDLE = const(0)  # on no connection: the supervisor finds it one
WAITING = const(1)  # on a connection that is not ready
LOOKING = const(2)  # LOOKUP sent
OPENING = const(3)  # PRODUCER or SUBSCRIBE sent
READY = const(4)
CLOSING = const(5)  # close command sent
CLOSED = const(6)  # by us or by a final failure

NEVER = const(600000)  # ms: nothing to look at; the sweep comes by at least that often


def nothing(*_):
    """What a handle calls where nobody listens."""


class Handle:
    """One producer or consumer as the broker knows it. The supervisor attaches it to connections and sweeps it.

    Calls on its owner: changed() after a change of `state`, attend() when the supervisor should look at it,
    report(error) for errors that belong to no call.
    """

    close_kind = 0  # the command that closes it
    opened_kind = 0  # the answer that opens it
    ring = None  # a producer's messages
    speculates = False  # may the opening command leave before the look-up's answer?
    partition = -2  # of a partitioned parent: -2 refuses it, -1 takes any, else the one
    due = NEVER  # ms until a producer's open batch is to be transmitted

    def __init__(self, topic, handle_id, timeout):
        """timeout: ms for one step (look-up, opening, closing), and for the whole of the first opening."""
        self.topic = topic
        self.plain = is_partition(topic)  # known to have no partitions
        self.id = handle_id
        self.timeout = timeout
        self.connection = None
        self.state = IDLE
        self.failure = None  # the error that ended it
        self.error = None  # the last one that did not
        self.established = False  # has it ever been READY?
        self.not_before = None  # tick before which no new attempt is made
        self.move_to = None  # (url, TLS url, through the proxy, authoritative, already looked up): where to try next
        self.owner = None  # what the application holds
        self.wake = nothing  # the link's writer, where there is one
        self.changed = nothing
        self.attend = nothing
        self.report = nothing
        self._born = None
        self._patience = timeout
        self._deadline = 0  # tick by which the step under way must end
        self._request = 0
        self._metadata = 0  # the request for the number of partitions
        self._early = 0  # the opening sent before the look-up's answer
        self._found = None  # the look-up's answer, while that about partitions is still to come
        self._failures = 0  # in a row
        self._ready_at = 0  # tick of the last READY
        self._redirects = 0
        self._authoritative = False
        self._place_known = False

    # What a producer or consumer adds

    def on_ready(self):
        """The connection takes commands."""
        raise NotImplementedError

    def open_command(self, request_id):
        """The frame of PRODUCER or SUBSCRIBE."""
        raise NotImplementedError

    def on_opened(self, number, buffer, fields):
        """The broker's success. True: the handle is READY."""
        return True

    def on_lost(self):
        """The connection or the broker's half of the handle is gone."""

    def on_answer(self, kind, number, buffer, fields):
        """An answer to a request of the handle's own."""

    def on_receipt(self, buffer, fields):
        """SEND_RECEIPT."""

    def on_send_error(self, sequence, code, text):
        """SEND_ERROR."""

    def on_message(self, buffer, fields, pos, end):
        """MESSAGE; what follows the command is buffer[pos:end]."""

    def on_oversize(self, buffer, fields, pos, end, size):
        """A MESSAGE of `size` bytes that the read buffer cannot hold; its head is buffer[pos:end]."""

    def on_event(self, kind, buffer, fields):
        """REACHED_END_OF_TOPIC, ACTIVE_CONSUMER_CHANGE, TOPIC_MIGRATED."""

    def attach(self, connection, now, listener_name=None):
        """Start on a connection: look up, then open. Where the last look-up named this place, open at once."""
        move = self.move_to
        self.move_to = None
        self.connection = connection
        self.wake = connection.owner.wake
        connection.handles[self.id] = self
        self._authoritative = bool(move and move[3])
        self._place_known = bool(move and move[4])
        self._listener_name = listener_name
        self._deadline = ticks_add(now, self.timeout)
        self.state = WAITING
        if connection.ready:
            self.on_ready()

    # Trouble

    def _refused_by(self, kind, buffer, fields, step):
        """An answer that is not the success asked for: ERROR, or one that belongs to no such request."""
        if kind != _ERROR:
            raise ProtocolError("%s of %s: command %d is no answer to it" % (step, self.topic, kind))
        self._request = 0
        self._refused(fields.value[2], fields.text(buffer, 3), step)

    def _refused(self, code, text, step):
        error = broker_error(code, text, "%s of %s at %s" % (step, self.topic, self.connection.owner.describe()))
        answer = verdict(code, self.established)
        if not self.established:
            if code == _METADATA_ERROR and _ENCRYPTION in text:
                answer = "f"  # a namespace's policy under a general code: no retry helps whoever waits for the opening
            elif code == _PRODUCER_BUSY and self._patience < _BUSY_WAIT:
                self._patience = _BUSY_WAIT
        if answer == "f":
            self._leave_open()
            self.fail(error)
        else:
            self.retry(error, answer == "s")

    def retry(self, error, slow=False):
        """Leave the connection and try again later, by a fresh look-up."""
        self._back_off(error, self.connection.now, slow)
        self.report(error)
        self._leave_open()
        self.attend()

    def refuse_place(self, error, now):
        """The place that a look-up named cannot be used."""
        self.move_to = None
        self.report(error)
        self.lost(error, now)
        self.attend()  # for the next try's time

    def lost(self, error, now, slow=False):
        """The connection died of `error`."""
        if self.state == CLOSING:
            self._leave()
            self._set(CLOSED)
            return
        self._back_off(error, now, slow)
        self._leave()

    def _back_off(self, error, now, slow):
        self._settle(now)
        self.error = error
        self._redirects = 0
        self._failures += 1
        self.not_before = ticks_add(now, back_off(self._failures, slow))

    def _settle(self, now):
        """READY alone ends no row of failures: a broker may open a producer and refuse whatever it sends."""
        if self.state == READY and ticks_diff(now, self._ready_at) >= _SETTLED:
            self._failures = 0

    def on_closed(self, buffer, fields):
        """CLOSE_PRODUCER or CLOSE_CONSUMER from the broker: the topic moves."""
        if self.state == CLOSING:
            return
        self.retry(ConnectError("%s: the broker closed it, the topic moves" % self.topic))

    def fail(self, error):
        """The end: `error` is raised by every call that waits or comes later."""
        self.failure = error
        self._set(CLOSED)

    def _leave_open(self):
        """Leave a connection that lives: a late success must not keep a handle open there."""
        number = self._early or (self._request if self.state == OPENING else 0)
        connection = self.connection
        if number:
            if self._early > 0:
                connection.speculation -= 1
            connection.send(close(self.close_kind, self.id, connection.request(self)))
        self._leave()
        if number > 0:
            from ..features.late import Late

            Late(connection, number, self.close_kind, self.id)

    def _leave(self):
        """Give up the connection; the handle is IDLE."""
        connection = self.connection
        self.connection = None
        self.wake = nothing
        self._request = self._metadata = self._early = 0
        self._found = None
        if connection:
            connection.forget(self)
            self.on_lost()
        if self.state != CLOSED:
            self._set(IDLE)

    def _set(self, state):
        if state != self.state:
            self.state = state
            self.changed()

    # Time

    def wait_before(self, now):
        """ms until a new attempt may be made, 0: now."""
        if self.not_before is None:
            return 0
        wait = ticks_diff(self.not_before, now)
        if wait > 0:
            return wait
        self.not_before = None
        return 0

    def sweep(self, now):
        """Deadlines: ms until the next one."""
        self._settle(now)  # by and by; ticks cannot tell how long ago last week was
        if not self.established and self.failure is None and self.state != CLOSED:
            if self._born is None:
                self._born = now
            left = self._patience - ticks_diff(now, self._born)
            if left <= 0:
                self._leave_open()
                self.fail(self._too_late())
                return NEVER
        else:
            left = NEVER
        if WAITING <= self.state <= OPENING or self.state == CLOSING:
            step = ticks_diff(self._deadline, now)
            if step <= 0:
                if self.state == CLOSING:
                    self._leave()
                    self._set(CLOSED)
                    return NEVER
                self.retry(Timeout("%s: no answer from the broker within %d ms" % (self.topic, self.timeout)))
                return left
            left = min(left, step)
        return left

    def _too_late(self):
        """What ends an opening that took too long: the broker's own word where it holds the name or the topic."""
        error = self.error
        if error and (error.code == _PRODUCER_BUSY or error.code == _CONSUMER_BUSY):
            return error
        why = "; last error: %s" % error if error else ""
        return Timeout("opening %s took longer than %d ms%s" % (self.topic, self._patience, why))

    # Closing

    def start_close(self, now):
        """Close it at the broker; CLOSED comes with the answer, or at once where there is no connection."""
        if self.failure is None:
            self.failure = AlreadyClosed("%s: closed" % self.topic)
        if self.state == READY:
            self._deadline = ticks_add(now, self.timeout)
            self._request = self.connection.request(self)
            self.connection.send(close(self.close_kind, self.id, self._request))
            self._set(CLOSING)
        elif self.state != CLOSING and self.state != CLOSED:
            self._leave_open()
            self._set(CLOSED)

    def check(self):
        """Raise what ended the handle, if anything did."""
        if self.failure:
            raise self.failure.again()
