"""A board whose clock was never set: what is to be transmitted for the first time waits, since it would get a publish
time of years ago, and a topic's time to live would drop it. Loaded where the clock is below its floor, or was set.

When the clock is set, the times that the application read from it before move along: event times, delivery times.
"""
from ..errors import PulsarError
from ..port import const
from ..wire.scanner import Fields, uint32

_LOW = const(28)
_NEVER = const(600000)  # as in core/handle
_LOOK = const(1000)  # ms from one look at the clock to the next
_DAY = const(86400000)  # ms
_YEAR = const(31556952)  # seconds
_BARE = const(-1)  # a frame without its head, see BatchRing
# In MessageMetadata and SingleMessageMetadata.
_EVENT_TIME = const(12)
_DELIVER_AT = const(19)
_EVENT_TIME_IN_BATCH = const(5)
_PAYLOAD_SIZE = const(3)
_BYTES_OF_TIME = const(6)  # of a varint: ms from 1971 to 2109


def look(supervisor, seconds, now):
    """Has the wall clock, `seconds` since 1970, been set (by NTP, say)? ms until the next look."""
    clock = supervisor.clock
    if clock.high >= clock.floor:
        # From now on as before; where the wall clock is below the floor, this one is the better.
        if seconds * 1000 >> _LOW >= clock.floor:
            clock.set(seconds, now)
        return _NEVER
    producers = [handle for handle in supervisor.handles if handle.ring]
    jump = clock.jump(seconds)
    if jump:
        for producer in producers:
            shift(producer.ring, clock, jump)
        clock.set(seconds, now)  # not before: without memory for a shift, what was shifted already is known by its time
        if clock.high >= clock.floor:
            for producer in producers:
                producer.wake()
            return _NEVER
    if not producers:
        return _NEVER
    if not clock.told:
        clock.told = True
        supervisor.report(PulsarError(
            "the clock was never set, it says %d: messages wait until it is. Call ntptime.settime() when the network is"
            " up, or tell Client wait_for_clock=False" % (1970 + seconds // _YEAR)
        ))
    return _LOOK


def shift(ring, clock, jump):
    """Move the times in what was never transmitted by `jump` ms.

    A time after this clock's own now was not read from it (readings of last year, from a file, say) and stays.
    """
    latest = (clock.high << _LOW) + clock.low + _DAY
    floor = clock.floor << _LOW
    fields = Fields(_DELIVER_AT)
    for number in range(ring.unsent, ring.open):
        slot = number % ring._slots
        if ring._frames[slot] == _BARE:
            start = ring._entries[slot]
            _shift_batch(
                fields, ring.own.get(slot, ring.buffer), start, start + ring._heads[slot], ring._counts[slot], latest,
                floor, jump,
            )
    start = ring._start
    _shift_batch(fields, ring.buffer, start, start + ring._head, ring._count, latest, floor, jump)


def _shift_batch(fields, buffer, start, at, count, latest, floor, jump):
    """at: where the first entry begins, or an unbatched message's payload; start: where its metadata does."""
    if count < 0:
        fields.scan(buffer, start, at)
        _shift_time(fields, buffer, _EVENT_TIME, latest, jump)
        _shift_time(fields, buffer, _DELIVER_AT, floor, jump)
        return
    for _ in range(count):
        end = at + 4 + uint32(buffer, at)
        fields.scan(buffer, at + 4, end)
        _shift_time(fields, buffer, _EVENT_TIME_IN_BATCH, latest, jump)
        at = end + fields.value[_PAYLOAD_SIZE]


def _shift_time(fields, buffer, field, latest, jump):
    """One time, in place: its number keeps its width."""
    time = fields.integer(buffer, field, 0)
    if not 0 < time < latest:
        return
    time += jump
    at = ~fields.at[field]
    width = 1
    while buffer[at + width - 1] > 127:
        width += 1
    if not time >> 7 * width:  # it is, from 1970 to 2109
        _put(buffer, at, width, time)


def _put(buffer, at, width, value):
    for index in range(width - 1):
        buffer[at + index] = value & 127 | 128
        value >>= 7
    buffer[at + width - 1] = value


def wide(tag, milliseconds):
    """A field with a time of 1970, of before the clock was set, with room for what it will be: bytes behind its tag."""
    number = bytearray(_BYTES_OF_TIME)
    _put(number, 0, _BYTES_OF_TIME, milliseconds)
    return tag + bytes(number)
