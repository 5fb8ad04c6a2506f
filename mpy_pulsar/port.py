"""What differs between interpreters below the core: const, ticks, the epoch, and the defaults of board and twin.

The first of the three seams (the others: wire/kernels, net/stream). MicroPython's half stands here, CPython's in
`cpython_shim.port`. Imports nothing of ours on a device.
"""
import sys

if sys.implementation.name == "micropython":
    from gc import collect
    from micropython import const
    from time import gmtime, ticks_add, ticks_diff, ticks_ms, time

    _UNIX_OF_2000 = const(946684800)

    # Ports count from 1970 (unix, rp2) or from 2000 (esp32).
    _EPOCH = _UNIX_OF_2000 if gmtime(0)[0] == 2000 else 0

    def unix_seconds():
        """Seconds since 1970, int; as right as the board's clock is."""
        return int(time()) + _EPOCH

    def unload(name):
        """Forget a module of features/ that has done its work; the next import loads it again."""
        for full in list(sys.modules):
            package, _, last = full.rpartition(".")
            if last == name and package.startswith("mpy_pulsar"):
                del sys.modules[full]
                delattr(sys.modules[package], name)

    SEND_BUFFER = 4096  # bytes of a producer's ring
    SEND_TIMEOUT = 0  # ms in which a message must have its receipt; 0: any time
    LARGE_MESSAGES = False  # do messages larger than the ring get a buffer of their own?
    BATCHES = 16  # batches in a ring, open and in flight
    BATCH_MESSAGES = 100
    BATCH_BYTES = 4096
    READ_BUFFER = 1024  # bytes of a link's read buffer at first
    READ_LIMIT = 2048  # it may grow up to this many; 0: up to the broker's largest frame
    READ_LIMIT_CONSUMER = 4096  # the same once a consumer is open
    QUEUE_BYTES = 8192  # received and not yet taken; 0: bounded by permits alone
    RECEIVER_QUEUE = 2  # permits
    MAX_LINKS = 2  # to brokers at a time; 0: as many as there are
    ERRORS = 8  # kept by `client.errors()`
    # Since 1970, in steps of 2^28 ms (three days): a clock below it, the date of this release, was never set.
    CLOCK_FLOOR = 6685
    ACK_GROUP = 8  # ids in one ACK
else:
    from cpython_shim.port import (  # noqa: F401
        ACK_GROUP, BATCH_BYTES, BATCH_MESSAGES, BATCHES, CLOCK_FLOOR, ERRORS, LARGE_MESSAGES, MAX_LINKS, QUEUE_BYTES,
        READ_BUFFER, READ_LIMIT, READ_LIMIT_CONSUMER, RECEIVER_QUEUE, SEND_BUFFER, SEND_TIMEOUT, collect, const,
        ticks_add, ticks_diff, ticks_ms, unix_seconds, unload,
    )
