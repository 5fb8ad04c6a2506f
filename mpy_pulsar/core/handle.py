"""What a producer and a consumer have in common: being refused, moved, closed, and every deadline; sans-io."""
from ..errors import AlreadyClosed, ConnectError, Timeout
from ..port import const, ticks_add, ticks_diff
from ..wire.commands import close
from .retry import back_off
from .topic import is_partition

_TOPIC_MIGRATED = const(68)
_OPENINGS = const(0)  # in `counts`, all but the first


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
    reporter(error) with errors that belong to no call.
    """

    close_kind = 0  # the command that closes it
    opened_kind = 0  # the answer that opens it
    ring = None  # a producer's messages
    counts = ()  # of a producer or consumer a list, see features/stats
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
        self.established = False  # has create_producer or subscribe returned?
        self.not_before = None  # tick before which no new attempt is made
        # Where to try next: (url, TLS url, through the proxy, authoritative, already looked up). The proxy: see `place`
        # in net/supervisor. Instead of True at the end: ms for the link, see features/moved.
        self.move_to = None
        self.service = None  # (url, TLS url) of the cluster that the topic has migrated to
        self.owner = None  # what the application holds
        self.wake = nothing  # the link's writer, where there is one
        self.changed = nothing
        self.attend = nothing
        self.reporter = nothing
        self._born = None
        self._patience = timeout
        self._deadline = 0  # tick by which the step under way must end
        self._request = 0
        self._metadata = 0  # the request for the number of partitions
        self._early = 0  # the opening sent before the look-up's answer
        self._found = None  # the look-up's answer, while that about partitions is still to come
        self._failures = 0  # in a row
        self._mending = 0  # those of them that somebody has to mend
        self._ready_at = None  # tick of the last READY
        self._tries = 0  # since it was READY
        self._lost_for = 0  # ms until the last of them
        self._lost_at = 0  # the tick of that one
        self._redirects = 0
        self._authoritative = False
        self._place_known = False
        self._proxied = False  # did the last look-up's answer lead through a proxy?
        self._listener_name = None

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
        if kind == _TOPIC_MIGRATED:
            from ..features.moved import migrated

            migrated(self, buffer, fields)

    def attach(self, connection, now, listener_name=None):
        """Start on a connection: look up, then open. Where the last look-up named this place, open at once."""
        move = self.move_to
        self.move_to = None
        self.connection = connection
        self.wake = connection.owner.wake
        connection.handles[self.id] = self
        self._authoritative = bool(move and move[3])
        self._place_known = known = move[4] if move else 0
        self._listener_name = listener_name
        self._deadline = ticks_add(now, known if known > 1 else self.timeout)
        self.state = WAITING
        if connection.ready:
            self.on_ready()

    # Trouble

    def _refused_by(self, kind, buffer, fields, step):
        from ..features.refused import refused_by

        refused_by(self, kind, buffer, fields, step)

    def retry(self, error, slow=False):
        """Leave the connection and try again later, by a fresh look-up."""
        self._back_off(error, self.connection.now, slow)
        self.report(error)
        self._leave_open()

    def report(self, error):
        """Tell of an error that belongs to no call."""
        error.topic = self.topic
        if self.connection:
            error.broker = self.connection.owner.describe()
        self.reporter(error)

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
        if not self._failures:
            self._mending = 0
        self._failures += 1
        self._mending += slow
        # A broker that has just started may say for a moment what is true for ever elsewhere.
        self.not_before = ticks_add(now, back_off(self._mending if slow else self._failures, slow))
        if self._ready_at is not None:
            if self._tries:
                self._lost_for += ticks_diff(now, self._lost_at)  # piece by piece: ticks reach no farther than days
            self._lost_at = now
            self._tries += 1

    def _settle(self, now):
        """READY alone ends no row of failures: a broker may open a producer and refuse whatever it sends."""
        if self.state == READY and ticks_diff(now, self._ready_at) >= _SETTLED:
            self._failures = 0

    def on_closed(self, buffer, fields):
        """CLOSE_PRODUCER or CLOSE_CONSUMER from the broker: the topic moves."""
        if self.state == CLOSING:
            self.reporter = nothing  # theirs crosses ours, which they may refuse now
            return
        self.retry(ConnectError("%s: the broker closed it, the topic moves" % self.topic))
        if fields.value[3] > 0 or fields.value[4] > 0:
            from ..features.moved import assigned

            assigned(self, buffer, fields)

    def _ready(self):
        tries = self._tries
        now = self.connection.now
        lost_for = self._lost_for + ticks_diff(now, self._lost_at)
        self._redirects = self._tries = self._lost_for = 0
        if self.counts:
            self.counts[_OPENINGS] += 1
        self._ready_at = now
        self.established = True
        self._set(READY)
        self.wake()  # what was queued while there was no broker
        if tries:
            try:
                from ..features.restored import restored

                restored(self, lost_for, tries)
            except MemoryError:
                pass  # it is open all the same

    def fail(self, error):
        """The end: `error` is raised by every call that waits or comes later."""
        self.failure = error
        error.topic = self.topic
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
            self.attend()

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
                from ..features.refused import too_late

                self.fail(too_late(self))
                return NEVER
        else:
            left = NEVER
        if WAITING <= self.state <= OPENING or self.state == CLOSING:
            step = ticks_diff(self._deadline, now)
            if step <= 0:
                if self.state == CLOSING:
                    connection = self.connection
                    number = self._request
                    self._leave()
                    self._set(CLOSED)
                    from ..features.late import Late

                    Late(connection, number, self.close_kind, self.id, self.report, self.topic)
                    return NEVER
                self.retry(Timeout("%s: no answer from the broker in time" % self.topic))
                return left
            left = min(left, step)
        return left

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
