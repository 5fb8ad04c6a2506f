"""Dropping whole batches that were never transmitted, for `when_full` and `time_to_live_ms`, and telling of it.

A batch dropped from the middle leaves its number to the one behind it, so that a long outage with one frame in flight
does not use up all slots, and its bytes to whatever comes. Frames that were transmitted stay where they are.
"""
from ..core.handle import NEVER
from ..errors import PulsarError
from ..port import const, ticks_diff

# In a producer's counts, see features/stats
_FULL = const(11)
_EXPIRED = const(12)

_SLACK = const(3)  # bytes between batches: that much more than it takes a message is given, and asked for
_PAUSE = const(10000)  # ms from one report to the next


class Dropping:
    """Tells the error stream of what was dropped: at once, and then every ten seconds how many there were."""

    def __init__(self, core):
        self._core = core
        self._full = 0  # messages that were told of
        self._expired = 0
        self._last = None  # tick of the last report
        self._news = False
        core.dropping = self

    def note(self):
        """There is something to tell; allocates nothing."""
        if not self._news:
            self._news = True
            self._core.attend()

    def drop(self, number, what, error):
        """A batch that was never transmitted, the open one perhaps, ends with an error; what: the index in `counts`."""
        core = self._core
        ring = core.ring
        if number == ring.open:
            ring.close_batch()
        core.counts[what] += max(ring.size_of(number), 1)
        core._finish(number, None, error)
        if number == ring.oldest:
            ring.drop(number)
        else:
            _remove(core, number)
        self.note()

    def sweep(self, now):
        """Report what there is: ms until the next time."""
        if not self._news:
            return NEVER
        if self._last is not None:
            left = _PAUSE - ticks_diff(now, self._last)
            if 0 < left <= _PAUSE:
                return left
        core = self._core
        full = core.counts[_FULL]
        expired = core.counts[_EXPIRED]
        core.report(PulsarError(
            "%s: messages dropped, not sent: %d for want of room in the send buffer, %d older than time_to_live_ms"
            % (core.topic, full - self._full, expired - self._expired)
        ))
        self._full = full
        self._expired = expired
        self._last = now
        self._news = False
        return NEVER


def first_unsent(ring):
    """The number of the first batch that was never transmitted; `ring.open` may be empty."""
    return max(ring.unsent, ring.resent)


def _remove(core, number):
    """A batch goes, and those behind it move up by one number."""
    ring = core.ring
    slots = ring._slots
    ring.pending -= max(ring._counts[number % slots], 1)
    ring.own.pop(number % slots, None)
    if core.timeouts:
        core.timeouts.moved(number)
    tickets = core.tickets
    columns = (ring._entries, ring._frames, ring._ends, ring._counts, ring._heads, ring._sequences, ring._highs)
    for moved in range(number + 1, ring.open + 1):
        slot = moved % slots
        to = (moved - 1) % slots
        if moved < ring.open:
            for column in columns:
                column[to] = column[slot]
            if slot in ring.own:
                ring.own[to] = ring.own.pop(slot)
        ticket = tickets.pop(moved, None)
        if ticket:
            tickets[moved - 1] = ticket
            ticket.batch = moved - 1
    ring.open -= 1
    core.requeued = tuple([one - 1 if one > number else one for one in core.requeued if one != number])
    # The batch whose delay is counted is the open one.
    core._opened = core._opened - 1 if core._opened > number else -1
    ring.gaps = place


def place(ring, need, last):
    """Where `need` bytes fit between the batches up to number `last` in the ring's buffer, -1: nowhere.

    Takes the first place in which a whole batch can grow, else the largest; `_free_end` is then where it ends.
    Allocates nothing.
    """
    size = len(ring.buffer)
    enough = max(need, min(ring.max_bytes, ring.largest) + ring.head_room)
    best = -1
    most = need - 1
    at = 0
    while most < enough and at < size:
        begin = end = size  # of the next batch at or behind `at`
        number = ring.oldest
        while number <= last:
            slot = number % ring._slots
            if number == ring.open:
                start = ring._start - ring.head_room
                if at <= start < begin:
                    begin = start
                    end = ring._end
            elif not (ring.own and slot in ring.own):
                start = ring._frames[slot]
                if start < 0:
                    start = ring._entries[slot] - ring.head_room
                if at <= start < begin:
                    begin = start
                    end = ring._ends[slot]
            number += 1
        if at:
            at += _SLACK
        if begin - at > most:
            best = at
            most = begin - at
            ring._free_end = begin
        at = end
    return best
