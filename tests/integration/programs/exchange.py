"""The main path between producers and consumers, and the ways in which a program is refused; scenarios.py has the rest.

Options: url, token, wrong_token, silent_url (an address where nobody listens), prefix (of topics nobody else uses).
Says `check` with the name of each check that held.
"""
import asyncio

from corpus import content
from program import raises, run, same, say, true

from mpy_pulsar import (
    AlreadyClosed, AuthenticationError, AuthenticationToken, Client, InitialPosition, MessageId, MessageTooBig,
    QueueFull, Timeout,
)
from mpy_pulsar.net.stream import wait
from mpy_pulsar.port import LARGE_MESSAGES, ticks_diff, ticks_ms

_LARGE = {
    "send_buffer_size": 300_000, "batching_max_messages": 1000, "batching_max_allowed_size_in_bytes": 131_072,
}
_MAX_MESSAGE = 5 << 20  # of the broker, bytes
_CHECK_SECONDS = 40
_SHORT_SECONDS = 2  # as operation timeout, where it is to run out

# Keys and values beyond Latin, beyond the basic plane, empty, and with a NUL.
_PROPERTIES = {
    "plain": "value", "größe": "0,5 µm", "温度": "二十一度", "🌡️": "😀👩‍🔬🚀", "\U00010348": "\U0010ffff", "empty": "",
    "nul": "a\x00b",
}
_EVENT_TIME = 1_700_000_000_123


def _connect(options, **more):
    return Client(options["url"], authentication=AuthenticationToken(options["token"]), **more)


def _large(options):
    """A client for frames beyond what a board's defaults hold."""
    return _connect(options, read_buffer_size=200_000)


async def _take(consumer, count):
    """The next messages, all acknowledged."""
    messages = []
    while len(messages) < count:
        message = await consumer.receive()
        await consumer.acknowledge(message)
        messages.append(message)
    return messages


def _agree(messages, contents, ids, what):
    same([message.data() for message in messages], contents, what + ": contents")
    same([message.message_id() for message in messages], ids, what + ": ids")
    for message, message_id in zip(messages, ids):
        again = MessageId.deserialize(message_id.serialize())
        same(again, message.message_id(), what + ": id after serialize and deserialize")


async def batches_of_1_2_and_1000(options, topic):
    async with _large(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, **_LARGE)
        for size in (1, 2, 1000):
            contents = [content(number, 20 + number % 40) for number in range(size)]
            ids = await producer.send_batch(contents)
            same({(one.ledger_id(), one.entry_id()) for one in ids}, {(ids[0].ledger_id(), ids[0].entry_id())},
                 "a batch is one entry")
            same([one.batch_index() for one in ids], list(range(size)), "batch indexes")
            messages = await _take(consumer, size)
            _agree(messages, contents, ids, "batch of %d" % size)
            same(messages[-1].message_id().batch_size(), size, "batch size")
            same(messages[-1].batch_place(), "last" if size > 1 else "single", "place of the last")


async def the_defaults_small_buffers_do(options, topic):
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        for size in (1, 2, 20, 200):
            contents = [content(number, number % 61) for number in range(size)]
            ids = await producer.send_batch(contents)
            _agree(await _take(consumer, size), contents, ids, "%d messages" % size)
        contents = [content(number, 100) for number in range(50)]
        ids = []
        for one in contents:
            ids.append(await producer.send(one))
        _agree(await _take(consumer, 50), contents, ids, "50 messages one by one")
        contents = [content(number, 1500) for number in range(10)]
        ids = await asyncio.gather(*[producer.send(one) for one in contents])
        _agree(await _take(consumer, 10), contents, ids, "10 messages of 1500 bytes")


async def empty_and_large_contents(options, topic):
    async with _large(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, **_LARGE)
        contents = [b"", content(1, 100_000), b"", b"\x00", content(2, 100_000)]
        ids = []
        for one in contents:
            ids.append(await producer.send(one))
        _agree(await _take(consumer, 5), contents, ids, "sent one by one")
        view = memoryview(bytearray(b"..view.."))[2:6]
        ids = await producer.send_batch([b"", bytearray(b"bytearray"), view, b""])
        _agree(await _take(consumer, 4), [b"", b"bytearray", b"view", b""], ids, "sent in a batch")


async def properties_keys_and_event_time(options, topic):
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, producer_name="näme " + topic[-40:])
        same(producer.producer_name(), "näme " + topic[-40:], "the producer's own name")
        ids = await asyncio.gather(
            producer.send(b"bare"),
            producer.send(
                b"all", properties=_PROPERTIES, partition_key="schlüssel 🔑", ordering_key=b"\x00\xff order",
                event_timestamp=_EVENT_TIME,
            ),
            producer.send(b"", properties={"only": "this"}),
            producer.send(b"key", partition_key="k"),
        )
        bare, full, only, keyed = messages = await _take(consumer, 4)
        _agree(messages, [b"bare", b"all", b"", b"key"], ids, "four messages")
        same(bare.properties(), {}, "no properties")
        same(bare.partition_key(), "", "no key")
        same(bare.ordering_key(), b"", "no ordering key")
        same(bare.event_timestamp(), 0, "no event time")
        same(full.properties(), _PROPERTIES, "properties")
        same(full.partition_key(), "schlüssel 🔑", "partition key")
        same(full.ordering_key(), b"\x00\xff order", "ordering key")
        same(full.event_timestamp(), _EVENT_TIME, "event time")
        same(only.properties(), {"only": "this"}, "properties of an empty message")
        same(keyed.partition_key(), "k", "key")
        for message in messages:
            same(message.producer_name(), producer.producer_name(), "producer's name")
            same(message.topic_name(), producer.topic(), "topic")
            same(message.redelivery_count(), 0, "redeliveries")


async def send_nowait_and_flush(options, topic):
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        contents = [b"message %d" % number for number in range(500)]
        for one in contents:
            await producer.room(len(one))
            producer.send_nowait(one)
        await producer.flush()
        await producer.flush()  # with nothing to wait for
        messages = await _take(consumer, 500)
        same([message.data() for message in messages], contents, "contents")
        ids = [message.message_id() for message in messages]
        true(all(ids[place] < ids[place + 1] for place in range(499)), "ids rise")


async def room_tells_what_fits(options, topic):
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, send_buffer_size=2048)
        sent = 0
        for _ in range(20):
            while producer.has_room(100):
                producer.send_nowait(content(sent, 100))
                sent += 1
            try:
                producer.send_nowait(content(sent, 100))
                raise AssertionError("has_room said no, send_nowait took it")
            except QueueFull:
                pass
            await producer.room(100)
            true(producer.has_room(100), "room returned, has_room says no")
        true(sent > 100, "only %d messages went out" % sent)
        # On a board what the buffer cannot hold; on CPython that goes alone, and only what the broker refuses does not.
        large = _MAX_MESSAGE if LARGE_MESSAGES else 2048
        try:
            producer.send_nowait(bytes(large))
            raise AssertionError("%d bytes fit a buffer of 2048 and its head" % large)
        except MessageTooBig:
            pass
        await raises(MessageTooBig, producer.room(large))
        await producer.flush()
        messages = await _take(consumer, sent)
        same([message.data() for message in messages], [content(number, 100) for number in range(sent)], "contents")


async def a_full_buffer_drops_and_counts(options, topic):
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        for policy in ("drop_oldest", "drop_newest"):
            producer = await client.create_producer(
                topic, when_full=policy, time_to_live_ms=60000, send_buffer_size=2048, batching_max_messages=1
            )
            for number in range(50):
                producer.send_nowait(b"%d" % number)
            await raises(QueueFull, producer.flush())
            stats = producer.stats()
            kept = stats["acknowledged"]
            same(stats["dropped"]["full"], 50 - kept, "the rest was dropped")
            first = 50 - kept if policy == "drop_oldest" else 0
            contents = [b"%d" % number for number in range(first, first + kept)]
            same([message.data() for message in await _take(consumer, kept)], contents, policy)
        stats = client.stats()
        same(stats["producers"]["acknowledged"], consumer.stats()["received"], "sums")


async def two_producers_and_two_consumers(options, topic):
    async with _connect(options) as client:
        consumers = (await client.subscribe(topic, "one"), await client.subscribe(topic, "two"))
        other = await client.subscribe(topic + "-other", "one")
        producers = (await client.create_producer(topic), await client.create_producer(topic))
        elsewhere = await client.create_producer(topic + "-other")
        contents = [b"%d" % number for number in range(100)]

        async def send_all(producer):
            ids = []
            for one in contents:
                ids.append(await producer.send(one))
            return ids

        first, second, away, got_one, got_two, got_other = await asyncio.gather(
            send_all(producers[0]), send_all(producers[1]), send_all(elsewhere),
            _take(consumers[0], 200), _take(consumers[1], 200), _take(other, 100),
        )
        _agree(got_other, contents, away, "the other topic")
        names = [producer.producer_name() for producer in producers]
        true(names[0] != names[1], "two producers have two names")
        for got in (got_one, got_two):
            for name, ids in zip(names, (first, second)):
                _agree([message for message in got if message.producer_name() == name], contents, ids, name)


async def async_with_and_async_for(options, topic):
    async with _connect(options) as client:
        async with await client.create_producer(topic) as producer:
            for number in range(30):
                producer.send_nowait(b"%d" % number)
        # Leaving the block has sent them all.
        received = []
        async with await client.subscribe(topic, "all", initial_position=InitialPosition.Earliest) as consumer:
            async for message in consumer:
                received.append(message.data())
                if len(received) < 20:
                    await consumer.acknowledge(message)
                elif len(received) == 30:
                    break
        same(received, [b"%d" % number for number in range(30)], "contents")


async def closed_ones_refuse(options, topic):
    client = _connect(options)
    producer = await client.create_producer(topic)
    consumer = await client.subscribe(topic, "all")
    true(producer.is_connected(), "an open producer is connected")
    await asyncio.gather(raises(AlreadyClosed, consumer.receive()), consumer.close())
    await raises(AlreadyClosed, consumer.receive())
    await producer.close()
    await producer.close()
    true(not producer.is_connected(), "a closed producer is not connected")
    await raises(AlreadyClosed, producer.send(b""))
    await raises(AlreadyClosed, producer.room(1))
    try:
        producer.send_nowait(b"")
        raise AssertionError("a closed producer took a message")
    except AlreadyClosed:
        pass
    await client.close()
    await client.close()
    await raises(AlreadyClosed, client.create_producer(topic))
    await raises(AlreadyClosed, client.subscribe(topic, "all"))


async def opened_and_closed_often(options, topic):
    for number in range(40):
        async with _connect(options) as client:
            producer = await client.create_producer(topic)
            producer.send_nowait(b"%d" % number)
    async with _connect(options) as client:
        consumer = await client.subscribe(topic, "all", initial_position=InitialPosition.Earliest)
        messages = await _take(consumer, 40)
        same([message.data() for message in messages], [b"%d" % number for number in range(40)], "contents")


async def a_wait_keeps_its_cancellation(options, topic):
    # In one turn of the loop what is waited for happens, and the task is cancelled: a lost cancellation is a hang.
    event = asyncio.Event()
    waiting = asyncio.create_task(wait(event, 600_000))
    for _ in range(3):
        await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    await raises(asyncio.CancelledError, waiting)


async def wrong_token(options, topic):
    started = ticks_ms()
    async with Client(options["url"], authentication=AuthenticationToken(options["wrong_token"])) as client:
        for opening in (client.create_producer(topic), client.subscribe(topic, "all")):
            error = await raises(AuthenticationError, opening)
            same(error.error(), 3, "code")
            true(options["wrong_token"] not in str(error), "the text shows the token")
    took = ticks_diff(ticks_ms(), started)
    true(took < 10_000, "a refusal for good took %d ms" % took)


async def nobody_listens(options, topic):
    started = ticks_ms()
    async with Client(options["silent_url"], operation_timeout_seconds=_SHORT_SECONDS) as client:
        error = await raises(Timeout, client.create_producer(topic))
    took = ticks_diff(ticks_ms(), started)
    true(options["silent_url"].split("//")[1] in str(error), "the text names no address: %s" % error)
    true(_SHORT_SECONDS * 1000 - 50 <= took < _SHORT_SECONDS * 1000 + 3000, "the timeout took %d ms" % took)


async def bad_arguments(options, topic):
    async with _connect(options) as client:
        for name in ("", None, "a/b", "http://a/b/c", "persistent://a/b", "persistent://a//c", 7):
            await raises(ValueError, client.create_producer(name))
            await raises(ValueError, client.subscribe(name, "all"))
        await raises(ValueError, client.subscribe(topic, ""))
        await raises(ValueError, client.create_producer(topic, producer_name="n" * 65))
        await raises(TypeError, client.create_producer(topic, no_such_option=1))
        producer = await client.create_producer(topic)
        await raises(TypeError, producer.send("text"))
        await producer.send(b"the producer lives on")


CHECKS = (
    batches_of_1_2_and_1000, the_defaults_small_buffers_do, empty_and_large_contents, properties_keys_and_event_time,
    send_nowait_and_flush, room_tells_what_fits, a_full_buffer_drops_and_counts, two_producers_and_two_consumers,
    async_with_and_async_for, closed_ones_refuse, opened_and_closed_often, a_wait_keeps_its_cancellation, wrong_token,
    nobody_listens, bad_arguments,
)


async def main(options):
    for check in CHECKS:
        name = check.__name__
        started = ticks_ms()
        await asyncio.wait_for(check(options, "%s-%s" % (options["prefix"], name)), _CHECK_SECONDS)
        say("check", name=name, milliseconds=ticks_diff(ticks_ms(), started))


run(main)
