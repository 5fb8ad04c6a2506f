"""The wall clock in two small halves, moved on by differences of ticks: reading it allocates nothing."""
from ..port import const, ticks_diff

_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
_SET = const(2000)  # ms: the wall clock comes in whole seconds, and drifts


class Clock:
    """low, high: milliseconds since 1970, the low 28 bits and what is above them.

    Below `floor`, which `high` is compared with, the clock was never set: no message is to leave for the first time.
    """

    def __init__(self, seconds, now, floor=0):
        """seconds: since 1970, at tick `now`."""
        self.floor = floor
        self.told = False  # has anybody been told that it is below?
        self.low = 0
        self.high = 0
        self.set(seconds, now)

    def set(self, seconds, now):
        """From now on count from here."""
        milliseconds = seconds * 1000
        self.low = milliseconds & _LOW_MASK
        self.high = milliseconds >> _LOW
        self._ticks = now

    def update(self, now):
        """Move on to tick `now`; to be called at least once in six days."""
        low = self.low + ticks_diff(now, self._ticks)
        self.low = low & _LOW_MASK
        self.high += low >> _LOW
        self._ticks = now

    def jump(self, seconds):
        """By how many ms the wall clock, `seconds` since 1970, was set on or back; 0: it goes as this one does."""
        jump = seconds * 1000 - (self.high << _LOW) - self.low
        return 0 if -_SET < jump < _SET else jump
