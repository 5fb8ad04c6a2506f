"""On the emulated board: two producers on one link send as fast as they can, with rings larger than lwIP's heap.

OPTIONS: url, topic, ring (bytes of each), batch (bytes), size (of a message), count (messages of each producer).
"""
import asyncio
import json
import time

import emulated_network

EVERY = 10


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, text):
        self.lines.append(text)


stall = 0


async def watch():
    global stall
    last = time.ticks_ms()
    while True:
        await asyncio.sleep_ms(EVERY)
        now = time.ticks_ms()
        stall = max(stall, time.ticks_diff(now, last) - EVERY)
        last = now


async def flood(log):
    from mpy_pulsar import Client

    watcher = asyncio.create_task(watch())
    async with Client(OPTIONS["url"], logger=log) as client:
        producers = []
        for _ in range(2):
            producers.append(await client.create_producer(
                OPTIONS["topic"], send_buffer_size=OPTIONS["ring"],
                batching_max_allowed_size_in_bytes=OPTIONS["batch"],
            ))
        content = b"." * OPTIONS["size"]
        for _ in range(OPTIONS["count"]):
            for producer in producers:
                await producer.room(len(content))
                producer.send_nowait(content)
        for producer in producers:
            await producer.flush()
    watcher.cancel()


emulated_network.connect()
emulated_network.set_clock()
log = Log()
asyncio.run(flood(log))
print(json.dumps({"kind": "done", "stall_ms": stall, "warnings": log.lines}))
