"""Scenarios of consumers whose link is lost: what was acknowledged by then does not come again, the rest does."""
import asyncio

from program import same
from scenario import EARLIEST, cut, fill, left, nothing_comes, numbers, take

from mpy_pulsar import ConsumerType

_KINDS = (ConsumerType.Exclusive, ConsumerType.Shared, ConsumerType.Failover, ConsumerType.KeyShared)
_WHY = "cut by the test"


async def _lose(consumer):
    """Its link ends, and it has noticed."""
    cut(consumer, _WHY)
    while consumer.is_connected():
        await asyncio.sleep(0)


async def acknowledgements_that_wait_survive_it(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 1, 1, 1, 2)
        for kind in _KINDS:
            name = "kind %d" % kind
            async with await client.subscribe(topic, name, consumer_type=kind, **EARLIEST) as consumer:
                messages = await take(consumer, 6)
                await consumer.acknowledge(messages[0])
                await consumer.acknowledge(messages[4])  # half of a batch, which comes again whole
                await _lose(consumer)
                await consumer.acknowledge(messages[2])  # without a link
                same(sorted(await numbers(consumer, 4)), [1, 3, 4, 5], "what comes again")
                await nothing_comes(consumer)
                await consumer.acknowledge(messages[3])
            await left(client, topic, name, [1, 4, 5])


async def those_that_may_not_have_arrived_are_sent_again(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 1, 1)
        for kind in _KINDS:
            name = "kind %d" % kind
            async with await client.subscribe(topic, name, consumer_type=kind, **EARLIEST) as consumer:
                messages = await take(consumer, 3)
                await consumer.acknowledge(messages[1])
                consumer.core.flush()  # on its way, and the link is gone before it leaves
                await _lose(consumer)
                same(sorted(await numbers(consumer, 2)), [0, 2], "what comes again")
                await nothing_comes(consumer)
            await left(client, topic, name, [0, 2])


async def what_is_acknowledged_while_it_comes_again_is_passed_over(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 1, 1)
        for kind in _KINDS:
            async with await client.subscribe(topic, "kind %d" % kind, consumer_type=kind, **EARLIEST) as consumer:
                messages = await take(consumer, 3)
                await _lose(consumer)
                while not consumer.core._queue:
                    await asyncio.sleep(0.01)
                for message in messages[:2]:
                    await consumer.acknowledge(message)
                same(await numbers(consumer, 1), [2], "what is left")
                await nothing_comes(consumer)


async def the_last_cumulative_one_survives_it(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 1, 1, 1)
        for kind in (ConsumerType.Exclusive, ConsumerType.Failover):
            for sent in (False, True):
                name = "kind %d %d" % (kind, sent)
                async with await client.subscribe(topic, name, consumer_type=kind, **EARLIEST) as consumer:
                    messages = await take(consumer, 4)
                    await consumer.acknowledge_cumulative(messages[1])
                    if sent:
                        consumer.core.flush()
                    await _lose(consumer)
                    same(await numbers(consumer, 2), [2, 3], "what comes again")
                    await nothing_comes(consumer)
                await left(client, topic, name, [2, 3])


SCENARIOS = (
    acknowledgements_that_wait_survive_it, those_that_may_not_have_arrived_are_sent_again,
    what_is_acknowledged_while_it_comes_again_is_passed_over, the_last_cumulative_one_survives_it,
)
