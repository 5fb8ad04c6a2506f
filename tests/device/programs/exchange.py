"""On the emulated board: sends numbered messages and receives them back, while whoever watches cuts the link.

OPTIONS: url, topic, turns (each with a client of its own), messages (sent in each of a turn's two rounds), size (bytes
of each), pause_ms (between messages of the second round).
"""
import asyncio
import gc
import json
import time

import emulated_network


def say(kind, **fields):
    fields["kind"] = kind
    print(json.dumps(fields))


def free():
    gc.collect()
    return gc.mem_free()


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, text):
        self.lines.append(text)


class Stalls:
    """The longest time for which the event loop had no turn for anybody, in ms of the board's clock."""

    EVERY = 10

    def __init__(self):
        self.longest = 0

    async def watch(self):
        last = time.ticks_ms()
        while True:
            await asyncio.sleep_ms(self.EVERY)
            now = time.ticks_ms()
            self.longest = max(self.longest, time.ticks_diff(now, last) - self.EVERY)
            last = now


async def send(producer, first, count, size, pause):
    for number in range(first, first + count):
        payload = b"%06d" % number + b"." * (size - 6)
        await producer.room(size)
        producer.send_nowait(payload)
        if pause:
            await asyncio.sleep_ms(pause)
    await producer.flush()


async def receive(consumer, upto):
    """Numbers as they come until `upto` came: how many came again, and whether the others came in order."""
    again = 0
    expected = 0
    while expected < upto:
        message = await asyncio.wait_for(consumer.receive(), 60)
        number = int(message.data()[:6])
        if number < expected:
            again += 1
        elif number == expected:
            expected += 1
        else:
            raise AssertionError("message %d where %d was expected: some are lost" % (number, expected))
        await consumer.acknowledge(message)
    return again


async def exchange(log, stalls):
    from mpy_pulsar import Client

    count, size, topic = OPTIONS["messages"], OPTIONS["size"], OPTIONS["topic"]
    watcher = asyncio.create_task(stalls.watch())
    async with Client(OPTIONS["url"], logger=log) as client:
        consumer = await client.subscribe(topic, "board", initial_position=1)
        producer = await client.create_producer(topic)
        say("open", free=free())
        started = time.ticks_ms()
        await send(producer, 0, count, size, 0)
        say("sent", ms=time.ticks_diff(time.ticks_ms(), started))
        await send(producer, count, count, size, OPTIONS["pause_ms"])
        again = await receive(consumer, 2 * count)
        say("received", again=again, free=free())
    watcher.cancel()
    try:
        await watcher
    except asyncio.CancelledError:
        pass


say("boot", free=free())
ppp = emulated_network.connect()
emulated_network.set_clock()
say("network", free=free())
log = Log()
stalls = Stalls()
# Once before the heap is looked at: what is loaded and made on first use stays.
for _ in range(OPTIONS["turns"]):
    asyncio.run(exchange(log, stalls))
    say("closed", free=free(), stall_ms=stalls.longest, warnings=log.lines)
    log.lines = []
