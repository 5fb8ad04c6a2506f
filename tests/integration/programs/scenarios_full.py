"""Scenarios of send buffers that are full and of messages that get old: what arrives, what is told, what is counted."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, cut, numbers, take

from mpy_pulsar import QueueFull, Timeout
from mpy_pulsar.port import ticks_diff, ticks_ms

_LONG_MILLIS = 600_000
_LIFE_MILLIS = 200


def _balanced(stats):
    """Every message is in one of its places."""
    dropped = sum(stats["dropped"].values())
    parts = stats["acknowledged"] + stats["unknown"] + dropped + stats["pending"]
    same(stats["sent"], parts, "sent = acknowledged + unknown + dropped + pending: %r" % (stats,))


async def the_oldest_make_room(place, topic):
    heard = []
    async with place.connect(on_error=heard.append) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(
            topic, when_full="drop_oldest", send_buffer_size=2048, batching_max_messages=2
        )
        await producer.send(b"0")
        for number in range(1, 100):
            producer.send_nowait(b"%d" % number)  # faster than any link: it has no turn in between
        error = await raises(QueueFull, producer.flush())
        true("not sent" in str(error) and topic in str(error), "the text: %s" % error)
        stats = producer.stats()
        _balanced(stats)
        dropped = stats["dropped"]["full"]
        true(50 < dropped < 98 and stats["sent"] == 100 and stats["pending"] == 0, "stats: %r" % (stats,))
        same(await numbers(consumer, 100 - dropped), [0] + list(range(1 + dropped, 100)), "the first, and the newest")
        while not heard:
            await asyncio.sleep(0)
        true(len(heard) == 1 and "%d for want of room" % dropped in str(heard[0]), "reported: %r" % (heard,))
        await producer.flush()


async def the_oldest_make_room_while_the_link_is_lost(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(
            topic, when_full="drop_oldest", send_buffer_size=2048, batching_max_messages=2, partitioned=False
        )
        await producer.send(b"0")
        sending = [asyncio.create_task(producer.send(b"%d" % number)) for number in (1, 2)]
        sent = producer.stats()["bytes"]
        while producer.stats()["bytes"] == sent:
            await asyncio.sleep(0)
        cut(producer, "cut by the scenario")
        while producer.is_connected():
            await asyncio.sleep(0)  # until then what is queued would leave by the link that is about to be lost
        for number in range(3, 80):
            producer.send_nowait(b"%d" % number)
        await asyncio.gather(*sending)  # what was on its way is not dropped
        await raises(QueueFull, producer.flush())
        stats = producer.stats()
        _balanced(stats)
        true(stats["reconnects"] == 1 and stats["dropped"]["full"] > 30, "stats: %r" % (stats,))
        found = []
        while not found or found[-1] < 79:
            found.append((await numbers(consumer, 1))[0])
        once = sorted(set(found))  # without deduplication what was on its way may be stored twice
        same(once[:3], [0, 1, 2], "what was on its way")
        same(once[3:], list(range(3 + stats["dropped"]["full"], 80)), "and the newest")


async def the_newest_find_no_room(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(
            topic, when_full="drop_newest", send_buffer_size=2048, batching_max_messages=2
        )
        for number in range(100):
            producer.send_nowait(b"%d" % number)
        error = await raises(QueueFull, producer.send(b"told at once"))
        true("dropped" in str(error), "the text: %s" % error)
        error = await raises(QueueFull, producer.flush())
        true("not sent" in str(error), "the text: %s" % error)
        stats = producer.stats()
        _balanced(stats)
        kept = stats["acknowledged"]
        true(0 < kept < 50 and stats["sent"] == 101 and stats["dropped"]["full"] == 101 - kept, "stats: %r" % (stats,))
        await producer.send(b"%d" % kept)
        same(await numbers(consumer, kept + 1), list(range(kept + 1)), "the oldest, and what came when there was room")


async def what_gets_old_is_not_sent(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(
            topic, time_to_live_ms=_LIFE_MILLIS, batching_max_publish_delay_ms=_LONG_MILLIS
        )
        started = ticks_ms()
        error = await raises(Timeout, producer.send(b"old"))
        waited = ticks_diff(ticks_ms(), started)
        true("expired" in str(error) and "not sent" in str(error), "the text: %s" % error)
        true(waited >= _LIFE_MILLIS - 5, "it expired after %d ms" % waited)
        fresh = asyncio.create_task(producer.send(b"fresh"))
        await asyncio.sleep(0)
        await producer.flush()
        await fresh
        (message,) = await take(consumer, 1)
        same(message.data(), b"fresh", "all that was sent")
        stats = producer.stats()
        _balanced(stats)
        same((stats["acknowledged"], stats["dropped"]["expired"]), (1, 1), "stats")


async def sums_of_a_client(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        for _ in range(2):
            async with await client.create_producer(topic) as producer:
                await producer.send_batch([b"1", b"2", b"3"])
                await producer.send(b"4")
        producer = await client.create_producer(topic)
        await producer.send(b"5")
        for message in await take(consumer, 9):
            await consumer.acknowledge(message)
        stats = client.stats()
        sums = stats["producers"]
        _balanced(sums)
        same((sums["sent"], sums["acknowledged"], sums["batches"]), (9, 9, 5), "producers, closed ones too")
        least, mean, most = sums["round_trip_ms"]
        true(0 <= least <= mean <= most < COMES_MILLIS, "round trips: %r" % (sums,))
        received = stats["consumers"]
        same((received["received"], received["acknowledged"], received["entries"]), (9, 9, 5), "consumers")
        true(received["bytes"] > 0 and sums["bytes"] > 0, "bytes")
        same(stats["reconnects"], 0, "reconnects")
    same(client.stats()["producers"]["acknowledged"], 9, "after the end, too")


SCENARIOS = (
    the_oldest_make_room, the_oldest_make_room_while_the_link_is_lost, the_newest_find_no_room,
    what_gets_old_is_not_sent, sums_of_a_client,
)
