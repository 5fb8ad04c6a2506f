"""when_full="drop_oldest": what was never transmitted makes room for what comes, and whatever was transmitted stays."""
import asyncio
import gc

from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.errors import ConnectError, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES, ticks_add
from mpy_pulsar.producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, Ticket, Watch, reopen
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

_TURNS = 20


def _make(**options):
    """A producer without a broker, its batches of one message where nothing else is said."""
    defaults = {"send_buffer_size": 1200, "batching_max_messages": 1, "send_timeout_millis": 0}
    defaults.update(options)
    producer = make_producer(TOPIC, 1, TIMEOUT, when_full="drop_oldest", **defaults)
    producer.core.watch = Watch(producer.core)
    producer.core.room = producer.freed.set
    return producer


def _opened(**options):
    broker, producer = Broker(), _make(**options)
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
    """The QueueFull that a call ends with, None: it succeeds."""
    try:
        await awaitable
    except QueueFull as error:
        return error
    return None


def _send(producer, payload):
    """Queue a message and hear of it: the Ticket."""
    producer.send_nowait(payload)
    core = producer.core
    return core.tickets.setdefault(core.ring.last_batch(), Ticket())


def _contents(frames):
    """The payloads in frames of batches."""
    found = []
    for frame in frames:
        found += [content for _, content in read_batch(read_send(frame)[4])]
    return found


def _confirm(broker, core):
    """Receipts for all that is in flight."""
    ring = core.ring
    while ring.oldest < ring.unsent:
        broker.receipt(ring._sequences[ring.oldest % ring._slots])


def test_without_a_link_the_oldest_make_room_and_the_rest_is_sent_in_order():
    def test():
        producer = _make(producer_name="n")
        core = producer.core
        tickets = [_send(producer, b"%03d" % number + bytes(60)) for number in range(50)]
        dropped = [number for number in range(50) if tickets[number].calls]
        assert 30 < len(dropped) < 46 and dropped == list(range(len(dropped)))
        for number in dropped:
            ((message_id, size, error),) = tickets[number].calls
            assert message_id is None and size == 1 and isinstance(error, QueueFull)
            assert "not sent" in str(error) and "dropped for newer ones" in str(error) and TOPIC in str(error)
        assert core.counts[11] == len(dropped) and core.ring.gaps is None  # nothing in flight: as if it were confirmed
        broker = Broker()
        broker.open(core)
        frames = broker.sent(core)
        assert _contents(frames) == [b"%03d" % number + bytes(60) for number in range(len(dropped), 50)]
        assert [read_send(frame)[0][2] for frame in frames] == list(range(len(frames)))  # no id is wasted

    _run(test)


def test_a_long_outage_with_one_frame_in_flight_keeps_the_newest_and_that_frame_as_it_was():
    def test():
        broker, producer = _opened()
        core = producer.core
        ring = core.ring
        first = _send(producer, b"first" + bytes(200))
        (frame,) = broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        kept = []
        least = 1200
        for number in range(500):
            kept.append(b"%03d" % number + bytes(number % 90))
            producer.send_nowait(kept[-1])
            assert ring.open - ring.oldest <= ring._slots and ring.holds(ring.oldest)
            used = sum([
                ring._ends[one % ring._slots] - ring._entries[one % ring._slots] + ring.head_room
                for one in range(ring.oldest, ring.open)
            ])
            least = min(least, used if number > 20 else least)
        assert least > 700, "more was dropped than need be"
        assert not first.calls
        reopen(broker, core)
        frames = broker.sent(core)
        assert frames[0] == frame
        contents = _contents(frames[1:])
        assert 3 < len(contents) and contents == kept[-len(contents):]
        assert core.counts[11] == 500 - len(contents)
        _confirm(broker, core)
        assert first.calls[0][2] is None and ring.idle() and ring.pending == 0

    _run(test)


def test_what_is_dropped_frees_its_own_place_first():
    def test():
        broker, producer = _opened()
        core = producer.core
        ring = core.ring
        producer.send_nowait(bytes(200))
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        place = ring._entries[1]
        for _ in range(2):
            producer.send_nowait(bytes(100))
        assert 0 <= ring._entries[(ring.open - 2) % ring._slots] - place <= 3
        dropped = core.counts[11]
        before = ring.open
        for number in range(1, 9):
            producer.send_nowait(bytes(100))
            assert core.counts[11] <= dropped + number and ring.open <= before + 1

    _run(test)


def test_where_all_is_in_flight_nothing_is_dropped():
    def test():
        broker, producer = _opened()
        core = producer.core
        while producer.has_room(60):
            producer.send_nowait(bytes(60))
        broker.sent(core)
        raises(QueueFull, producer.send_nowait, bytes(60))
        core.lost(ConnectError("gone"), broker.now)
        raises(QueueFull, producer.send_nowait, bytes(60))
        assert core.counts[11] == 0 and core.sweep(broker.now) == NEVER
        reopen(broker, core)
        broker.sent(core)
        broker.receipt(0)
        producer.send_nowait(bytes(60))

    _run(test)


def test_where_dropping_would_not_help_nothing_is_dropped():
    def test():
        broker, producer = _opened(send_buffer_size=1000)
        core = producer.core
        producer.send_nowait(bytes(100))
        producer.send_nowait(bytes(250))  # in the middle, when the others are gone
        broker.sent(core)
        broker.receipt(0)
        core.lost(ConnectError("gone"), broker.now)
        ticket = _send(producer, b"small")
        raises(QueueFull, producer.send_nowait, bytes(480))
        assert not ticket.calls and core.counts[11] == 0
        reopen(broker, core)
        assert _contents(broker.sent(core)) == [bytes(250), b"small"]

    _run(test)


def test_send_waits_where_nothing_can_be_dropped_and_ends_with_an_error_when_dropped():
    async def run():
        broker, producer = _opened()
        core = producer.core
        outcomes = []

        async def send(content):
            try:
                outcomes.append((await producer.send(content)).entry_id())
            except QueueFull as error:
                outcomes.append(str(error))

        while producer.has_room(60):
            producer.send_nowait(bytes(60))
        broker.sent(core)
        tasks = [asyncio.create_task(send(b"waits"))]
        await _turns()
        assert outcomes == []
        broker.receipt(0, entry=7)
        await _turns()
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        reopen(broker, core)
        broker.sent(core)
        while not outcomes:
            broker.receipt(core.ring._sequences[core.ring.oldest % core.ring._slots], entry=9)
            await _turns()
        assert outcomes == [9]
        core.lost(ConnectError("gone"), broker.now)
        tasks += [asyncio.create_task(send(b"%d" % number + bytes(200))) for number in range(9)]
        await _turns()
        assert len(outcomes) > 3 and all("dropped for newer ones" in one for one in outcomes[1:])
        assert core.refused is None  # each of them was told
        reopen(broker, core)
        broker.sent(core)
        _confirm(broker, core)
        for task in tasks:
            await task
        assert len(outcomes) == 10

    asyncio.run(run())


def test_the_next_flush_tells_of_what_nobody_waited_for():
    async def run():
        broker, producer = _opened()
        core = producer.core
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(30):
            producer.send_nowait(bytes(100))
        reopen(broker, core)
        task = asyncio.create_task(_error_of(producer.flush()))
        await _turns()
        broker.sent(core)
        _confirm(broker, core)
        assert "dropped for newer ones" in str(await task)
        await producer.flush()

    asyncio.run(run())


def test_a_flush_ends_with_its_own_messages_however_often_they_have_moved_up():
    async def run():
        broker, producer = _opened()
        core = producer.core
        ring = core.ring
        producer.send_nowait(b"in flight")
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(5):
            producer.send_nowait(bytes(90))
        task = asyncio.create_task(_error_of(producer.flush()))
        await _turns()
        last = ring.last_batch()
        for _ in range(3):  # which drop three of those five
            producer.send_nowait(b"behind" + bytes(200))
        assert core.counts[11] >= 3 and ring.last_batch() <= last + 1
        reopen(broker, core)
        broker.sent(core)
        while not task.done():
            assert not ring.idle(), "it waits for what came after it"
            broker.receipt(ring._sequences[ring.oldest % ring._slots])
            await _turns()
        assert ring.pending == 3 and isinstance(await task, QueueFull)

    asyncio.run(run())


def test_a_flush_whose_last_message_is_dropped_waits_for_those_before():
    async def run():
        broker, producer = _opened()
        core = producer.core
        ring = core.ring
        producer.send_nowait(b"in flight")
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(2):
            producer.send_nowait(bytes(90))
        task = asyncio.create_task(_error_of(producer.flush()))
        await _turns()
        for _ in range(9):
            producer.send_nowait(bytes(200))
        await _turns()
        assert core.counts[11] >= 2 and not task.done()
        reopen(broker, core)
        broker.sent(core)
        broker.receipt(0)
        await _turns()
        assert task.done() and not ring.idle() and isinstance(await task, QueueFull)

    asyncio.run(run())


def test_a_message_that_is_to_be_sent_again_moves_up_with_the_others():
    def test():
        broker, producer = _opened()
        core = producer.core
        core.ring.own.clear()
        tickets = [_send(producer, b"damaged"), _send(producer, b"in flight")]
        broker.sent(core)
        tickets += [_send(producer, bytes(90)), _send(producer, bytes(90))]
        broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 9, 4, "checksum")
        (moved,) = core.requeued
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(2):
            producer.send_nowait(bytes(280))
        dropped = core.counts[11]
        assert 0 < dropped <= 2 and core.requeued == (moved - dropped,)
        assert core.tickets[moved - dropped] is tickets[0] and not tickets[0].calls
        reopen(broker, core)
        contents = _contents(broker.sent(core))
        assert contents[0] == b"in flight" and contents.index(b"damaged") == moved - dropped - core.ring.oldest
        # Damaged once more, it fails, since it was sent with new ids before.
        slot = (moved - dropped) % core.ring._slots
        broker.say(fake.SEND_ERROR, 1, 1, 2, core.ring._sequences[slot], 3, 9, 4, "checksum")
        assert "once more" in str(tickets[0].calls[0][2])

    _run(test)


def test_a_batch_in_the_place_of_one_dropped_has_a_delay_of_its_own():
    def test():
        broker, producer = _opened(batching_max_messages=100, batching_max_publish_delay_ms=500)
        core = producer.core
        producer.send_nowait(bytes(100))
        core.ring.close_batch()
        broker.sent(core)
        producer.send_nowait(b"open")
        assert broker.sent(core) == [] and core.due == 500
        broker.now = ticks_add(broker.now, 400)
        core.dropping.drop(core.ring.open, 11, QueueFull("full"))
        producer.send_nowait(b"fresh")
        assert broker.sent(core) == [] and core.due == 500

    _run(test)


def test_there_is_one_report_at_once_and_then_one_in_ten_seconds():
    def test():
        broker, producer = _opened()
        core = producer.core
        core.lost(ConnectError("gone"), broker.now)
        errors = core.watch.errors
        errors.clear()
        attended = core.watch.attended
        for _ in range(30):
            producer.send_nowait(bytes(100))
        assert core.watch.attended == attended + 1 and errors == []
        first = core.counts[11]
        core.sweep(broker.now)
        assert len(errors) == 1 and "%d for want of room" % first in str(errors[0]) and TOPIC in str(errors[0])
        for _ in range(30):
            producer.send_nowait(bytes(100))
        broker.now = ticks_add(broker.now, 1000)
        assert core.sweep(broker.now) <= 9000 and len(errors) == 1
        broker.now = ticks_add(broker.now, 9000)
        core.sweep(broker.now)
        assert len(errors) == 2 and "%d for want of room" % (core.counts[11] - first) in str(errors[1])
        broker.now = ticks_add(broker.now, 20000)
        core.sweep(broker.now)
        assert len(errors) == 2

    _run(test)


def test_batches_are_small_enough_that_a_drop_costs_little():
    def test():
        producer = _make(send_buffer_size=2000, batching_max_messages=1000)
        costs = []
        for _ in range(200):
            before = producer.core.counts[11]
            producer.send_nowait(bytes(20))
            costs.append(producer.core.counts[11] - before)
        ring = producer.core.ring
        assert ring.max_bytes == 500 and max(costs) <= 500 // 26
        assert ring.pending + ring._count >= 2 * 500 // 29

    _run(test)


def test_messages_of_every_kind_make_room():
    def test():
        producer = _make(max_pending_messages=4)
        for number in range(9):
            producer.send_nowait(b"%d" % number)
        assert producer.core.counts[11] == 5 and producer.core.ring.pending == 4
        single = _make(batching_enabled=False)
        for number in range(30):
            single.send_nowait(b"%d" % number + bytes(100))
        assert single.core.counts[11] > 20
        if LARGE_MESSAGES:
            large = _make()
            tickets = [_send(large, b"%d" % number + bytes(2000)) for number in range(3)]
            assert [len(ticket.calls) for ticket in tickets] == [1, 1, 0]

    _run(test)


def test_dropping_for_ever_takes_no_memory():
    def test():
        broker, producer = _opened()
        core = producer.core
        producer.send_nowait(bytes(100))
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)

        def drop_some():
            for _ in range(200):
                producer.send_nowait(bytes(100))
            core.sweep(broker.now)
            gc.collect()
            return gc.mem_free() if hasattr(gc, "mem_free") else 0

        drop_some()
        before = drop_some()
        for _ in range(3):
            assert before - drop_some() < 500
        assert len(core.tickets) == 0 and core.requeued == ()

    _run(test)
