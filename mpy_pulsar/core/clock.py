"""The wall clock in two small halves, moved on by differences of ticks: reading it allocates nothing."""
from ..port import const, ticks_diff

_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)


class Clock:
    """low, high: milliseconds since 1970, the low 28 bits and what is above them."""

    def __init__(self, seconds, now):
        """seconds: since 1970, at tick `now`."""
        self.low = 0
        self.high = 0
        self.set(seconds, now)

    def set(self, seconds, now):
        """The clock was set (by NTP, say): from now on count from here."""
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
