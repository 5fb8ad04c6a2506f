"""A device that publishes its own statistics: readings to one topic, `client.stats()` as JSON to another.

    python examples/publish_stats.py pulsar://localhost:6650          (on MicroPython: micropython …)

Readings are dropped where they get too old or find no room, the oldest first; the statistics say how many. Those are
worth nothing when they are late, so at most one of them waits: `when_full="drop_newest"` and a small buffer.
"""
import asyncio
import json
import sys

from mpy_pulsar import Client, PulsarError

READINGS = "readings"
STATISTICS = "statistics"
INTERVAL_MS = 10_000


async def publish_stats(client, topic, interval_ms):
    """Publish what the client has done to a topic, now and then, for ever."""
    producer = await client.create_producer(
        topic, when_full="drop_newest", send_buffer_size=1024, max_pending_messages=1, batching_enabled=False
    )
    while True:
        producer.send_nowait(json.dumps(client.stats()).encode())
        await asyncio.sleep(interval_ms / 1000)


async def publish_readings(client, topic, count, interval_ms):
    """Publish `count` readings, one in `interval_ms`, whatever becomes of the link."""
    producer = await client.create_producer(topic, when_full="drop_oldest", time_to_live_ms=3_600_000)
    for number in range(count):
        producer.send_nowait(b"%d" % number)
        await asyncio.sleep(interval_ms / 1000)
    try:
        await producer.flush()
    except PulsarError as error:
        print("not all readings have arrived:", error)


async def main(url, readings=READINGS, statistics=STATISTICS, count=1000, interval_ms=1000, stats_ms=INTERVAL_MS):
    """Both at once; ends with the readings."""
    async with Client(url) as client:
        task = asyncio.create_task(publish_stats(client, statistics, stats_ms))
        try:
            await publish_readings(client, readings, count, interval_ms)
        finally:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "pulsar://localhost:6650"))
