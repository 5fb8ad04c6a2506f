"""Answers that nobody waits for any more. An opening that was given up may succeed all the same: a broker that looks up
permissions first may handle the close before the opening that it belongs to, and then hold the name or the subscription
for as long as the link lives. A close that took too long may yet be refused."""
from ..port import const
from ..wire.commands import close
from .refused import broker_error

_ERROR = const(14)
_MOST = const(8)  # on one link; a broker need not answer all of them


class Late:
    """Waits in a handle's place for the answer to its opening, or to its close."""

    def __init__(self, connection, number, close_kind, handle_id, report=None, topic=None):
        """number: of the request. close_kind: of the command that closes what comes of an opening. report, topic: where
        that request was the close: whom to tell of its refusal."""
        self._connection = connection
        self._close_kind = close_kind
        self._id = handle_id
        self._report = report
        self._topic = topic
        requests = connection._requests
        others = sorted([one for one in requests if requests[one].__class__ is Late])
        for one in others[:len(others) + 1 - _MOST]:
            del requests[one]
        connection.expect_again(number, self)

    def on_reply(self, kind, number, buffer, fields):
        """The answer to an opening: where the handle is back on this link, what comes of its later opening counts."""
        connection = self._connection
        if self._report:
            if kind == _ERROR:
                self._report(broker_error(fields.value[2], fields.text(buffer, 3), "closing of %s" % self._topic))
            return
        if kind != _ERROR and self._id not in connection.handles:
            again = connection.request(self)
            del connection._requests[again]  # nobody waits for that answer
            connection.send(close(self._close_kind, self._id, again))
