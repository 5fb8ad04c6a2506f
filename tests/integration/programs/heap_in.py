"""Receives messages with a small heap, in two rounds; says what is in use round the second.

Standard input, a line each: service URL, topic, number of messages in each of two rounds, receiver_queue_size, bytes of
a message. Says
`ready` when the subscription is there, `opened` after the first round. Prints MicroPython's mem_info before `passed`.
"""
import sys

from gc import collect, mem_alloc, threshold

threshold(4096)

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
second = int(sys.stdin.readline())
permits = int(sys.stdin.readline())
size = int(sys.stdin.readline())

collect()
started = mem_alloc()
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402

from heap_use import print_map, say, settled, used  # noqa: E402

say("started", used=started)
say("imported", used=used())


async def receive(consumer, numbers):
    for number in numbers:
        message = await consumer.receive()
        content = message.data()
        if len(content) != size or content[0] != number & 255 or content[1] != number >> 8:
            raise ValueError("message %d is %r" % (number, content))
        await consumer.acknowledge(message)


async def main():
    client = Client(url)
    consumer = await client.subscribe(topic, "all", receiver_queue_size=permits)
    say("ready", used=used())
    await receive(consumer, range(first))
    before = await settled()
    say("opened", used=before)
    await receive(consumer, range(first, first + second))
    after = await settled(before)
    say("received", used=after, growth=after - before)
    print_map()
    await client.close()


asyncio.run(main())
say("passed")
