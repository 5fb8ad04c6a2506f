"""Sends numbered messages of 100 bytes from a small heap over links that are cut again and again.

Standard input, a line each: service URL, topic, number of messages before what is in use is measured, number of all
messages, bytes of the send buffer. Says `left` with the tasks and sockets that stay when the client is closed. Prints
MicroPython's mem_info before `passed`.
"""
import sys
from gc import collect, mem_alloc, threshold

threshold(4096)

url = sys.stdin.readline().strip()
topic = sys.stdin.readline().strip()
first = int(sys.stdin.readline())
total = int(sys.stdin.readline())
size = int(sys.stdin.readline())

collect()
started = mem_alloc()
send_buffer = bytearray(size)
import asyncio  # noqa: E402

from mpy_pulsar import Client  # noqa: E402

from heap_use import print_map, say, settled, used  # noqa: E402

say("started", used=started)
say("imported", used=used())


async def send(producer, start, end):
    content = bytearray(100)
    for number in range(start, end):
        content[0] = number & 255
        content[1] = number >> 8 & 255
        content[2] = number >> 16
        if not producer.has_room(100):
            await producer.room(100)
        producer.send_nowait(content)
    await producer.flush()


async def main():
    client = Client(url)
    producer = await client.create_producer(topic, send_buffer_size=send_buffer)
    await send(producer, 0, first)
    before = await settled()
    say("opened", used=before)
    await send(producer, first, total)
    after = await settled(before)
    say("sent", used=after, growth=after - before)
    print_map()
    await client.close()
    tasks = 0
    while asyncio.core._task_queue.peek():
        asyncio.core._task_queue.pop()
        tasks += 1
    say("left", tasks=tasks, sockets=len(asyncio.core._io_queue.map))


asyncio.run(main())
say("passed")
