"""Scenarios of consumers: what is acknowledged does not come again, and what is not does."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, cut, fill, left, nothing_comes, numbers, take

from mpy_pulsar import AlreadyClosed, ConsumerType, MessageId, PulsarError
from mpy_pulsar.port import ticks_diff, ticks_ms

_DELAY_MILLIS = 200  # of negative acknowledgements


async def by_message_by_id_and_by_entry(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 3, 4, 1, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 10)
        same([message.message_id() for message in messages], ids, "ids")
        for one in (messages[0], messages[1].message_id(), messages[2], messages[2], messages[1]):
            await consumer.acknowledge(one)  # mixed, and twice
        await consumer.acknowledge_entry(messages[5])
        await consumer.acknowledge(MessageId.deserialize(messages[7].message_id().serialize()))
        await consumer.acknowledge(MessageId.deserialize(ids[8].serialize()))
        await consumer.close()
        await raises(AlreadyClosed, consumer.acknowledge(messages[8]))
        await left(client, topic, "all", [8, 9])
        consumer = await client.subscribe(topic, "all")
        for one in ids[8:]:
            await consumer.acknowledge(MessageId.deserialize(one.serialize()))
        await consumer.close()
        await left(client, topic, "all", [])


async def an_entry_by_the_id_of_one_of_it(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 3, 4, 1)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        await take(consumer, 8)
        await consumer.acknowledge_entry(MessageId.deserialize(ids[1].serialize()))
        await consumer.acknowledge_entry(ids[7])
        await consumer.close()
        await left(client, topic, "all", [3, 4, 5, 6])


async def acknowledging_cumulatively(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 3, 4, 1, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 10)
        await consumer.acknowledge_cumulative(messages[0])  # nothing is before its entry
        await consumer.acknowledge_cumulative(messages[4])  # in mid-batch: all before its entry
        await consumer.close()
        await left(client, topic, "all", list(range(3, 10)))
        consumer = await client.subscribe(topic, "all")
        await consumer.acknowledge_cumulative(ids[7])
        await consumer.close()
        await left(client, topic, "all", [8, 9])
        for kind in (ConsumerType.Shared, ConsumerType.KeyShared):
            consumer = await client.subscribe(topic, "kind %d" % kind, consumer_type=kind, **EARLIEST)
            await raises(PulsarError, consumer.acknowledge_cumulative((await take(consumer, 1))[0]))


async def inside_of_batches(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 70, 3)
        more = {"batch_index_ack_enabled": True, "consumer_type": ConsumerType.Shared}
        consumer = await client.subscribe(topic, "all", **EARLIEST, **more)
        messages = await take(consumer, 73)
        for index in (0, 2, 3, 64, 69, 71):
            await consumer.acknowledge(messages[index])
        await consumer.close()
        remaining = [number for number in range(73) if number not in (0, 2, 3, 64, 69, 71)]
        await left(client, topic, "all", remaining, **more)
        consumer = await client.subscribe(topic, "all", **more)
        for message in await asyncio.gather(*[consumer.receive(COMES_MILLIS) for _ in remaining]):
            await consumer.acknowledge(message)
        await consumer.close()
        await left(client, topic, "all", [], **more)


async def inside_of_batches_cumulatively(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 70, 3)
        consumer = await client.subscribe(topic, "log", batch_index_ack_enabled=True, **EARLIEST)
        messages = await take(consumer, 72)
        await consumer.acknowledge_cumulative(messages[4])
        await consumer.close()
        await left(client, topic, "log", list(range(5, 73)))
        consumer = await client.subscribe(topic, "log", batch_index_ack_enabled=True)
        await consumer.acknowledge_cumulative(messages[71])
        await consumer.close()
        await left(client, topic, "log", [72])


async def inside_of_batches_across_a_lost_link(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 5, 1)
        consumer = await client.subscribe(
            topic, "all", batch_index_ack_enabled=True, consumer_type=ConsumerType.Shared, **EARLIEST
        )
        messages = await take(consumer, 6)
        await consumer.acknowledge(messages[1])
        await consumer.acknowledge(messages[3])
        await consumer.get_last_message_id()  # acknowledgements leave before the question
        cut(consumer, "cut by the scenario")
        again = await take(consumer, 4)
        same([message.data() for message in again], [b"0", b"2", b"4", b"5"], "what is unacknowledged comes again")
        same([message.message_id().batch_index() for message in again], [0, 2, 4, 0], "under its old index")
        for message in messages[:1] + again[1:]:
            await consumer.acknowledge(message)  # of before the loss, and of after it
        await consumer.acknowledge(again[0])
        await consumer.close()
        await left(client, topic, "all", [], consumer_type=ConsumerType.Shared)


async def whole_batches_without_the_option(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 3, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 5)
        for index in (0, 1, 3, 4):
            await consumer.acknowledge(messages[index])
        await consumer.get_last_message_id()  # acknowledgements leave before the question
        cut(consumer, "cut by the scenario")
        same(await numbers(consumer, 3), [0, 1, 2], "an entry is acknowledged when all of it is")
        await nothing_comes(consumer)


async def negatively_on_a_shared_subscription(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 2, 1)
        more = dict(EARLIEST, negative_ack_redelivery_delay_ms=_DELAY_MILLIS)
        consumer = await client.subscribe(topic, "all", consumer_type=ConsumerType.Shared, **more)
        messages = await take(consumer, 4)
        for count in (1, 2):
            started = ticks_ms()
            await consumer.negative_acknowledge(messages[0])
            await consumer.negative_acknowledge(messages[0].message_id())
            (again,) = await take(consumer, 1)
            true(ticks_diff(ticks_ms(), started) >= _DELAY_MILLIS - 1, "not before its delay")
            same((again.data(), again.redelivery_count()), (b"0", count), "only that one comes again")
            await nothing_comes(consumer)
        await consumer.negative_acknowledge(messages[2])
        batch = await take(consumer, 2)
        same([message.data() for message in batch], [b"1", b"2"], "a batch comes again whole")
        same({message.redelivery_count() for message in batch}, {1}, "once")
        for message in [again] + batch + messages[3:]:
            await consumer.acknowledge(message)
        await consumer.close()
        await left(client, topic, "all", [], consumer_type=ConsumerType.Shared)


async def negatively_where_order_counts(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 1, 1, 1)
        more = dict(EARLIEST, negative_ack_redelivery_delay_ms=_DELAY_MILLIS)
        for name, kind in (("only", ConsumerType.Exclusive), ("first", ConsumerType.Failover)):
            consumer = await client.subscribe(topic, name, consumer_type=kind, **more)
            messages = await take(consumer, 3)
            await consumer.acknowledge(messages[0])
            await consumer.negative_acknowledge(messages[2])
            found = await numbers(consumer, 1)
            while found[-1] != 1:
                found += await numbers(consumer, 1)  # what had arrived before the redelivery
            true(found in ([3, 1], [1]), "then from the oldest on: %r" % (found,))
            same(await numbers(consumer, 2), [2, 3], "all that is unacknowledged, in order")
            await consumer.close()


async def what_is_left_of_a_batch_comes_again(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 4)
        more = {"consumer_type": ConsumerType.Shared, "negative_ack_redelivery_delay_ms": 0}
        for name, batch_index, expected in (("by index", True, [1, 3]), ("by entry", False, [0, 1, 2, 3])):
            consumer = await client.subscribe(topic, name, batch_index_ack_enabled=batch_index, **EARLIEST, **more)
            messages = await take(consumer, 4)
            await consumer.acknowledge(messages[0])
            await consumer.acknowledge(messages[2])
            await consumer.negative_acknowledge(messages[1])
            same(await numbers(consumer, len(expected)), expected, "negatively")
            consumer.redeliver_unacknowledged_messages()
            again = await take(consumer, len(expected))
            same([int(message.data()) for message in again], expected, "all")
            for message in again:
                await consumer.acknowledge(message)
            await nothing_comes(consumer)
            await consumer.close()
            await left(client, topic, name, [], **more)


async def cumulatively_across_a_lost_link(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 1, 3, 1)
        consumer = await client.subscribe(topic, "all", consumer_type=ConsumerType.Failover, **EARLIEST)
        messages = await take(consumer, 6)
        await consumer.acknowledge_cumulative(messages[1])
        await consumer.get_last_message_id()  # acknowledgements leave before the question
        cut(consumer, "cut by the scenario")
        same(await numbers(consumer, 4), [2, 3, 4, 5], "behind it")
        await consumer.acknowledge_cumulative(messages[4])  # of before the loss
        consumer.redeliver_unacknowledged_messages()
        same(await numbers(consumer, 1), [5], "behind that")
        await consumer.acknowledge_cumulative(ids[0])  # long done
        await consumer.acknowledge_cumulative(ids[5])
        await consumer.close()
        await left(client, topic, "all", [], consumer_type=ConsumerType.Failover)


async def redelivering_all(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 2, 2, 2)
        for name, kind in (("sharing", ConsumerType.Shared), ("only", ConsumerType.Exclusive)):
            consumer = await client.subscribe(topic, name, consumer_type=kind, **EARLIEST)
            # Where there is an order, what is on its way meanwhile is void; elsewhere it counts, and would come twice.
            messages = await take(consumer, 6 if kind == ConsumerType.Shared else 3)
            await consumer.acknowledge(messages[0])
            await consumer.acknowledge(messages[1])
            for _ in range(3):
                consumer.redeliver_unacknowledged_messages()
                same(sorted(await numbers(consumer, 4)), [2, 3, 4, 5], "all that is unacknowledged")
            await nothing_comes(consumer)
            await consumer.close()


async def redeliveries_are_counted(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1)
        for kind in (ConsumerType.Shared, ConsumerType.KeyShared):
            consumer = await client.subscribe(topic, "kind %d" % kind, consumer_type=kind, **EARLIEST)
            for count in range(4):
                (message,) = await take(consumer, 1)
                same(message.redelivery_count(), count, "deliveries before")
                consumer.redeliver_unacknowledged_messages()
            await consumer.close()


SCENARIOS = (
    by_message_by_id_and_by_entry, an_entry_by_the_id_of_one_of_it, acknowledging_cumulatively, inside_of_batches,
    inside_of_batches_cumulatively, inside_of_batches_across_a_lost_link, whole_batches_without_the_option,
    negatively_on_a_shared_subscription, negatively_where_order_counts, what_is_left_of_a_batch_comes_again,
    cumulatively_across_a_lost_link, redelivering_all, redeliveries_are_counted,
)
