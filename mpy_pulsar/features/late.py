"""An opening that was given up may succeed all the same: a broker that looks up permissions first may handle the close
before the opening that it belongs to, and then hold the name or the subscription for as long as the link lives."""
from ..port import const
from ..wire.commands import close

_ERROR = const(14)
_MOST = const(8)  # on one link; a broker need not answer all of them


class Late:
    """Waits in a handle's place for the answer to its opening."""

    def __init__(self, connection, number, close_kind, handle_id):
        """number: of the opening's request. close_kind: of the command that closes what comes of it."""
        self._connection = connection
        self._close_kind = close_kind
        self._id = handle_id
        requests = connection._requests
        others = sorted([one for one in requests if requests[one].__class__ is Late])
        for one in others[:len(others) + 1 - _MOST]:
            del requests[one]
        connection.expect_again(number, self)

    def on_reply(self, kind, number, buffer, fields):
        """The answer. Where the handle is back on this link, what comes of its later opening counts."""
        connection = self._connection
        if kind != _ERROR and self._id not in connection.handles:
            again = connection.request(self)
            del connection._requests[again]  # nobody waits for that answer
            connection.send(close(self._close_kind, self._id, again))
