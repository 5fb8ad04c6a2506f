"""Receives messages of 100 bytes with a small heap, in two rounds; says what is in use round the second.

Standard input, a line each: service URL, topic, number of messages in each of two rounds, receiver_queue_size. Says
`ready` when the subscription is there, `opened` after the first round. Prints MicroPython's mem_info before `passed`.
"""
import sys

from heap_use import print_map, say, used

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
second = int(sys.stdin.readline())
permits = int(sys.stdin.readline())

say("started", used=used())
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402

used()
import mpy_pulsar.consumer  # noqa: E402, F401

say("imported", used=used())


async def receive(consumer, numbers):
    for number in numbers:
        message = await consumer.receive()
        content = message.data()
        if len(content) != 100 or content[0] != number & 255 or content[1] != number >> 8:
            raise ValueError("message %d is %r" % (number, content))
        await consumer.acknowledge(message)


async def settled(consumer):
    """Until its acknowledgements and permits are on their way: they are no leak."""
    while consumer.core.connection.control or consumer.core._acks:
        await asyncio.sleep(0)


async def main():
    client = Client(url)
    consumer = await client.subscribe(topic, "all", receiver_queue_size=permits)
    say("ready", used=used())
    await receive(consumer, range(first))
    await settled(consumer)
    before = used()
    say("opened", used=before)
    await receive(consumer, range(first, first + second))
    await settled(consumer)
    after = used()
    say("received", used=after, growth=after - before)
    print_map()
    await client.close()


asyncio.run(main())
say("passed")
