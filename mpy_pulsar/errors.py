"""Errors: one class for all that can go wrong, and the few subclasses that programs tell apart.

`code` is the broker's ServerError number (0 and up, pulsar's own names for them are in docs), or one of ours
below zero for what no broker said.
"""


class PulsarError(Exception):
    """code: int, see above. text: what was tried, where, what the broker answered and what to do."""

    code = -1
    broker = None  # "host:port" of the broker that it is about, where it is about one
    topic = None  # the full topic name, likewise

    def __init__(self, text, code=None):
        super().__init__(text)
        self.text = text
        if code is not None:
            self.code = code

    def again(self, more=""):
        """Its like, to be raised anew, with `more` behind the text: one instance raised often gathers tracebacks."""
        error = self.__class__(self.text + more)
        error.code = self.code
        error.broker = self.broker
        error.topic = self.topic
        return error

    def error(self):
        """The code, under the name pulsar-client gives it."""
        return self.code

    def advice(self):
        """What to do about an error of this code, str."""
        from .features.advice import advice

        return advice(self.code)


class Timeout(PulsarError):
    """The broker did not answer in time; what was sent may or may not have arrived, unless the text says more."""

    code = -2


class QueueFull(PulsarError):
    """No room in the send buffer now; the message was not taken. `await producer.room(size)` waits for it.

    With when_full="drop_oldest" or "drop_newest" also what a dropped message ends with: it was not sent.
    """

    code = -3


class MessageTooBig(PulsarError):
    """The message can never fit: into the send buffer, or into what the broker accepts."""

    code = -4


class AlreadyClosed(PulsarError):
    """The client, producer or consumer was closed."""

    code = -5


class ConnectError(PulsarError):
    """No link to a broker, or the link was lost."""

    code = -6


class ProtocolError(PulsarError):
    """The peer sent bytes that are not Pulsar's protocol. offset: where in the buffer, -1 where that says nothing."""

    code = -7

    def __init__(self, text, offset=-1):
        super().__init__(text if offset < 0 else "%s (offset %d)" % (text, offset))
        self.offset = offset


class Restored(PulsarError):
    """No error but the end of one: what was reported as lost is open again."""

    code = -8


class AuthenticationError(PulsarError):
    """The broker refused the credentials (ServerError 3, AuthenticationError)."""

    code = 3


PulsarException = PulsarError
