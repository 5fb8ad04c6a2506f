"""Scenarios of consumers: how messages are received, by which type of subscription, from which position on."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, fill, left, nothing_comes, numbers, share, take

from mpy_pulsar import ConsumerKeySharedPolicy, ConsumerType, KeySharedMode, PulsarError, Timeout
from mpy_pulsar.port import ticks_diff, ticks_ms

_CONSUMER_BUSY = 5


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


async def an_exclusive_subscription_has_one_consumer(place, topic):
    async with place.connect() as client, place.connect(operation_timeout_seconds=3) as rival:
        consumer = await client.subscribe(topic, "all")
        kinds = (ConsumerType.Exclusive, ConsumerType.Shared, ConsumerType.Failover, ConsumerType.KeyShared)
        for error in await asyncio.gather(*[
            raises(PulsarError, rival.subscribe(topic, "all", consumer_type=kind)) for kind in kinds
        ]):
            same(error.error(), _CONSUMER_BUSY, "ConsumerBusy")
            true(topic in str(error) and place.address in str(error), "the text names topic and broker: %s" % error)
        await fill(client, topic, 1)
        same(await numbers(consumer, 1), [0], "the first goes on")
        await consumer.close()
        await left(client, topic, "all", [0])  # then another may


async def a_shared_subscription_deals_out(place, topic):
    async with place.connect() as client:
        consumers = []
        for number in range(2):
            consumers.append(await client.subscribe(
                topic, "all", consumer_type=ConsumerType.Shared, consumer_name="c%d" % number, receiver_queue_size=4,
                properties={"number": str(number)},
            ))
        same([consumer.consumer_name() for consumer in consumers], ["c0", "c1"], "names")
        same(consumers[0].subscription_name(), "all", "the subscription's name")
        await fill(client, topic, *([1] * 40))
        found = await share(consumers, 40)
        same(sorted([int(message.data()) for one in found for message in one]), list(range(40)), "each message once")
        true(found[0] and found[1], "both get some")
        await consumers[0].close()
        await consumers[1].close()
        await left(client, topic, "all", [], consumer_type=ConsumerType.Shared)


async def a_failover_subscription_passes_on(place, topic):
    async with place.connect() as client, place.connect() as other:
        more = {"consumer_type": ConsumerType.Failover}
        # Which of them is active is the broker's choice, by its hash of their names.
        first = await client.subscribe(topic, "all", consumer_name="a", **more)
        second = await other.subscribe(topic, "all", consumer_name="b", **more)
        await fill(client, topic, 1, 1, 1, 1)
        arrivals = [asyncio.create_task(one.receive(COMES_MILLIS)) for one in (first, second)]
        while not (arrivals[0].done() or arrivals[1].done()):
            await asyncio.sleep(0)
        idle_one = 1 if arrivals[0].done() else 0
        active, idle = (first, second) if idle_one else (second, first)
        arrivals[idle_one].cancel()
        await raises(asyncio.CancelledError, arrivals[idle_one])
        message = await arrivals[1 - idle_one]
        same(message.data(), b"0", "the active one")
        await active.acknowledge(message)
        same(await numbers(active, 3), [1, 2, 3], "all of it")
        await nothing_comes(idle)
        await active.close()
        same(await numbers(idle, 3), [1, 2, 3], "the other takes over what was not acknowledged")
        await fill(client, topic, 1, first=4)
        same(await numbers(idle, 1), [4], "and what comes now")


async def keys_stay_with_their_consumer(place, topic):
    async with place.connect() as client, place.connect() as other:
        more = {"consumer_type": ConsumerType.KeyShared}
        consumers = [await client.subscribe(topic, "all", consumer_name="a", **more)]
        consumers.append(await other.subscribe(topic, "all", consumer_name="b", **more))
        producer = await client.create_producer(topic, batching_enabled=False)
        for number in range(60):
            await producer.send(b"%d" % number, partition_key="key%d" % (number % 12))
        found = await share(consumers, 60)
        keys = [{message.partition_key() for message in one} for one in found]
        true(keys[0] and keys[1] and not keys[0] & keys[1], "a key has one consumer: %r" % (keys,))
        for one in found:
            for key in range(12):
                mine = [int(message.data()) for message in one if message.partition_key() == "key%d" % key]
                true(mine in ([], list(range(key, 60, 12))), "a key's messages stay in order: %r" % (mine,))


async def ordering_keys_come_first(place, topic):
    async with place.connect() as client:
        more = {"consumer_type": ConsumerType.KeyShared}
        consumers = []
        for name in ("a", "b"):
            consumers.append(await client.subscribe(topic, "all", consumer_name=name, **more))
        producer = await client.create_producer(topic)
        for number in range(24):
            await producer.send(
                b"%d" % number, partition_key="%d" % number, ordering_key=b"\x00order%d" % (number % 8)
            )
        found = [{message.ordering_key() for message in one} for one in await share(consumers, 24)]
        true(found[0] and found[1] and not found[0] & found[1], "an ordering key has one consumer: %r" % (found,))


async def what_a_closed_consumer_leaves(place, topic):
    async with place.connect() as client, place.connect() as other:
        for kind in (ConsumerType.Shared, ConsumerType.KeyShared):
            name = "kind %d" % kind
            first = await client.subscribe(topic, name, consumer_type=kind)
            second = await other.subscribe(topic, name, consumer_type=kind)
            producer = await client.create_producer(topic, batching_enabled=False)
            for number in range(20):
                await producer.send(b"%d" % number, partition_key="key%d" % number)
            (message,) = await take(first, 1)
            await first.acknowledge(message)
            await first.close()
            remaining = [number for number in range(20) if b"%d" % number != message.data()]
            same(sorted(await numbers(second, 19)), remaining, "the other gets them")
            await second.close()
            await producer.close()


async def keys_go_to_ranges(place, topic):
    async with place.connect() as client:
        kind = {"consumer_type": ConsumerType.KeyShared}
        halves = []
        for first, last in ((0, 32767), (32768, 65535)):
            policy = ConsumerKeySharedPolicy(KeySharedMode.Sticky, False, [(first, last)])
            halves.append(await client.subscribe(topic, "sticky", key_shared_policy=policy, **kind))
        relaxed = await client.subscribe(
            topic, "relaxed", key_shared_policy=ConsumerKeySharedPolicy(allow_out_of_order_delivery=True), **kind
        )
        producer = await client.create_producer(topic)
        for number in range(20):
            await producer.send(b"%d" % number, partition_key="key%d" % (number % 5))
        same(sorted(await numbers(relaxed, 20)), list(range(20)), "out of order allowed")
        found = [{message.partition_key() for message in one} for one in await share(halves, 20)]
        # By the hash that all clients and brokers share.
        same(found, [{"key1", "key2", "key4"}, {"key0", "key3"}], "each half has its keys")


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


SCENARIOS = (
    a_new_subscription_starts_at_either_end, receiving_with_a_time_limit, receiving_batches,
    a_cancelled_receive_loses_nothing, listening_with_a_callback, listening_with_a_coroutine, flow_by_hand,
    the_smallest_queue_takes_all, an_exclusive_subscription_has_one_consumer, a_shared_subscription_deals_out,
    a_failover_subscription_passes_on, keys_stay_with_their_consumer, ordering_keys_come_first,
    what_a_closed_consumer_leaves, keys_go_to_ranges, messages_are_taken_by_a_loop,
)
