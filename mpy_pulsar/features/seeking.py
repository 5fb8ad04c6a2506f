"""SEEK: the subscription goes on from another place. The broker closes the consumer for it, which is opened again."""
from ..core.handle import NEVER, OPENING, READY
from ..core.message_id import MessageId
from ..errors import ProtocolError, Timeout
from ..port import const, ticks_add, ticks_diff, ticks_ms
from ..wire.consumer_requests import seek as seek_command
from .batch_acks import partial_id
from .extra import Extra, change, extra_of
from .part_of_entry import drop_queue
from .start import Start
from .refused import broker_error

_SUCCESS = const(13)
_ERROR = const(14)
_ANSWER_OF_OUR_OWN = const(-1)  # as the handle's request: what comes goes to `on_answer`


class Call:
    """One seek, for who waits for it."""

    def __init__(self, message_id, time, start, deadline):
        """message_id: MessageId to go to, or None; time: publish time in ms since 1970, or None. start: a Start."""
        self.message_id = message_id
        self.time = time
        self.start = start
        self.deadline = deadline
        self.waited = True  # does anybody wait for it?
        self.done = False
        self.error = None


class Seek(Extra):
    """At most one seek at a time; a link that is lost before its SUCCESS means to seek again."""

    takes_over = True

    def __init__(self, core):
        super().__init__(core)
        self.call = None  # the one under way
        self._number = 0  # of its request
        self._asked = False  # has the broker been asked, so that it may have done it?
        self._sought = False  # has the broker done it?
        self._closed = False  # has it closed the consumer?
        self._granted = False  # had that consumer its permits?

    def begin(self, call, now):
        """Start a seek; none is under way. What came before and was not taken is not delivered any more."""
        core = self.core
        self.call = call
        self._sought = self._asked = False
        if core.state == READY:
            core.flush()
            core._deadline = ticks_add(now, core.timeout)
            core._request = _ANSWER_OF_OUR_OWN
            core._set(OPENING)
            self._send(True)
        core.attend()

    def _send(self, granted):
        core = self.core
        call = self.call
        self._granted = granted
        self._asked = True
        self._closed = False
        self._number = core.connection.request(core)
        encoded = None
        if call.message_id:
            encoded = call.message_id.encoded
            index = call.message_id._index
            size = call.message_id.batch_size()
            if 0 < index < size:
                # Of a place in a batch the broker reads only what is not done with.
                done = bytearray(size)
                for before in range(index):
                    done[before] = 1
                encoded = partial_id(encoded, done)
        core.connection.send(seek_command(core.id, self._number, encoded, call.time))

    def on_opened(self):
        core = self.core
        if not self.call:
            time = getattr(core, "time", None)
            if time is None:
                return True
            # A reader's link was lost, and its place is a time that only a seek can name again.
            self.call = Call(None, time, None, core._deadline)
            self.call.waited = False
            self._sought = self._asked = False
        if not self._sought:
            self._send(False)
            return False
        self._forget()
        self._finish(None)
        return True

    def on_lost(self):
        self._number = 0
        self._give_up()

    def _give_up(self):
        """Nobody knows whether the broker has done it; if so, acknowledgements of before would undo it."""
        if self.call and self._asked:
            self._forget()

    def on_closed(self):
        core = self.core
        if not self._number:
            return False
        self._closed = True
        core._request = 0  # what still comes is of before
        return True

    def on_answer(self, kind, number, buffer, fields):
        if number != self._number or not number:
            return
        self._number = 0
        core = self.core
        call = self.call
        if kind == _SUCCESS:
            self._sought = True
            core.start = call.start
            sought = getattr(core, "sought", None)
            if sought:
                sought(call)
        elif kind != _ERROR:
            raise ProtocolError("seek of %s: command %d is no answer to it" % (core.topic, kind))
        else:
            error = broker_error(fields.value[2], fields.text(buffer, 3), "seek of %s" % core.topic)
            if self._closed or not call.waited:
                # The topic moves, or a reader would go on from anywhere: once it is open again, it seeks again.
                core.retry(error)
            else:
                self._finish(error)
                self._go_on(0)
            return
        permits = drop_queue(core)
        self._forget()
        if self._closed:
            core._open()
        else:
            self._finish(None)
            self._go_on(permits)

    def _forget(self):
        """What was to be acknowledged is of before; sent now, it would move the subscription on again."""
        core = self.core
        core._acks = []
        core._sent.clear()
        core._acks_due = None
        for extra in core.extras.list:
            extra.on_sought()

    def _go_on(self, permits):
        """The broker did not close the consumer: it is as open as before."""
        core = self.core
        core._ready_at = core.connection.now
        core._set(READY)
        if self._granted:
            core.give_permits(permits)
        else:
            core.grant(core.permits)
        for extra in core.extras.list:
            if extra is not self:
                extra.on_opened()  # what was asked meanwhile
        core.arrived()

    def _finish(self, error):
        call = self.call
        if call:
            self.call = None
            call.error = error
            call.done = True
            self.core.changed()

    def sweep(self, now):
        if not self.call:
            return NEVER
        wait = ticks_diff(self.call.deadline, now)
        if wait > 0:
            return wait
        core = self.core
        error = Timeout("seek of %s: not done within %d ms%s" % (
            core.topic, core.timeout, "; last error: %s" % core.error if core.error else ""
        ))
        self._give_up()
        self._finish(error)
        if self._number and core.connection:
            core.retry(error)
        return NEVER


async def seek(consumer, place):
    """Go to a MessageId, or to the first message published at a time (ms since 1970) or later."""
    core = consumer.core
    message_id, time, start = place, None, None
    if isinstance(place, int):
        message_id, time = None, place
    elif not isinstance(place, MessageId):
        raise ValueError("seek takes a MessageId or a time in ms since 1970, not %r" % (place,))
    elif place.entry_id() >= 0:
        start = Start(place, getattr(core, "inclusive", False), False)
    extra = extra_of(core, Seek)
    while extra.call:
        core.check()
        await change(consumer)
    core.check()
    now = ticks_ms()
    call = Call(message_id, time, start, ticks_add(now, core.timeout))
    extra.begin(call, now)
    while not call.done:
        core.check()
        await change(consumer)
    if call.error:
        raise call.error
