"""Scenarios of subscriptions with several consumers: who gets what, by the subscription's type."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, fill, left, nothing_comes, numbers, share, take

from mpy_pulsar import ConsumerKeySharedPolicy, ConsumerType, KeySharedMode, PulsarError

_CONSUMER_BUSY = 5


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


SCENARIOS = (
    an_exclusive_subscription_has_one_consumer, a_shared_subscription_deals_out, a_failover_subscription_passes_on,
    keys_stay_with_their_consumer, ordering_keys_come_first, what_a_closed_consumer_leaves, keys_go_to_ranges,
)
