"""Receives messages of 100 bytes with a small heap, in two rounds; says what of it is in use before and after the second.

Standard input: service URL, topic, number of messages in each of two rounds, a line each. Says `ready` when the
subscription is there, `opened` after the first round. Prints MicroPython's mem_info before `passed`.
"""
import sys

from heap_use import print_map, say, used

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
second = int(sys.stdin.readline())

say("started", used=used())
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402


async def receive(consumer, numbers):
    for number in numbers:
        message = await consumer.receive()
        content = message.data()
        if len(content) != 100 or content[0] != number & 255 or content[1] != number >> 8:
            raise ValueError("message %d is %r" % (number, content))
        await consumer.acknowledge(message)


async def main():
    client = Client(url)
    consumer = await client.subscribe(topic, "all")
    say("ready", used=used())
    await receive(consumer, range(first))
    before = used()
    say("opened", used=before)
    await receive(consumer, range(first, first + second))
    after = used()
    say("received", used=after, growth=after - before)
    print_map()
    await client.close()


asyncio.run(main())
say("passed")
