"""Scenarios of consumers that go to another place, ask for the last one, or leave; and of lost links meanwhile."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, cut, fill, left, nothing_comes, numbers, share, take

from mpy_pulsar import AlreadyClosed, ConsumerType, MessageId, PulsarError
from mpy_pulsar.net.stream import wait

_METADATA_ERROR = 1


async def seeking_by_id(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 3, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same(await numbers(consumer, 6), [0, 1, 2, 3, 4, 5], "first time")
        for index, expected in ((0, [1, 2, 3, 4, 5]), (2, [3, 4, 5]), (3, [4, 5]), (4, [5]), (1, [2, 3, 4, 5])):
            await consumer.seek(ids[index])
            same(await numbers(consumer, len(expected)), expected, "behind message %d" % index)
            true(consumer.is_connected(), "open again")
        await consumer.seek(MessageId.earliest)
        same(await numbers(consumer, 6), [0, 1, 2, 3, 4, 5], "from the beginning")
        await consumer.seek(MessageId.latest)
        await nothing_comes(consumer)
        await asyncio.gather(consumer.seek(ids[3]), consumer.seek(ids[0]))
        same(await numbers(consumer, 5), [1, 2, 3, 4, 5], "one seek after the other")
        await raises(ValueError, consumer.seek("1"))
        await consumer.close()
        await raises(AlreadyClosed, consumer.seek(ids[0]))


async def seeking_by_id_with_its_message(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 3, 2)
        consumer = await client.subscribe(topic, "all", start_message_id_inclusive=True, **EARLIEST)
        for index in (2, 0, 5):
            await consumer.seek(MessageId.deserialize(ids[index].serialize()))
            same(await numbers(consumer, 6 - index), list(range(index, 6)), "at message %d" % index)


async def seeking_by_time(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 3)
        await wait(asyncio.Event(), 50)  # publish times are in milliseconds
        await fill(client, topic, 2, first=4)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 6)
        late = messages[4].publish_timestamp()
        true(late > messages[3].publish_timestamp(), "later")
        await consumer.seek(late)
        same(await numbers(consumer, 2), [4, 5], "published then or later")
        await consumer.seek(messages[0].publish_timestamp())
        same(await numbers(consumer, 6), [0, 1, 2, 3, 4, 5], "published at the time of the first")
        await consumer.seek(late + 10_000_000)
        await nothing_comes(consumer)
        await fill(client, topic, 1, first=6)
        same(await numbers(consumer, 1), [6], "what comes now")


async def a_seek_forgets_acknowledgements(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 2, 3)
        for name, kind in (("only", ConsumerType.Exclusive), ("sharing", ConsumerType.Shared)):
            consumer = await client.subscribe(topic, name, consumer_type=kind, **EARLIEST)
            for message in await take(consumer, 5):
                await consumer.acknowledge(message)
            await consumer.seek(ids[0])
            same(await numbers(consumer, 4), [1, 2, 3, 4], "though acknowledged")
            await consumer.close()


async def the_last_message_id(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        last = await consumer.get_last_message_id()
        same((last.ledger_id(), last.entry_id()), (-1, -1), "of an empty topic")
        ids = await fill(client, topic, 3)
        same(await consumer.get_last_message_id(), ids[2], "of a batch")
        ids += await fill(client, topic, 1)
        last = await consumer.get_last_message_id()
        same(last, ids[3], "of a single message")
        true(ids[0] < ids[1] < ids[2] < last and last >= ids[3], "ids have an order")


async def unsubscribing(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 3)
        consumer = await client.subscribe(topic, "all", **EARLIEST)

        async def endless():
            while True:
                await consumer.receive()

        waiting = asyncio.create_task(raises(AlreadyClosed, endless()))
        await consumer.unsubscribe()
        await waiting
        await raises(AlreadyClosed, consumer.receive())
        await raises(AlreadyClosed, consumer.get_last_message_id())
        await consumer.close()
        await left(client, topic, "all", [])  # a new subscription, which starts at the end


async def a_seek_serves_who_waits(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 2)
        consumer = await client.subscribe(topic, "all")
        waiting = [asyncio.create_task(one) for one in (consumer.receive(), consumer.receive(COMES_MILLIS))]
        await asyncio.sleep(0)
        await consumer.seek(ids[0])
        found = sorted([int(message.data()) for message in await asyncio.gather(*waiting)])
        same(found, [1, 2], "what was sought")


async def seeking_for_others_too(place, topic):
    async with place.connect() as client, place.connect() as other:
        ids = await fill(client, topic, *([1] * 10))
        more = {"consumer_type": ConsumerType.Shared, "receiver_queue_size": 1}
        consumers = [await client.subscribe(topic, "all", **EARLIEST, **more)]
        consumers.append(await other.subscribe(topic, "all", **more))
        found = await share(consumers, 10)
        same(sorted([int(message.data()) for one in found for message in one]), list(range(10)), "first time")
        await consumers[0].seek(ids[3])
        found = await share(consumers, 6)
        same(sorted([int(message.data()) for one in found for message in one]), list(range(4, 10)), "sought for both")


async def unsubscribing_beside_others(place, topic):
    async with place.connect() as client, place.connect() as other:
        more = {"consumer_type": ConsumerType.Shared}
        consumers = [await client.subscribe(topic, "all", **more), await other.subscribe(topic, "all", **more)]
        error = await raises(PulsarError, consumers[0].unsubscribe())
        same(error.error(), _METADATA_ERROR, "refused: %s" % error)
        true(topic in str(error), "the text names the topic: %s" % error)
        await fill(client, topic, *([1] * 10))
        found = await share(consumers, 10)
        same(sorted([int(message.data()) for one in found for message in one]), list(range(10)), "both go on")
        await consumers[1].close()
        await consumers[0].unsubscribe()


async def seeking_across_a_lost_link(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 4, 2)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 3)
        await consumer.acknowledge(messages[0])
        await consumer.get_last_message_id()  # acknowledgements leave before the question
        cut(consumer, "cut by the scenario")
        last, _ = await asyncio.gather(consumer.get_last_message_id(), consumer.seek(ids[0]))
        same(last, ids[-1], "asked again on the new link")
        same(await numbers(consumer, 6), [1, 2, 3, 4, 5, 6], "as sought")
        cut(consumer, "cut again")
        same(await numbers(consumer, 6), [1, 2, 3, 4, 5, 6], "what is unacknowledged comes again")
        await consumer.seek(ids[4])
        cut(consumer, "and again")
        await consumer.unsubscribe()


SCENARIOS = (
    seeking_by_id, seeking_by_id_with_its_message, seeking_by_time, a_seek_forgets_acknowledgements,
    the_last_message_id, unsubscribing, a_seek_serves_who_waits, seeking_for_others_too,
    unsubscribing_beside_others, seeking_across_a_lost_link,
)
