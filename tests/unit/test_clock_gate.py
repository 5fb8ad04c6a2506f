"""A clock that was never set: nothing leaves for the first time, and times that were read from it move along later."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.core.clock import Clock
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.clock_gate import look
from mpy_pulsar.features.fields import add, add_large
from mpy_pulsar.net import supervisor as room
from mpy_pulsar.port import CLOCK_FLOOR, LARGE_MESSAGES, ticks_add, unix_seconds
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import START, Broker, producer
from tests.unit.still_links import Bench
from tests.unit.wire_support import read_batch, read_send

YEAR = 31556952
TODAY = 1800000000  # seconds since 1970
IN_2021 = 1609459200  # where an RP2040 starts
FLOOR = 1795000000 * 1000 >> 28
EVENT_ALONE, DELIVERY, EVENT = 12, 19, 5


class Board:
    """A producer with a clock that shows `seconds`, and what a supervisor has that the gate needs."""

    def __init__(self, seconds, **options):
        self.broker = Broker()
        self.broker.clock = self.clock = Clock(seconds, START, FLOOR)
        self.core = producer(**options)
        self.core.wake = self.woken
        self.handles = [self.core, fake.consumer()]
        self.reports = []
        self.report = self.reports.append
        self.wakes = 0
        self.broker.open(self.core)
        self.core.wake = self.woken

    def woken(self):
        self.wakes += 1

    def add(self, content, batching=True, event=None, deliver_at=None, sequence=None, key=None):
        return add(self.core, batching, content, (None, key, None, sequence, event, deliver_at, None))

    def set(self, seconds):
        """The wall clock shows so many seconds from now on: ms until the next look."""
        self.clock.update(self.broker.now)
        return look(self, seconds, self.broker.now)

    def frames(self):
        return [read_send(frame) for frame in self.broker.sent(self.core)]


def _milliseconds(clock):
    return clock.high << 28 | clock.low


def test_nothing_leaves_before_the_clock_was_set():
    board = Board(IN_2021)
    board.core.ring.add(b"early")
    assert board.frames() == [] and board.core.due == 600000
    assert 0 < board.set(IN_2021 + 1) <= 1000
    assert board.frames() == []
    board.set(TODAY)
    assert board.wakes == 1
    ((_, metadata, _, _, payload),) = board.frames()
    assert metadata[3] == TODAY * 1000 and read_batch(payload)[0][1] == b"early"


def test_what_it_waits_for_is_told_once():
    board = Board(IN_2021)
    for _ in range(3):
        board.set(IN_2021)
    (error,) = board.reports
    for part in ("2021", "ntptime.settime()", "wait_for_clock=False"):
        assert part in str(error), str(error)


def test_nobody_looks_at_the_clock_for_consumers_alone():
    board = Board(IN_2021)
    board.handles.pop(0)
    assert board.set(IN_2021) == 600000 and board.reports == []


def test_what_was_transmitted_before_goes_out_again_whatever_the_clock_says():
    board = Board(TODAY)
    board.core.ring.add(b"once")
    (frame,) = board.broker.sent(board.core)
    board.core.lost(ConnectError("cut"), START)
    board.core.ring.close_batch()
    board.core.ring.add(b"never before")
    board.clock.set(IN_2021, START)
    board.broker = Broker()
    board.broker.clock = board.clock
    fake.reopen(board.broker, board.core)
    assert board.broker.sent(board.core) == [frame]
    board.clock.set(TODAY, START)
    assert len(board.frames()) == 1


def test_without_a_floor_any_clock_will_do():
    board = Board(IN_2021)
    board.clock.floor = 0
    board.core.ring.add(b"early")
    assert board.frames()[0][1][3] == IN_2021 * 1000


def test_event_times_in_batches_move_with_the_clock():
    board = Board(IN_2021, messages=3)
    before = IN_2021 * 1000
    board.add(b"a", event=before + 5)
    board.core.ring.add(b"bare")
    board.add(b"c" * 300, event=before - 7, key="key")  # in a batch of three, which is full
    board.add(b"d", event=before + 86000000, key="k")  # in the open one, behind the fields of its key
    board.set(IN_2021)
    board.broker.now = ticks_add(START, 60000)
    board.set(TODAY)
    jump = (TODAY - IN_2021 - 60) * 1000
    first, second = board.frames()
    singles = [single for single, _ in read_batch(first[4])]
    assert [single.get(EVENT) for single in singles] == [before + 5 + jump, None, before - 7 + jump]
    assert [data for _, data in read_batch(first[4])] == [b"a", b"bare", b"c" * 300]
    ((single, data),) = read_batch(second[4])
    assert single[EVENT] == before + 86000000 + jump and data == b"d" and second[1][6] == b"k"
    assert first[3] and second[3]


def test_times_of_messages_that_go_alone_move_too():
    board = Board(IN_2021)
    before = IN_2021 * 1000
    board.add(b"a", False, event=before)
    board.add(b"b", event=before + 1, deliver_at=before + 3600000)
    board.add(b"c", sequence=100)
    board.set(TODAY)
    jump = (TODAY - IN_2021) * 1000
    times = [(metadata.get(EVENT_ALONE), metadata.get(DELIVERY)) for _, metadata, _, _, _ in board.frames()]
    assert times == [(before + jump, None), (before + 1 + jump, before + 3600000 + jump), (None, None)]


def test_frames_outside_of_the_ring_move_too():
    if not LARGE_MESSAGES:
        return
    board = Board(IN_2021, size=1000)
    add_large(board.core, b"x" * 3000, (None, None, None, None, IN_2021 * 1000, None, None))
    board.set(TODAY)
    ((_, metadata, _, _, payload),) = board.frames()
    assert metadata[EVENT_ALONE] == TODAY * 1000 and payload == b"x" * 3000


def test_a_clock_that_starts_in_1970_leaves_room_for_the_times_to_come():
    board = Board(12)
    board.add(b"a", event=12345)
    board.add(b"b", False, event=12346, deliver_at=20000)
    board.set(TODAY)
    jump = (TODAY - 12) * 1000
    batched, alone = board.frames()
    assert read_batch(batched[4])[0][0][EVENT] == 12345 + jump
    assert (alone[1][EVENT_ALONE], alone[1][DELIVERY]) == (12346 + jump, 20000 + jump)


def test_times_that_were_not_read_from_this_clock_stay():
    board = Board(IN_2021)
    last_year = (TODAY - YEAR) * 1000  # from a file, say
    board.add(b"a", event=last_year)
    board.add(b"b", False, event=last_year + 1, deliver_at=(TODAY + YEAR) * 1000)
    board.set(TODAY)
    batched, alone = board.frames()
    assert read_batch(batched[4])[0][0][EVENT] == last_year
    assert (alone[1][EVENT_ALONE], alone[1][DELIVERY]) == (last_year + 1, (TODAY + YEAR) * 1000)


def test_a_clock_set_in_two_steps_moves_the_times_by_both():
    board = Board(12)
    board.add(b"a", event=12500)
    assert board.set(IN_2021) == 1000
    board.add(b"b", event=IN_2021 * 1000 + 500)
    board.set(TODAY)
    (batch,) = board.frames()
    assert [single[EVENT] for single, _ in read_batch(batch[4])] == [TODAY * 1000 + 500, TODAY * 1000 + 500]


def test_to_shift_again_what_was_shifted_changes_nothing():
    board = Board(IN_2021)
    board.add(b"a", event=IN_2021 * 1000)
    set_clock = board.clock.set
    board.clock.set = lambda seconds, now: None  # as if the memory had run out in between
    board.set(TODAY)
    board.clock.set = set_clock
    board.set(TODAY)
    (batch,) = board.frames()
    assert read_batch(batch[4])[0][0][EVENT] == TODAY * 1000


def test_the_clock_follows_the_wall_clock_when_it_is_set():
    board = Board(TODAY)
    clock = board.clock
    for seconds, shown in (
        (TODAY + 1, TODAY), (TODAY - 1, TODAY), (TODAY + 60, TODAY + 60), (TODAY - 3600, TODAY - 3600),
        (TODAY + YEAR, TODAY + YEAR), (TODAY, TODAY), (IN_2021, TODAY), (0, TODAY),
    ):
        if clock.jump(seconds):
            board.set(seconds)
        assert _milliseconds(clock) == shown * 1000, (seconds, shown)
    assert clock.high >= clock.floor


def test_a_client_that_is_told_so_waits_for_no_clock():
    async def run(wait_for_clock):
        client = Client("pulsar://127.0.0.1:1", wait_for_clock=wait_for_clock)
        await client.create_producer("t", wait=False)
        supervisor = client._supervisor
        client.shutdown()
        await supervisor.ended()
        return supervisor.clock.floor

    assert asyncio.run(run(True)) == CLOCK_FLOOR and asyncio.run(run(False)) == 0
    # Hosts are believed; and a floor that lies ahead would hold every board back.
    assert 0 <= CLOCK_FLOOR <= unix_seconds() * 1000 >> 28


def _with_supervisor(check, seconds):
    async def run():
        kept = room.Link, room.ticks_ms, room.unix_seconds
        wall = [seconds]
        room.unix_seconds = lambda: wall[0]
        bench = Bench()
        bench.supervisor.clock = Clock(seconds, START, FLOOR)
        try:
            await check(bench, wall)
        finally:
            bench.supervisor.end()
            await bench.supervisor.ended()
            room.Link, room.ticks_ms, room.unix_seconds = kept

    asyncio.run(run())


def test_the_supervisor_notices_by_itself():
    async def check(bench, wall):
        core = await bench.adopt("t")
        core.ring.add(b"early")
        assert len(bench.reports) == 1
        woken = []
        core.wake = lambda: woken.append(1)
        wall[0] = TODAY
        await bench.run(1000)
        assert woken == [1] and _milliseconds(bench.supervisor.clock) == TODAY * 1000
        wall[0] = TODAY + 90
        await bench.run(1000)
        assert _milliseconds(bench.supervisor.clock) == (TODAY + 90) * 1000
        wall[0] = IN_2021
        await bench.run(1000)
        assert _milliseconds(bench.supervisor.clock) == (TODAY + 91) * 1000
        assert len(bench.reports) == 1

    _with_supervisor(check, IN_2021)
