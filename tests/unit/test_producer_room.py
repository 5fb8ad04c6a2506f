"""Room in the send buffer: for the largest message there may be, and where a batch waits for its delay."""
import asyncio

from mpy_pulsar.core.handle import READY
from mpy_pulsar.errors import MessageTooBig, PulsarError, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.support import raises

_TURNS = 20
_DELAY = 60000


async def _turns():
    """Let every task run as far as it can without input."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _opened(**options):
    broker = Broker()
    producer = make_producer(TOPIC, 1, TIMEOUT, send_timeout_millis=0, **options)
    broker.open(producer.core)
    return broker, producer


async def _outcome(awaitable, outcomes):
    try:
        outcomes.append(await awaitable)
    except Exception as error:  # noqa: BLE001
        outcomes.append(error)


def _start(awaitable, outcomes):
    return asyncio.create_task(_outcome(awaitable, outcomes))


def test_room_for_the_largest_message_that_the_broker_takes():
    async def run():
        for buffer_size, message_most in ((600, 2000), (4000, 2000)):
            if buffer_size < message_most and not LARGE_MESSAGES:
                continue
            broker, producer = _opened(send_buffer_size=buffer_size)
            broker.connection.max_message_size = message_most
            producer.core.on_lost()
            producer.core.retry(PulsarError("moved"))
            fake.reopen(broker, producer.core)
            most = producer.core.ring.largest
            sizes = (most - 9, most - 8, most) if LARGE_MESSAGES else (most - 9,)
            for size in sizes:
                outcomes = []
                task = _start(producer.room(size), outcomes)
                await _turns()
                assert outcomes == [None] and producer.has_room(size), (size, outcomes)
                producer.send_nowait(bytes(size))
                await task
                if buffer_size < size:
                    task = _start(producer.room(size), outcomes)
                    await _turns()
                    assert len(outcomes) == 1  # one at a time
                assert producer.core.state == READY and len(broker.sent(producer.core)) == 1
                broker.receipt(producer.core.ring._sequences[producer.core.ring.oldest % producer.core.ring._slots])
                await task
            outcomes = []
            await _outcome(producer.room(most + 1), outcomes)
            assert isinstance(outcomes[0], MessageTooBig)

    asyncio.run(run())


def _full_with_a_delay(**options):
    """A broker and a producer whose open batch has just filled the ring; a count of its wake-ups."""
    broker, producer = _opened(send_buffer_size=1200, batching_max_publish_delay_ms=_DELAY, **options)
    woken = []
    producer.core.wake = lambda: woken.append(1)
    while producer.has_room(100):
        producer.send_nowait(bytes(100))
    assert broker.sent(producer.core) == [] and producer.core.due == _DELAY
    woken.clear()
    return broker, producer, woken


def test_a_batch_that_fills_the_buffer_does_not_wait_for_its_delay():
    async def run():
        def refuse(producer):
            raises(QueueFull, producer.send_nowait, bytes(100))

        def refuse_large(producer):
            producer.core.ring.own[-1] = b"another large message"
            raises(QueueFull, producer.send_nowait, bytes(2000))

        starts = (
            refuse,
            lambda producer: _start(producer.room(100), []),
            lambda producer: _start(producer.send(bytes(100)), []),
            lambda producer: _start(producer.send(bytes(100), properties={"k": "v"}), []),
            lambda producer: _start(producer.send_batch([bytes(100), bytes(100)]), []),
        ) + ((refuse_large,) if LARGE_MESSAGES else ()
        )
        for start in starts:
            broker, producer, woken = _full_with_a_delay()
            task = start(producer)
            await _turns()
            assert woken and len(broker.sent(producer.core)) == 1
            if task:
                task.cancel()
                await _turns()

    asyncio.run(run())


def test_the_batch_behind_one_that_left_early_waits_for_its_delay():
    async def run():
        broker, producer, _ = _full_with_a_delay()
        raises(QueueFull, producer.send_nowait, bytes(100))
        assert len(broker.sent(producer.core)) == 1
        broker.receipt(0)
        producer.send_nowait(b"next")
        assert broker.sent(producer.core) == [] and producer.core.due == _DELAY

    asyncio.run(run())


def test_what_comes_from_an_interrupt_does_not_wait_for_the_delay_of_a_full_buffer():
    async def run():
        broker, producer, woken = _full_with_a_delay(irq_slots=2, irq_bytes=100)
        assert producer.from_irq(bytes(100))
        for _ in range(_TURNS):
            await asyncio.sleep(0.001)
            if woken:
                break
        assert woken and len(broker.sent(producer.core)) == 1
        producer.core.start_close(broker.now)
        await producer.irq._task

    asyncio.run(run())
