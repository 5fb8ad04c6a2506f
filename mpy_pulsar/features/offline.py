"""wait=False: `create_producer`, `subscribe` and `create_reader` return at once, without broker and without network.

A producer's messages wait in its ring, `receive` waits for the first one. Whatever goes wrong meanwhile (no network, no
such namespace, a wrong token) is reported on the error stream and tried again, as it is for a producer that was open
before; only a terminated topic and a fenced producer end it. So a board that boots before its network, or while
somebody still has to mend the broker's configuration, works, and comes back by itself.

The core knows this by `established`, which is True from the beginning. What is left is the producer's name: the first
frames may be made before any broker could give one.
"""
import random

try:
    from machine import unique_id  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
except ImportError:
    unique_id = None  # not a board

_PREFIX = "mpy_pulsar-"
_BYTES = 8


def default_name(producer_id):
    """The name of a producer that was given none: str.

    On a board it is the same after each start, as long as the program makes its producers in the same order; elsewhere
    it is made by chance. For deduplication give a producer_name that you know.
    """
    number = unique_id() if unique_id else [random.getrandbits(8) for _ in range(_BYTES)]
    return "%s%s-%d" % (_PREFIX, "".join(["%02x" % byte for byte in number]), producer_id)
