"""Questions to the broker that a consumer waits for: sent again with every new link, until their deadline."""
from ..core.handle import NEVER, READY
from ..errors import AlreadyClosed, ProtocolError, Timeout
from ..port import const, ticks_add, ticks_diff, ticks_ms
from ..wire.consumer_requests import get_last_message_id, unsubscribe
from .extra import Extra, change, extra_of
from .refused import broker_error

_SUCCESS = const(13)
_ERROR = const(14)
_GET_LAST_MESSAGE_ID_RESPONSE = const(30)


class Request:
    """One question. make(consumer id, request id): its frame; kind: of the answer; tried: for error texts."""

    def __init__(self, make, kind, tried, deadline):
        self.make = make
        self.kind = kind
        self.tried = tried
        self.deadline = deadline
        self.number = 0  # on the link there is now; 0: not sent
        self.done = False
        self.error = None
        self.last = None  # encoded ids that an answer holds
        self.marked = None


class Requests(Extra):
    """The questions of one consumer that have no answer yet."""

    def __init__(self, core):
        super().__init__(core)
        self.waiting = []
        self._left = None  # an UNSUBSCRIBE that nobody waits for any more

    def add(self, request):
        """Send it now, or with the next link."""
        self.waiting.append(request)
        if self.core.state == READY:
            self._send(request)
        self.core.attend()

    def _send(self, request):
        connection = self.core.connection
        request.number = connection.request(self.core)
        connection.send(request.make(self.core.id, request.number))

    def on_opened(self):
        for request in self.waiting:
            if not request.number:
                self._send(request)
        return True

    def on_lost(self):
        self._left = None
        for request in self.waiting:
            request.number = 0

    def on_answer(self, kind, number, buffer, fields):
        for request in self.waiting:
            if request.number == number:
                self._answered(request, kind, buffer, fields)
                return
        left = self._left
        if left and left.number == number:
            self._left = None
            if kind == _SUCCESS:
                self._unsubscribed()
            elif kind == _ERROR:
                self.core.report(broker_error(fields.value[2], fields.text(buffer, 3), left.tried))

    def _answered(self, request, kind, buffer, fields):
        if kind == _ERROR:
            self.finish(request, broker_error(fields.value[2], fields.text(buffer, 3), request.tried))
            return
        if kind != request.kind:
            raise ProtocolError("%s: command %d is no answer to it" % (request.tried, kind))
        if kind == _GET_LAST_MESSAGE_ID_RESPONSE:
            request.last = fields.bytes(buffer, 1)
            request.marked = fields.bytes(buffer, 3)
            if not request.last:
                raise ProtocolError("%s: the answer holds no id" % request.tried)
            self.finish(request, None)
        else:
            self.finish(request, None)
            self._unsubscribed()

    def _unsubscribed(self):
        core = self.core
        core._leave()
        core.fail(AlreadyClosed("%s: unsubscribed" % core.topic))

    def leave(self, request):
        """Nobody waits for it any more. The broker may yet remove the subscription, and then the consumer is gone."""
        self.waiting.remove(request)
        if request.kind == _SUCCESS:
            self._left = request

    def finish(self, request, error):
        """It has its answer, or will get none."""
        self.leave(request)
        request.error = error
        request.done = True
        self.core.changed()

    def sweep(self, now):
        left = NEVER
        for request in list(self.waiting):
            wait = ticks_diff(request.deadline, now)
            if wait > 0:
                left = min(left, wait)
            else:
                core = self.core
                why = "; last error: %s" % core.error if core.error else ""
                error = Timeout("%s: no answer from the broker within %d ms%s" % (request.tried, core.timeout, why))
                self.finish(request, error)
        return left


async def ask(consumer, make, kind, what):
    """Ask the broker and wait: the Request with its answer. Raises what the broker says, Timeout, or the consumer's
    own end."""
    core = consumer.core
    core.check()
    core.flush()
    request = Request(make, kind, "%s of %s" % (what, core.topic), ticks_add(ticks_ms(), core.timeout))
    requests = extra_of(core, Requests)
    requests.add(request)
    try:
        while not request.done:
            core.check()
            await change(consumer)
    finally:
        if request in requests.waiting:
            requests.leave(request)
    if request.error:
        raise request.error
    return request


async def last_message(consumer):
    """The Request whose `last` is the id of the topic's last message."""
    return await ask(consumer, get_last_message_id, _GET_LAST_MESSAGE_ID_RESPONSE, "the last message id")


async def remove_subscription(consumer):
    """UNSUBSCRIBE, which ends the consumer too."""
    await ask(consumer, unsubscribe, _SUCCESS, "unsubscribing")
