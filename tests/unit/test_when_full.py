"""The option when_full, and its policy "drop_newest": what finds no room is not taken, and that is told, not raised."""
import asyncio

from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.errors import AlreadyClosed, ConnectError, MessageTooBig, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES
from mpy_pulsar.features.new_producer import make_producer
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, Watch, reopen
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    def heap_lock():
        pass

    heap_unlock = heap_lock

_TURNS = 20
_FULL = 11


def _make(**options):
    defaults = {"send_buffer_size": 1200, "send_timeout_millis": 0}
    defaults.update(options)
    producer = make_producer(TOPIC, 1, TIMEOUT, **defaults)
    producer.core.watch = Watch(producer.core)
    producer.core.room = producer.freed.set
    return producer


def _opened(**options):
    broker, producer = Broker(), _make(when_full="drop_newest", **options)
    broker.open(producer.core)
    return broker, producer


def _run(test):
    """In a loop, which CPython 3.9 wants for the events of a producer."""
    async def run():
        test()

    asyncio.run(run())


async def _turns():
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _error_of(awaitable):
    """The error that a call ends with, None: it succeeds."""
    try:
        await awaitable
    except (QueueFull, MessageTooBig, AlreadyClosed) as error:
        return error
    return None


def test_the_two_options_agree_or_are_refused():
    def test():
        for when_full, block, effect in (
            (None, None, True), (None, True, True), (None, False, False), ("block", None, True), ("block", True, True),
            ("error", None, False), ("error", False, False), ("drop_oldest", None, True), ("drop_newest", None, False),
        ):
            assert _make(when_full=when_full, block_if_queue_full=block).block is effect, (when_full, block)
        for when_full, block in (
            ("block", False), ("error", True), ("drop_oldest", True), ("drop_oldest", False), ("drop_newest", True),
            ("drop_newest", False),
        ):
            error = raises(ValueError, _make, when_full=when_full, block_if_queue_full=block)
            assert when_full in str(error) and "block_if_queue_full=%r" % block in str(error)
        for when_full in ("", "drop", "Block", 1, True):
            assert "drop_oldest" in str(raises(ValueError, _make, when_full=when_full))

    _run(test)


def test_what_finds_no_room_is_not_taken_and_nothing_is_raised():
    async def run():
        broker, producer = _opened(batching_max_messages=1)
        core = producer.core
        taken = []
        for number in range(40):
            if producer.has_room(103):
                taken.append(b"%03d" % number + bytes(100))
            producer.send_nowait(b"%03d" % number + bytes(100))
        assert 3 < len(taken) < 10 and core.counts[_FULL] == 40 - len(taken) and core.ring.pending == len(taken)
        assert core.sweep(broker.now) == NEVER
        (told,) = core.watch.errors
        assert "%d for want of room" % core.counts[_FULL] in str(told)
        task = asyncio.create_task(_error_of(producer.flush()))
        await _turns()
        frames = broker.sent(core)
        assert [read_batch(read_send(frame)[4])[0][1] for frame in frames] == taken
        for sequence in range(len(frames)):
            broker.receipt(sequence)
        error = await task
        assert isinstance(error, QueueFull) and "dropped" in str(error) and "not sent" in str(error)
        assert await _error_of(producer.flush()) is None
        producer.send_nowait(b"there is room again")
        assert core.ring.pending + core.ring._count == 1

    asyncio.run(run())


def test_who_sends_is_told_at_once():
    async def run():
        broker, producer = _opened()
        core = producer.core
        core.lost(ConnectError("gone"), broker.now)
        first = asyncio.create_task(producer.send(bytes(700)))
        await _turns()
        for kind in ({}, {"properties": {"k": "v"}}):
            error = await _error_of(producer.send(bytes(700), **kind))
            assert isinstance(error, QueueFull) and "dropped" in str(error) and TOPIC in str(error)
        error = await _error_of(producer.send_batch([bytes(300), bytes(300), bytes(300)]))
        assert isinstance(error, QueueFull) and "dropped" in str(error)
        assert core.counts[_FULL] == 5 and core.refused is None
        assert isinstance(await _error_of(producer.send_batch([bytes(100), bytes(900)])), (QueueFull, MessageTooBig))
        reopen(broker, core)
        assert len(broker.sent(core)) >= 1
        broker.receipt(0)
        assert (await first).batch_index() == 0

    asyncio.run(run())


def test_what_never_fits_and_what_comes_too_late_is_raised_as_ever():
    async def run():
        for options in ({}, {"batching_enabled": False}):
            broker, producer = _opened(**options)
            core = producer.core
            ring = core.ring
            if LARGE_MESSAGES:
                producer.send_nowait(bytes(3000))
                producer.send_nowait(bytes(3000))  # one at a time
                assert core.counts[_FULL] == 1 and ring.pending == 1
                broker.sent(core)
                broker.receipt(0)
                ring.largest = 900
            else:
                raises(MessageTooBig, producer.send_nowait, bytes(3000))
            raises(MessageTooBig, producer.send_nowait, bytes(1300))
            core.start_close(broker.now)
            raises(AlreadyClosed, producer.send_nowait, b"late")
            assert core.counts[_FULL] == (1 if LARGE_MESSAGES else 0)

    asyncio.run(run())


def test_a_message_that_just_fits_alone_is_taken():
    def test():
        for batching in (True, False):
            _, producer = _opened(batching_enabled=batching)
            ring = producer.core.ring
            most = len(ring.buffer) - ring.head_room - (18 if batching else 9)
            producer.send_nowait(bytes(most))
            assert ring.last_batch() == 0 and not ring.idle() and producer.core.counts[_FULL] == 0
            producer.send_nowait(bytes(most))
            assert producer.core.counts[_FULL] == 1

    _run(test)


def test_a_dropped_message_sends_off_the_batch_that_waits_for_its_delay():
    def test():
        broker, producer = _opened(batching_max_publish_delay_ms=60000)
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        assert broker.sent(producer.core) == []
        woken = []
        producer.core.wake = lambda: woken.append(1)
        producer.send_nowait(bytes(100))
        assert woken and len(broker.sent(producer.core)) == 1

    _run(test)


def test_dropping_the_newest_allocates_nothing():
    def test():
        for options in ({}, {"batching_enabled": False}):
            broker, producer = _opened(batching_max_messages=2, **options)
            payload = bytes(100)
            core = producer.core
            size = len(payload)
            for _ in range(2):
                heap_lock()
                try:
                    count = 0
                    while count < 30:
                        producer.has_room(size)
                        producer.send_nowait(payload)
                        count += 1
                finally:
                    heap_unlock()
                core.sweep(broker.now)
            assert 40 < core.counts[_FULL] < 60 and core.refused and len(core.watch.errors) == 1

    _run(test)


def test_sending_in_spite_of_a_policy_allocates_nothing_while_there_is_room():
    def test():
        for when_full in ("block", "error", "drop_oldest", "drop_newest"):
            broker, producer = Broker(), _make(when_full=when_full, batching_max_messages=3, time_to_live_ms=1000)
            broker.open(producer.core)
            core = producer.core
            now = broker.now
            clock = broker.clock
            payload = bytes(20)
            frames = 0
            heap_lock()
            try:
                count = 0
                while count < 10:
                    producer.send_nowait(payload)
                    count += 1
                while core.next_frame(clock, now) >= 0:
                    frames += 1
            finally:
                heap_unlock()
            assert frames == 4 and core.counts[_FULL] == 0

    _run(test)
