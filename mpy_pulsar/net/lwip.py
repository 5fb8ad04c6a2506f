"""What lwIP needs where it runs inside MicroPython, as on the RP2040: little on its way at any time.

Its small heap holds all that is transmitted and not yet acknowledged by the other machine, and the bytes of sockets
that were closed a moment ago. A write for which that heap has no room blocks the whole event loop, for up to 10 s, and
then fails; nothing tells beforehand. So one write has 1,600 bytes at most (`net.stream`), and messages are bounded
here. Loaded on those ports only.
"""
from ..core.handle import READY
from ..port import const

_IN_FLIGHT_MOST = const(3000)


class Window:
    """Bounds the messages' bytes transmitted on one link and not yet confirmed; a larger frame goes alone."""

    def __init__(self):
        self.held = None  # the handle whose next frame waits for receipts; no other overtakes it
        self._slot = 0
        self._after = 0  # the number of the batch behind that frame's
        self._out = []  # (handle, number of the batch behind, bytes) of frames without a receipt

    def next_frame(self, handle, clock, now):
        """`handle.next_frame(clock, now)`, or -1 where its frame has to wait. Who gets a slot transmits it."""
        in_flight = self._in_flight(handle.connection)
        held = self.held
        ring = handle.ring
        if held and held is not handle and held.connection is handle.connection:
            return -1
        self.held = None
        slot = self._slot
        # Not the same frame any more where the topic has moved in between, or a receipt came for an earlier
        # transmission of it; and none at all once the handle is closing.
        if held is not handle or ring.unsent != self._after or ring.oldest >= self._after or handle.state != READY:
            slot = handle.next_frame(clock, now)
            if slot < 0:
                return slot
        size = ring.frame_end(slot) - ring.frame_start(slot)
        if in_flight and in_flight + size > _IN_FLIGHT_MOST:
            self.held = handle
            self._slot = slot
            self._after = ring.unsent
            return -1
        self._out.append((handle, ring.unsent, size))
        return slot

    def _in_flight(self, connection):
        total = 0
        out = []
        for sent in self._out:
            handle, after, size = sent
            # Beyond `unsent`: of before the topic moved, to be transmitted anew.
            if handle.connection is connection and handle.ring.oldest < after <= handle.ring.unsent:
                total += size
                out.append(sent)
        self._out = out
        return total
