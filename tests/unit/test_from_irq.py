"""`from_irq`: from an interrupt (micropython.schedule on a host), from threads on CPython, and what it drops."""
import asyncio

from mpy_pulsar.core.handle import CLOSED
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

try:
    from micropython import heap_lock, heap_unlock, schedule
    threading = None
except ImportError:
    import threading

    def heap_lock():
        pass

    heap_unlock = heap_lock

_TURNS = 30


def _opened(**options):
    broker = Broker()
    producer = make_producer(TOPIC, 1, TIMEOUT, send_timeout_millis=0, send_buffer_size=1200, **options)
    broker.open(producer.core)
    return broker, producer


async def _end(producer):
    producer.core.start_close(0)
    await producer.irq._task
    assert producer.core.state == CLOSED or producer.core.failure


def _payloads(broker, producer):
    payloads = []
    for frame in broker.sent(producer.core):
        payloads += [payload for _, payload in read_batch(read_send(frame)[4])]
    return payloads


async def _until(broker, producer, payloads, count):
    """Serve until so many messages have come; a thread needs real time."""
    async def serve():
        while len(payloads) < count:
            for frame in broker.sent(producer.core):
                payloads.extend([payload for _, payload in read_batch(read_send(frame)[4])])
                broker.receipt(read_send(frame)[0][2])
            await asyncio.sleep(0.001)

    await asyncio.wait_for(serve(), 20)


def test_it_allocates_nothing_and_counts_what_it_drops():
    async def run():
        broker, producer = _opened(irq_slots=3, irq_bytes=4)
        put = producer.from_irq
        messages = [b"1", bytearray(b"22"), b"", b"4444", b"55555"]
        taken = [0]
        heap_lock()
        try:
            for message in messages:
                if put(message):
                    taken[0] += 1
        finally:
            heap_unlock()
        assert taken == [3] and producer.irq.dropped == 2
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        assert _payloads(broker, producer) == [b"1", b"22", b""]
        assert not put(b"55555") and producer.irq.dropped == 3
        assert put(b"last") and producer.irq.dropped == 3
        await _end(producer)
        assert producer.irq.dropped == 4  # it came too late

    asyncio.run(run())


def test_it_waits_for_room_in_the_send_buffer():
    async def run():
        broker, producer = _opened(irq_slots=20, irq_bytes=100, batching_max_messages=1)
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        before = producer.core.ring.pending
        for number in range(20):
            assert producer.from_irq(bytes([number]) * 100)
        assert not producer.from_irq(b"x")
        payloads = []
        await _until(broker, producer, payloads, before + 20)
        assert payloads[before:] == [bytes([number]) * 100 for number in range(20)] and producer.irq.dropped == 1
        await _end(producer)

    asyncio.run(run())


def test_a_heap_that_is_full_for_a_while_costs_no_message():
    async def run():
        broker, producer = _opened(irq_slots=3, irq_bytes=4)
        send_nowait = producer.send_nowait
        failures = [0]

        def fail_at_first(content):
            if failures[0] < 3:
                failures[0] += 1
                raise MemoryError("no room for a slice")
            send_nowait(content)

        producer.send_nowait = fail_at_first
        assert producer.from_irq(b"1") and producer.from_irq(b"2")
        payloads = []
        await _until(broker, producer, payloads, 2)
        assert payloads == [b"1", b"2"] and failures == [3] and not producer.irq._task.done()
        assert producer.irq.dropped == 0
        await _end(producer)

    asyncio.run(run())


def test_a_message_that_never_fits_does_not_stop_those_behind_it():
    async def run():
        broker = Broker()
        producer = make_producer(
            TOPIC, 1, TIMEOUT, send_timeout_millis=0, send_buffer_size=1200, irq_slots=3, irq_bytes=3000,
        )
        broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 1000)
        broker.open(producer.core)
        errors = []
        producer.core.report = errors.append
        assert producer.from_irq(bytes(2000)) and producer.from_irq(b"small")
        payloads = []
        await _until(broker, producer, payloads, 1)
        assert payloads == [b"small"] and producer.irq.dropped == 1 and len(errors) == 1
        await _end(producer)

    asyncio.run(run())


def test_from_where_it_is_meant_for():
    async def run():
        broker, producer = _opened(irq_slots=200, irq_bytes=4)
        put = producer.from_irq
        count = 100
        if threading:
            def put_half(one):
                for number in range(count // 2):
                    put(b"%d:%02d" % (one, number))

            threads = [threading.Thread(target=put_half, args=(one,)) for one in range(2)]
            for thread in threads:
                thread.start()
        else:
            put_in_order = [0]

            def interrupted(_):
                put(b"%d:%02d" % (put_in_order[0] % 2, put_in_order[0] // 2))
                put_in_order[0] += 1

            for _ in range(count):
                schedule(interrupted, None)
                await asyncio.sleep(0)
        payloads = []
        await _until(broker, producer, payloads, count)
        for one in range(2):
            mine = [payload for payload in payloads if payload[0] == 48 + one]
            assert mine == [b"%d:%02d" % (one, number) for number in range(count // 2)]
        assert producer.irq.dropped == 0
        if threading:
            for thread in threads:
                thread.join()
        await _end(producer)

    asyncio.run(run())


def test_slots_that_are_none_are_refused():
    async def run():
        raises(ValueError, make_producer, TOPIC, 1, TIMEOUT, irq_slots=-1)
        raises(ValueError, make_producer, TOPIC, 1, TIMEOUT, irq_slots=1, irq_bytes=0)

    asyncio.run(run())
