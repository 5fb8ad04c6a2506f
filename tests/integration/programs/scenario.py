"""What the scenarios share: the broker they meet, its administrator, and the small steps that most of them take.

A scenario is an async function of a Place and the full name of a topic that nobody else uses; it raises where an
outcome is not as it should be. Those of one subject stand in one scenarios_*.py, and `scenarios.py` runs them all.
"""
import asyncio

from program import raises, same, say

from mpy_pulsar import AuthenticationToken, Client, InitialPosition, PulsarError, Timeout

EARLIEST = {"initial_position": InitialPosition.Earliest}
COMES_MILLIS = 20000  # within which what is to come has come, on a slow machine too
NOTHING_MILLIS = 300  # after which what has not come will not come


class Place:
    """The broker, as its users and its administrator see it."""

    def __init__(self, options):
        """options: url, token, prefix (of topics nobody else uses), deduplicating (a namespace)."""
        self.url = options["url"]
        self.address = self.url.split("//")[1]
        self._token = options["token"]
        self._prefix = options["prefix"]
        self._deduplicating = options["deduplicating"]

    def connect(self, **more):
        """A client."""
        return Client(self.url, authentication=AuthenticationToken(self._token), **more)

    def topic(self, name):
        """The full name of a topic."""
        return "persistent://public/default/%s-%s" % (self._prefix, name)

    def deduplicating_topic(self, name):
        """The same in a namespace that weeds out what comes twice."""
        return "persistent://%s/%s-%s" % (self._deduplicating, self._prefix, name)

    def please(self, what, topic, **more):
        """Have the administrator do something to the topic: see test_scenarios. It happens a little later."""
        say("please", what=what, topic=topic, **more)


async def fill(client, topic, *batches, first=0):
    """Send batches of so many messages each, numbered from `first` on: their ids."""
    producer = await client.create_producer(topic)
    ids = []
    for size in batches:
        numbers = range(first + len(ids), first + len(ids) + size)
        ids += await producer.send_batch([b"%d" % number for number in numbers])
    await producer.close()
    return ids


async def take(consumer, count):
    """The next messages, which stay unacknowledged."""
    found = []
    while len(found) < count:
        found.append(await consumer.receive(COMES_MILLIS))
    return found


async def numbers(consumer, count):
    """The numbers of the next messages, which stay unacknowledged."""
    return [int(message.data()) for message in await take(consumer, count)]


async def share(consumers, count):
    """So many messages, taken and acknowledged by several consumers side by side: of each the list of its own."""
    found = [[] for _ in consumers]

    async def work(index):
        while sum([len(one) for one in found]) < count:
            try:
                message = await consumers[index].receive(NOTHING_MILLIS)
            except Timeout:
                continue
            found[index].append(message)
            await consumers[index].acknowledge(message)

    await asyncio.gather(*[work(index) for index in range(len(consumers))])
    return found


async def nothing_comes(consumer):
    """Nothing is on its way."""
    await raises(Timeout, consumer.receive(NOTHING_MILLIS))


async def left(client, topic, name, expected, **more):
    """What a fresh consumer of the subscription gets is the messages of those numbers, in order."""
    async with await client.subscribe(topic, name, **more) as consumer:
        found = await numbers(consumer, len(expected))
        same(found, expected, "left of %s" % name)
        await nothing_comes(consumer)


def cut(consumer, why):
    """End the link of a consumer or producer as a fault of the network would."""
    link = consumer.core.connection.owner
    link.error = PulsarError(why)
    consumer.core.attend()
