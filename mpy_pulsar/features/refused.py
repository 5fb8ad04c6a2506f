"""What a broker refuses, and openings that come to nothing; loaded for the first of them."""
from ..core.verdicts import verdict
from ..errors import AuthenticationError, ProtocolError, PulsarError, Timeout
from ..port import const

_ERROR = const(14)

_METADATA_ERROR = const(1)
_CONSUMER_BUSY = const(5)
_PRODUCER_BUSY = const(16)
_ENCRYPTION = "Encryption is required"

# A name that our own dead link still holds is free again after two keep-alive intervals of the broker.
_BUSY_WAIT = const(70000)


def broker_error(code, text, tried):
    """The exception for a ServerError `code` (-1: the broker gave none) with the broker's own text."""
    text = "%s: the broker answered %d%s" % (tried, code, " (%s)" % text if text else "")
    if code == 3:
        return AuthenticationError(text + ": check the token, its expiry and the broker's key")
    return PulsarError(text, code)


def refused_by(handle, kind, buffer, fields, step):
    """An answer that is not the success asked for: ERROR, or one that belongs to no such request."""
    if kind != _ERROR:
        raise ProtocolError("%s of %s: command %d is no answer to it" % (step, handle.topic, kind))
    handle._request = 0
    refused(handle, fields.value[2], fields.text(buffer, 3), step)


def refused(handle, code, text, step):
    """The broker's No to a step of an opening: the end, or a reason to try again later."""
    broker = handle.connection.owner.describe()
    error = broker_error(code, text, "%s of %s at %s" % (step, handle.topic, broker))
    error.broker = broker
    answer = verdict(code, handle.established)
    if not handle.established:
        if code == _METADATA_ERROR and _ENCRYPTION in text:
            answer = "f"  # a namespace's policy under a general code: no retry helps whoever waits for the opening
        elif code == _PRODUCER_BUSY and handle._patience < _BUSY_WAIT:
            handle._patience = _BUSY_WAIT
    if answer == "f":
        handle._leave_open()
        handle.fail(error)
    else:
        handle.retry(error, answer == "s")


def too_late(handle):
    """What ends an opening that took too long: the broker's own word where it holds the name or the topic."""
    error = handle.error
    if error and (error.code == _PRODUCER_BUSY or error.code == _CONSUMER_BUSY):
        return error
    why = "; last error: %s" % error if error else ""
    return Timeout("opening %s took longer than %d ms%s" % (handle.topic, handle._patience, why))
