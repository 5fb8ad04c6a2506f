"""The checks of consume_all_ways about acknowledging, and about having messages sent again."""
import asyncio

from program import raises, same, true
from ways_support import EARLIEST, connect, fill, left_for, nothing_comes, take_messages, take_numbers

from mpy_pulsar import AlreadyClosed, ConsumerType, MessageId, PulsarError
from mpy_pulsar.port import ticks_diff, ticks_ms

_DELAY_MILLIS = 200  # of negative acknowledgements


async def acknowledging_by_id_and_entry(options, topic):
    async with connect(options) as client:
        ids = await fill(client, topic, 3, 4, 1, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take_messages(consumer, 10)
        same([message.message_id() for message in messages], ids, "ids")
        for one in (messages[0], messages[1].message_id(), messages[2], messages[2], messages[1]):
            await consumer.acknowledge(one)  # mixed, and twice
        await consumer.acknowledge_entry(messages[5])
        await consumer.acknowledge(MessageId.deserialize(messages[7].message_id().serialize()))
        await consumer.acknowledge(MessageId.deserialize(ids[8].serialize()))
        await consumer.close()
        await raises(AlreadyClosed, consumer.acknowledge(messages[8]))
        same(await left_for(client, topic, "all", 2), [8, 9], "what was not acknowledged")
        consumer = await client.subscribe(topic, "all")
        for one in ids[8:]:
            await consumer.acknowledge(MessageId.deserialize(one.serialize()))
        await consumer.close()
        same(await left_for(client, topic, "all", 0), [], "by deserialized ids")


async def acknowledging_cumulatively(options, topic):
    async with connect(options) as client:
        ids = await fill(client, topic, 3, 4, 1, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take_messages(consumer, 10)
        await consumer.acknowledge_cumulative(messages[0])  # nothing is before its entry
        await consumer.acknowledge_cumulative(messages[4])  # in mid-batch: all before its entry
        await consumer.close()
        same(await left_for(client, topic, "all", 7), list(range(3, 10)), "up to the entry before")
        consumer = await client.subscribe(topic, "all")
        await consumer.acknowledge_cumulative(ids[7])
        await consumer.close()
        same(await left_for(client, topic, "all", 2), [8, 9], "up to an id")
        consumer = await client.subscribe(topic, "sharing", consumer_type=ConsumerType.Shared, **EARLIEST)
        await raises(PulsarError, consumer.acknowledge_cumulative(await consumer.receive()))


async def acknowledging_inside_of_batches(options, topic):
    async with connect(options) as client:
        await fill(client, topic, 70, 3)
        more = {"batch_index_ack_enabled": True, "consumer_type": ConsumerType.Shared}
        consumer = await client.subscribe(topic, "all", **EARLIEST, **more)
        messages = await take_messages(consumer, 73)
        for index in (0, 2, 3, 64, 69, 71):
            await consumer.acknowledge(messages[index])
        await consumer.close()
        left = [number for number in range(73) if number not in (0, 2, 3, 64, 69, 71)]
        if options["batch_index"]:
            same(sorted(await left_for(client, topic, "all", len(left), **more)), left, "the broker remembers")
        consumer = await client.subscribe(topic, "all", **more)
        for number in await asyncio.gather(*[consumer.receive(10000) for _ in left]):
            await consumer.acknowledge(number)
        await consumer.close()
        if options["batch_index"]:
            same(await left_for(client, topic, "all", 0, **more), [], "all is acknowledged")
            consumer = await client.subscribe(topic, "log", batch_index_ack_enabled=True, **EARLIEST)
            messages = await take_messages(consumer, 5)
            await consumer.acknowledge_cumulative(messages[4])
            await consumer.close()
            same(await left_for(client, topic, "log", 68), list(range(5, 73)), "up to a message in a batch")


async def negative_acknowledgements(options, topic):
    async with connect(options) as client:
        await fill(client, topic, 1, 1, 1, 1)
        more = dict(EARLIEST, negative_ack_redelivery_delay_ms=_DELAY_MILLIS)
        consumer = await client.subscribe(topic, "sharing", consumer_type=ConsumerType.Shared, **more)
        messages = await take_messages(consumer, 4)
        started = ticks_ms()
        await consumer.negative_acknowledge(messages[1])
        await consumer.negative_acknowledge(messages[1].message_id())
        again = await consumer.receive(10000)
        true(ticks_diff(ticks_ms(), started) >= _DELAY_MILLIS - 1, "not before its delay")
        same((again.data(), again.redelivery_count()), (b"1", 1), "only that one comes again")
        await nothing_comes(consumer)
        for message in messages[:1] + [again] + messages[2:]:
            await consumer.acknowledge(message)
        await consumer.close()
        for name, kind in (("only", ConsumerType.Exclusive), ("first", ConsumerType.Failover)):
            consumer = await client.subscribe(topic, name, consumer_type=kind, **more)
            messages = await take_messages(consumer, 3)
            await consumer.acknowledge(messages[0])
            await consumer.negative_acknowledge(messages[2])
            found = await take_numbers(consumer, 1)
            while found[-1] != 1:
                found += await take_numbers(consumer, 1)  # what had arrived before the redelivery
            same(found, [3, 1] if found[0] == 3 else [1], "then from the oldest on")
            same(await take_numbers(consumer, 2), [2, 3], "all that is unacknowledged, in order")
            await consumer.close()


async def redelivering_all(options, topic):
    async with connect(options) as client:
        await fill(client, topic, 2, 2, 2)
        for name, kind in (("sharing", ConsumerType.Shared), ("only", ConsumerType.Exclusive)):
            consumer = await client.subscribe(topic, name, consumer_type=kind, **EARLIEST)
            messages = await take_messages(consumer, 3)
            await consumer.acknowledge(messages[0])
            await consumer.acknowledge(messages[1])
            for _ in range(3):
                consumer.redeliver_unacknowledged_messages()
                same(sorted(await take_numbers(consumer, 4)), [2, 3, 4, 5], "all that is unacknowledged")
            await nothing_comes(consumer)
            await consumer.close()
