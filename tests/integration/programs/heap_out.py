"""Sends messages of 100 bytes from a small heap; says what of it is in use before and after.

Standard input: service URL, topic, number of messages in each of two rounds, bytes of the send buffer, a line each. The
first round makes what is made at first use; the second is measured. Prints MicroPython's mem_info before `passed`.
"""
import sys

from gc import collect, mem_alloc, threshold

threshold(4096)

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
second = int(sys.stdin.readline())
size = int(sys.stdin.readline())

collect()
started = mem_alloc()
# As a board's main.py does: in one piece before the imports break the heap up.
send_buffer = bytearray(size)
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402

from heap_use import print_map, say, settled, used  # noqa: E402

say("started", used=started)
say("imported", used=used())


async def send(producer, numbers):
    content = bytearray(100)
    for number in numbers:
        content[0] = number & 255
        content[1] = number >> 8
        if not producer.has_room(100):
            await producer.room(100)
        producer.send_nowait(content)
    await producer.flush()


async def main():
    client = Client(url)
    producer = await client.create_producer(topic, send_buffer_size=send_buffer)
    await send(producer, range(first))
    before = await settled()
    say("opened", used=before)
    await send(producer, range(first, first + second))
    after = await settled(before)
    say("sent", used=after, growth=after - before)
    print_map()
    await client.close()


asyncio.run(main())
say("passed")
