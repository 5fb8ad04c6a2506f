"""Sends messages of 100 bytes and receives them, in one process with a small heap and small buffers.

Standard input: service URL, topic, number of messages in each of two rounds, a line each. The first round makes what is
made at first use; the second is measured. Prints MicroPython's mem_info before `passed`.
"""
import sys

from gc import collect, mem_alloc, threshold

threshold(4096)

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
second = int(sys.stdin.readline())

collect()
started = mem_alloc()
# In one piece before imports break the heap up.
send_buffer = bytearray(1536)
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402

from heap_use import print_map, say, settled, used  # noqa: E402

say("started", used=started)
say("imported", used=used())

_ROUND = 10


async def exchange(producer, consumer, start, end):
    content = bytearray(100)
    while start < end:
        numbers = range(start, start + _ROUND)
        for number in numbers:
            content[0] = number & 255
            content[1] = number >> 8
            if not producer.has_room(100):
                await producer.room(100)
            producer.send_nowait(content)
        await producer.flush()
        for number in numbers:
            message = await consumer.receive()
            data = message.data()
            if len(data) != 100 or data[0] != number & 255 or data[1] != number >> 8:
                raise ValueError("message %d is %r" % (number, data))
            await consumer.acknowledge(message)
        start += _ROUND


async def main():
    client = Client(url, read_buffer_size=1536)
    consumer = await client.subscribe(topic, "all")
    producer = await client.create_producer(topic, send_buffer_size=send_buffer)
    await exchange(producer, consumer, 0, first)
    before = await settled()
    say("opened", used=before)
    await exchange(producer, consumer, first, first + second)
    after = await settled(before)
    say("exchanged", used=after, growth=after - before)
    print_map()
    await client.close()


asyncio.run(main())
say("passed")
