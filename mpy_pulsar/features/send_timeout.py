"""send_timeout_millis and time_to_live_ms: what has no receipt by then fails, and what was not sent by then is dropped;
loaded where a producer has one of them."""
from ..core.handle import NEVER, READY
from ..errors import Timeout
from ..port import const, ticks_diff
from .refusal import drop, fate

_MOST = const(500000000)  # ms; differences of ticks reach no farther
_PARTS = const(10)  # of the time: by one of them a message may end early

# In a producer's counts, see features/stats
_UNKNOWN = const(10)
_EXPIRED = const(12)
_LATE = const(13)


def set_time_to_live(core, milliseconds):
    """What was not transmitted by then is dropped, besides what a SendTimeout does already. ValueError."""
    if not 0 < milliseconds <= _MOST:
        raise ValueError("time_to_live_ms: %r is not from 0 to %d, six days" % (milliseconds, _MOST))
    SendTimeout(core, core.timeouts._milliseconds if core.timeouts else 0, milliseconds)


class SendTimeout:
    """Notes when each batch was first seen, by the link's writer or by the supervisor's sweep, and ends those too old.

    Sending itself never looks at the clock.
    """

    def __init__(self, core, milliseconds, time_to_live=0):
        """milliseconds: until the receipt; time_to_live: until the first transmission; 0: no limit."""
        self._core = core
        self._milliseconds = milliseconds
        self._time_to_live = time_to_live
        self._part = min(milliseconds or time_to_live, time_to_live or milliseconds) // _PARTS
        if time_to_live:
            from .dropping import Dropping

            self._expired = Timeout(
                "%s: the message expired, it was not sent within %d ms (time_to_live_ms)" % (core.topic, time_to_live)
            )
            Dropping(core)
        self._times = [0] * core.ring._slots
        self._next = 0  # the first batch that was not seen yet
        self._awaited = False  # does the supervisor know when to come by?
        core.timeouts = self
        core.wake = self.attend

    def attend(self):
        """What wakes the writer where there is no link: then the supervisor looks."""
        self._core.attend()

    def stamp(self, now):
        """Whatever was queued since the last look has its time counted from `now`."""
        ring = self._core.ring
        last = ring.open + 1 if ring._count else ring.open
        number = max(self._next, ring.oldest)
        # Without a broker the supervisor has to close what is open in time, see `_split`.
        fresh = number < last and self._core.state != READY
        while number < last:
            self._times[number % ring._slots] = now
            number += 1
        self._next = number
        if (fresh or not self._awaited) and not ring.idle():
            self._awaited = True
            self._core.attend()
        if self._time_to_live:
            self._expire(now)

    def _expire(self, now):
        """Drop what was never transmitted and is too old."""
        core = self._core
        ring = core.ring
        dropped = False
        while True:
            number = max(ring.unsent, ring.resent)
            if number > ring.last_batch():
                break
            if ticks_diff(now, self._times[number % ring._slots]) < self._time_to_live:
                break
            core.dropping.drop(number, _EXPIRED, self._expired)
            dropped = True
        if dropped:
            core._freed()

    def moved(self, number):
        """A batch is about to go, and those behind it to move up by one number."""
        ring = self._core.ring
        if self._next > number:
            self._next -= 1
        while number < ring.last_batch():
            self._times[number % ring._slots] = self._times[(number + 1) % ring._slots]
            number += 1

    def sweep(self, now):
        """End what has waited too long: ms until the next one does."""
        core = self._core
        ring = core.ring
        self._awaited = True
        self.stamp(now)
        soon = self._split(now)
        if self._time_to_live and not ring.idle():
            # What is queued by the next look need not wait for the one after it.
            soon = min(soon, max(self._part, 1))
            number = max(ring.unsent, ring.resent)
            if number <= ring.last_batch():
                soon = min(soon, self._time_to_live - ticks_diff(now, self._times[number % ring._slots]))
        while self._milliseconds and not ring.idle():
            left = self._milliseconds - ticks_diff(now, self._times[ring.oldest % ring._slots])
            if left > 0:
                return min(left, soon)
            number = ring.oldest
            if number == ring.open:
                ring.close_batch()
            # A frame of which only half is written ends the link: its writer sees that the batch is gone.
            drop(core, number, Timeout(
                "%s: no receipt within %d ms%s" % (core.topic, self._milliseconds, fate(ring, number))
            ), _UNKNOWN if number < ring.unsent else _LATE)
        self._awaited = not ring.idle()
        return soon if self._awaited else NEVER

    def _split(self, now):
        """Without a broker the open batch goes on filling, and its last message would end with its first: close it.

        ms until that is to be done; NEVER where it was or need not be.
        """
        ring = self._core.ring
        if not ring._count or self._core.state == READY or ring.open + 1 - ring.oldest >= ring._slots:
            return NEVER
        left = self._part - ticks_diff(now, self._times[ring.open % ring._slots])
        if left > 0:
            return left
        ring.close_batch()
        return NEVER
