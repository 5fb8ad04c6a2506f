"""CPython's half of `mpy_pulsar.port`: names and meanings are those of MicroPython's `time` and `micropython`."""
import time

_PERIOD = 1 << 30
_HALF = _PERIOD >> 1


def const(value):
    """MicroPython's compiler folds `_NAME = const(…)`; here it is the value."""
    return value


def collect():
    """A board frees memory between imports, so that its heap does not break up; here it is a matter of course."""


def unload(name):
    """A board forgets modules that have done their work, for the sake of memory; here they may stay."""


def ticks_ms():
    """Milliseconds of a steady clock, 0 to 2^30 - 1, wrapping round as on a board."""
    return time.monotonic_ns() // 1_000_000 & _PERIOD - 1


def ticks_add(ticks, delta):
    """The tick `delta` ms after `ticks`."""
    return ticks + delta & _PERIOD - 1


def ticks_diff(end, start):
    """Milliseconds from `start` to `end`, signed; right for spans below 2^29 ms (six days)."""
    return (end - start + _HALF & _PERIOD - 1) - _HALF


def unix_seconds():
    """Seconds since 1970, int."""
    return int(time.time())


SEND_BUFFER = 2 << 20
SEND_TIMEOUT = 30000
LARGE_MESSAGES = True
BATCHES = 32
BATCH_MESSAGES = 1000
BATCH_BYTES = 128 << 10
READ_BUFFER = 128 << 10
READ_LIMIT = 0
READ_LIMIT_CONSUMER = 0
QUEUE_BYTES = 0
RECEIVER_QUEUE = 1000
MAX_LINKS = 0
ERRORS = 1000
CLOCK_FLOOR = 0  # a host's clock is believed
ACK_GROUP = 1000
