"""Why a link ended before CONNECTED, as far as one can tell; loaded when the first one does."""
from ..errors import ConnectError, PulsarError
from ..port import ticks_ms

# Broken pipe, reset, and mbedTLS's end of a connection (-0x7280): the broker closed it.
_CLOSED = (32, 104, -29312)


def explain(stream, connection, tls, error, failure):
    """The broker's own reason, or `failure` (what `error` says), with a hint where the port is of the other kind."""
    if not isinstance(error, OSError):
        return failure
    return _last_word(stream, connection) or _with_hint(tls, error, failure)


def _last_word(stream, connection):
    """What the broker said before it closed the link; None where it said nothing."""
    # A write fails at once, while the answer that explains it may still wait to be read.
    try:
        count = stream.readinto(memoryview(connection.buffer)[connection.filled:])
        if count:
            connection.feed(count, ticks_ms())
    except PulsarError as word:
        return word
    except Exception:  # noqa: BLE001, S110
        pass  # what was broken already
    return None


def _with_hint(tls, error, failure):
    number = error.args[0] if error.args else 0
    if isinstance(number, int) and number not in _CLOSED:
        return failure
    return ConnectError("%s before CONNECTED; if this is a %s port, use %s://" % (
        (failure,) + (("plaintext", "pulsar") if tls else ("TLS", "pulsar+ssl"))
    ))
