"""Scenarios of consumers: how messages are received, and from which position on."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, fill, left, nothing_comes, numbers, take

from mpy_pulsar import AlreadyClosed, MessageId, Timeout
from mpy_pulsar.port import ticks_diff, ticks_ms


async def a_new_subscription_starts_at_either_end(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 2)
        latest = await client.subscribe(topic, "latest")
        earliest = await client.subscribe(topic, "earliest", **EARLIEST)
        await nothing_comes(latest)
        await fill(client, topic, 2, first=3)
        same(await numbers(latest, 2), [3, 4], "behind the end")
        same(await numbers(earliest, 5), [0, 1, 2, 3, 4], "from the beginning")
        await latest.close()
        await left(client, topic, "latest", [3, 4], **EARLIEST)  # an old one stays where it is


async def receiving_with_a_time_limit(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        started = ticks_ms()
        error = await raises(Timeout, consumer.receive(100))
        true(ticks_diff(ticks_ms(), started) >= 99 and topic in str(error), "a time limit holds")
        await raises(Timeout, consumer.receive(0))
        await raises(ValueError, consumer.receive(-1))
        waiting = asyncio.create_task(consumer.receive(COMES_MILLIS))
        await fill(client, topic, 1)
        same((await waiting).data(), b"0", "it came in time")


async def receiving_batches(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        await raises(Timeout, consumer.receive_batch(5, 0))
        await raises(ValueError, consumer.receive_batch(0))
        await fill(client, topic, 7, 5)
        found = []
        while len(found) < 12:
            messages = await consumer.receive_batch(5, COMES_MILLIS)
            true(1 <= len(messages) <= 5, "as many as there are")
            found += [int(message.data()) for message in messages]
            for message in messages:
                await consumer.acknowledge(message)
        same(found, list(range(12)), "all of it")


async def a_cancelled_receive_loses_nothing(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        found = []

        async def take_one():
            found.append(int((await consumer.receive()).data()))

        async def take_one_in_time():
            found.append(int((await consumer.receive(COMES_MILLIS)).data()))

        async def take_some():
            found.extend([int(message.data()) for message in await consumer.receive_batch(3)])

        for number in range(60):
            await producer.room(2)
            producer.send_nowait(b"%d" % number)
            task = asyncio.create_task((take_one, take_some, take_one_in_time)[number % 3]())
            for _ in range(number % 10):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
        await producer.flush()
        found += await numbers(consumer, 60 - len(found))
        same(found, list(range(60)), "received")


async def listening_with_a_callback(place, topic):
    errors = []
    async with place.connect(on_error=errors.append) as client:
        consumer = await client.subscribe(topic, "all")
        plain = []
        done = asyncio.Event()

        def callback(message):
            plain.append(int(message.data()))
            if len(plain) == 2:
                raise ValueError("of the callback")
            if len(plain) == 6:
                done.set()

        listener = consumer.listen(callback)
        try:
            consumer.listen(callback)
            raise AssertionError("a second listener")
        except ValueError:
            pass
        await fill(client, topic, 6)
        await done.wait()
        same(plain, list(range(6)), "a plain callback")
        true([error for error in errors if "of the callback" in str(error)], "its error is reported")
        await consumer.close()
        true(not listener.running(), "the listener ends with its consumer")


async def listening_with_a_coroutine(place, topic):
    async with place.connect() as client:
        await fill(client, topic, *([1] * 6))
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        taken = []
        closed = asyncio.Event()

        async def acknowledging(message):
            await consumer.acknowledge(message)
            taken.append(int(message.data()))
            if len(taken) == 5:
                await consumer.close()
                closed.set()

        listener = consumer.listen(acknowledging)
        await closed.wait()
        same(taken, list(range(5)), "an async callback, which closes its own consumer")
        while listener.running():
            await asyncio.sleep(0)
        await left(client, topic, "all", [5])


async def flow_by_hand(place, topic):
    async with place.connect() as client:
        await fill(client, topic, *([1] * 12))
        consumer = await client.subscribe(topic, "all", auto_flow=False, **EARLIEST)
        await nothing_comes(consumer)
        for count in (1, 3, 5):
            consumer.flow(count)
            await numbers(consumer, count)
            await nothing_comes(consumer)
        consumer.flow(100)
        await numbers(consumer, 3)
        other = await client.subscribe(topic, "other", **EARLIEST)
        try:
            other.flow(1)
            raise AssertionError("flow() of a consumer that sees to it itself")
        except ValueError:
            pass


async def the_smallest_queue_takes_all(place, topic):
    async with place.connect() as client:
        await fill(client, topic, *([1, 3] * 5))
        consumer = await client.subscribe(topic, "all", receiver_queue_size=1, **EARLIEST)
        same(await numbers(consumer, 20), list(range(20)), "one by one")
        for wrong in ({"receiver_queue_size": 0}, {"consumer_type": 4}, {"schema": "any"}):
            await raises(ValueError, client.subscribe(topic, "all", **wrong))


async def messages_are_taken_by_a_loop(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 3, 3)
        found = []
        async with await client.subscribe(topic, "all", **EARLIEST) as consumer:
            async for message in consumer:
                await consumer.acknowledge(message)
                found.append(int(message.data()))
                if len(found) == 4:
                    break
            same(found, [0, 1, 2, 3], "the loop")
            same([message.data() for message in await take(consumer, 2)], [b"4", b"5"], "what the loop left")
        await left(client, topic, "all", [3, 4, 5])  # acknowledged is what is whole


async def several_tasks_receive_from_one_consumer(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        waiting = [asyncio.create_task(consumer.receive(COMES_MILLIS)) for _ in range(5)]
        waiting += [asyncio.create_task(consumer.receive()) for _ in range(5)]
        await asyncio.sleep(0)
        await fill(client, topic, 5, 4, 1)
        messages = await asyncio.gather(*waiting)
        same(sorted([int(message.data()) for message in messages]), list(range(10)), "each gets one")


async def openings_that_are_cancelled(place, topic):
    async with place.connect() as client, place.connect() as other:
        await fill(client, topic, 1)
        openings = (
            lambda: client.subscribe(topic, "all", **EARLIEST), lambda: client.create_reader(topic, MessageId.earliest),
            lambda: client.create_producer(topic, producer_name="same"),
        )
        for turns in range(0, 40, 2):
            task = asyncio.create_task(openings[turns // 2 % 3]())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await (await task).close()
            except asyncio.CancelledError:
                pass
        # Nothing of it holds the place or the name.
        async with await other.create_producer(topic, producer_name="same") as producer:
            await producer.send(b"1")
        same(await numbers(await other.subscribe(topic, "all", **EARLIEST), 2), [0, 1], "the subscription is free")


async def closing_ends_every_wait(place, topic):
    client = place.connect()
    consumer = await client.subscribe(topic, "all")
    reader = await client.create_reader(topic, MessageId.latest)
    waits = (consumer.receive(), consumer.receive(COMES_MILLIS), consumer.receive_batch(3), reader.read_next())
    waiting = [asyncio.create_task(raises(AlreadyClosed, one)) for one in waits]
    opening = asyncio.create_task(raises(AlreadyClosed, client.subscribe(topic, "all")))  # busy
    await fill(client, topic + "-other", 1)
    await client.close()
    await asyncio.gather(opening, *waiting)
    await raises(AlreadyClosed, client.create_reader(topic, MessageId.latest))


SCENARIOS = (
    a_new_subscription_starts_at_either_end, receiving_with_a_time_limit, receiving_batches,
    a_cancelled_receive_loses_nothing, listening_with_a_callback, listening_with_a_coroutine, flow_by_hand,
    the_smallest_queue_takes_all, messages_are_taken_by_a_loop, several_tasks_receive_from_one_consumer,
    openings_that_are_cancelled, closing_ends_every_wait,
)
