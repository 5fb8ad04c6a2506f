"""Who waits while the oldest messages are dropped: calls of `send` and `flush` end, each with what became of its own;
and what else goes by the numbers of batches, which move up."""
import asyncio

from mpy_pulsar.core.handle import READY
from mpy_pulsar.errors import ConnectError, QueueFull
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.dropping_support import (
    confirm, contents_of, error_of, opened, run_in_loop, send_with_ticket, turns,
)
from tests.unit.fake_broker import reopen


def _cut_with_one_in_flight():
    """A broker, and a producer whose link was lost before the receipt of its only message."""
    broker, producer = opened()
    producer.send_nowait(b"in flight")
    broker.sent(producer.core)
    producer.core.lost(ConnectError("gone"), broker.now)
    return broker, producer


def test_send_waits_where_nothing_can_be_dropped_and_ends_with_an_error_when_dropped():
    async def run():
        broker, producer = opened()
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
        await turns()
        assert outcomes == []
        broker.receipt(0, entry=7)
        await turns()
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        reopen(broker, core)
        broker.sent(core)
        while not outcomes:
            broker.receipt(core.ring._sequences[core.ring.oldest % core.ring._slots], entry=9)
            await turns()
        assert outcomes == [9]
        core.lost(ConnectError("gone"), broker.now)
        tasks += [asyncio.create_task(send(b"%d" % number + bytes(200))) for number in range(9)]
        await turns()
        assert len(outcomes) > 3 and all("dropped for newer ones" in one for one in outcomes[1:])
        assert core.refused is None  # each of them was told
        reopen(broker, core)
        broker.sent(core)
        confirm(broker, core)
        for task in tasks:
            await task
        assert len(outcomes) == 10

    asyncio.run(run())


def test_the_next_flush_tells_of_what_nobody_waited_for():
    async def run():
        broker, producer = opened()
        core = producer.core
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(30):
            producer.send_nowait(bytes(100))
        reopen(broker, core)
        task = asyncio.create_task(error_of(producer.flush()))
        await turns()
        broker.sent(core)
        confirm(broker, core)
        assert "dropped for newer ones" in str(await task)
        await producer.flush()

    asyncio.run(run())


def test_a_flush_ends_with_its_own_messages_however_often_they_have_moved_up():
    async def run():
        broker, producer = _cut_with_one_in_flight()
        core = producer.core
        ring = core.ring
        for _ in range(5):
            producer.send_nowait(bytes(90))
        task = asyncio.create_task(error_of(producer.flush()))
        await turns()
        last = ring.last_batch()
        for _ in range(3):  # which drop three of those five
            producer.send_nowait(b"behind" + bytes(200))
        assert core.counts[11] >= 3 and ring.last_batch() <= last + 1
        reopen(broker, core)
        broker.sent(core)
        while not task.done():
            assert not ring.idle(), "it waits for what came after it"
            broker.receipt(ring._sequences[ring.oldest % ring._slots])
            await turns()
        assert ring.pending == 3 and isinstance(await task, QueueFull)

    asyncio.run(run())


def test_a_flush_whose_last_message_is_dropped_waits_for_those_before():
    async def run():
        broker, producer = _cut_with_one_in_flight()
        core = producer.core
        ring = core.ring
        for _ in range(2):
            producer.send_nowait(bytes(90))
        task = asyncio.create_task(error_of(producer.flush()))
        await turns()
        for _ in range(9):
            producer.send_nowait(bytes(200))
        await turns()
        assert core.counts[11] >= 2 and not task.done()
        reopen(broker, core)
        broker.sent(core)
        broker.receipt(0)
        await turns()
        assert task.done() and not ring.idle() and isinstance(await task, QueueFull)

    asyncio.run(run())


def test_a_message_that_is_to_be_sent_again_moves_up_with_the_others():
    def test():
        broker, producer = opened()
        core = producer.core
        tickets = [send_with_ticket(producer, b"damaged"), send_with_ticket(producer, b"in flight")]
        broker.sent(core)
        tickets += [send_with_ticket(producer, bytes(90)), send_with_ticket(producer, bytes(90))]
        broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 9, 4, "checksum")
        (moved,) = core.requeued
        core.lost(ConnectError("gone"), broker.now)
        for _ in range(2):
            producer.send_nowait(bytes(280))
        dropped = core.counts[11]
        assert 0 < dropped <= 2 and core.requeued == (moved - dropped,)
        assert core.tickets[moved - dropped] is tickets[0] and not tickets[0].calls
        reopen(broker, core)
        contents = contents_of(broker.sent(core))
        assert contents[0] == b"in flight" and contents.index(b"damaged") == moved - dropped - core.ring.oldest
        # Damaged once more, it fails, since it was sent with new ids before.
        slot = (moved - dropped) % core.ring._slots
        broker.say(fake.SEND_ERROR, 1, 1, 2, core.ring._sequences[slot], 3, 9, 4, "checksum")
        assert core.state == READY and "once more" in str(tickets[0].calls[0][2])

    run_in_loop(test)


def test_a_batch_in_the_place_of_one_dropped_has_a_delay_of_its_own():
    def test():
        broker, producer = opened(batching_max_messages=100, batching_max_publish_delay_ms=500)
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

    run_in_loop(test)
