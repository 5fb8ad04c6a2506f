"""What the checks of consume_all_ways share."""
from program import raises

from mpy_pulsar import AuthenticationToken, Client, InitialPosition, Timeout

EARLIEST = {"initial_position": InitialPosition.Earliest}
_NOTHING_MILLIS = 300  # after which what has not come will not come


def connect(options, **more):
    """A client."""
    return Client(options["url"], authentication=AuthenticationToken(options["token"]), **more)


async def fill(client, topic, *batches, first=0):
    """Send batches of so many messages each, numbered from `first` on: their ids."""
    producer = await client.create_producer(topic)
    ids = []
    for size in batches:
        numbers = range(first + len(ids), first + len(ids) + size)
        ids += await producer.send_batch([b"%d" % number for number in numbers])
    await producer.close()
    return ids


async def take_messages(consumer, count):
    """The next messages, which stay unacknowledged."""
    found = []
    while len(found) < count:
        found.append(await consumer.receive(5000))
    return found


async def take_numbers(consumer, count):
    """The numbers of the next messages, which stay unacknowledged."""
    return [int(message.data()) for message in await take_messages(consumer, count)]


async def nothing_comes(consumer):
    """There is no message."""
    await raises(Timeout, consumer.receive(_NOTHING_MILLIS))


async def left_for(client, topic, name, count, **more):
    """What a fresh consumer of the subscription gets."""
    async with await client.subscribe(topic, name, **more) as consumer:
        found = await take_numbers(consumer, count)
        await nothing_comes(consumer)
        return found
