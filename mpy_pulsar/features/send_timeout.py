"""send_timeout_millis: messages without a receipt by then fail; loaded where a producer has such a timeout."""
from ..core.handle import NEVER, READY
from ..errors import Timeout
from ..port import const, ticks_diff
from .refusal import fate

_PARTS = const(10)  # of the timeout: by one of them a message may fail early


class SendTimeout:
    """Notes when each batch was first seen, by the link's writer or by the supervisor's sweep, and ends those too old.

    Sending itself never looks at the clock.
    """

    def __init__(self, core, milliseconds):
        self._core = core
        self._milliseconds = milliseconds
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

    def sweep(self, now):
        """End what has waited too long: ms until the next one does."""
        core = self._core
        ring = core.ring
        self._awaited = True
        self.stamp(now)
        soon = self._split(now)
        while not ring.idle():
            left = self._milliseconds - ticks_diff(now, self._times[ring.oldest % ring._slots])
            if left > 0:
                return min(left, soon)
            number = ring.oldest
            if number == ring.open:
                ring.close_batch()
            # A frame of which only half is written ends the link: its writer sees that the batch is gone.
            core.drop(number, Timeout(
                "%s: no receipt within %d ms%s" % (core.topic, self._milliseconds, fate(ring, number))
            ))
        self._awaited = False
        return NEVER

    def _split(self, now):
        """Without a broker the open batch goes on filling, and its last message would end with its first: close it.

        ms until that is to be done; NEVER where it was or need not be.
        """
        ring = self._core.ring
        if not ring._count or self._core.state == READY or ring.open + 1 - ring.oldest >= ring._slots:
            return NEVER
        left = self._milliseconds // _PARTS - ticks_diff(now, self._times[ring.open % ring._slots])
        if left > 0:
            return left
        ring.close_batch()
        return NEVER
