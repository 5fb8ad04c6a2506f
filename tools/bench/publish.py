"""One round of the benchmark, by this package: under CPython and under MicroPython.

A line of JSON in: url, topic, messages (of a block), payload_bytes, seconds. Blocks are sent until they have taken so
long, each from its first message to the last one's receipt; one block before that is not counted. A line of JSON out:
acknowledged (messages, all of them), entries, seconds and messages of the blocks that count.
"""
import asyncio
import json
import sys
import time

from mpy_pulsar import Client

# The twin's defaults; boards have smaller ones.
SEND_BUFFER = 2 * 1024 * 1024
BATCH_MESSAGES = 1000
BATCH_BYTES = 128 * 1024

# MicroPython's clock in seconds is a float of 30 bits on some of its ports.
_ticks_ms = getattr(time, "ticks_ms", None)
_ticks_diff = getattr(time, "ticks_diff", None)


def ticks():
    """A point in time, for `seconds_since`."""
    return _ticks_ms() if _ticks_ms else time.perf_counter()


def seconds_since(start):
    """Seconds since `ticks()` gave `start`."""
    return _ticks_diff(ticks(), start) / 1000 if _ticks_diff else ticks() - start


async def send_block(producer, payload, messages):
    """Send, and wait for every receipt."""
    size = len(payload)
    has_room = producer.has_room
    send = producer.send_nowait
    for _ in range(messages):
        if not has_room(size):
            await producer.room(size)
        send(payload)
    await producer.flush()


async def main(options):
    """The record of a round."""
    messages = options["messages"]
    payload = b"x" * options["payload_bytes"]
    async with Client(options["url"]) as client:
        producer = await client.create_producer(
            options["topic"], send_buffer_size=SEND_BUFFER, batching_max_messages=BATCH_MESSAGES,
            batching_max_allowed_size_in_bytes=BATCH_BYTES,
        )
        await send_block(producer, payload, messages)
        blocks = 0
        passed = 0.0
        while not blocks or passed < options["seconds"]:
            started = ticks()
            await send_block(producer, payload, messages)
            passed += seconds_since(started)
            blocks += 1
        # Every batch of the ring has had its receipt when a flush returns.
        entries = producer.core.ring.oldest
    return {
        "acknowledged": (blocks + 1) * messages, "entries": entries, "messages": blocks * messages, "seconds": passed,
    }


print(json.dumps(asyncio.run(main(json.loads(sys.stdin.readline())))))
