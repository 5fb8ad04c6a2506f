"""Scenarios of messages: every field and accessor, ids and numbers, what a broker does with duplicates and delays."""
import asyncio

from corpus import content
from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, nothing_comes, take

from mpy_pulsar import ConsumerType, MessageId
from mpy_pulsar.port import ticks_diff, ticks_ms, unix_seconds

_EVENT_TIME = 1_700_000_000_123
_TICK_MILLIS = 1000  # by which a broker may deliver too early
# Keys and values beyond Latin, beyond the basic plane, empty, and with a NUL.
_PROPERTIES = {"plain": "value", "größe": "0,5 µm", "温度": "二十一度", "🌡️": "😀", "empty": "", "nul": "a\x00b"}
_BARE = ({}, "", b"", 0, False)
# What is sent, and what its receiver sees: content, properties, key, ordering key, event time, no value.
_FIELDS = (
    ((b"bare", {}), (b"bare",) + _BARE),
    ((b"", {}), (b"",) + _BARE),
    ((None, {}), (b"", {}, "", b"", 0, True)),
    ((None, {"partition_key": "gone"}), (b"", {}, "gone", b"", 0, True)),
    ((b"", {"partition_key": "empty"}), (b"", {}, "empty", b"", 0, False)),
    ((b"text", {"partition_key": "schlüssel 🔑", "ordering_key": "o"}), (b"text", {}, "schlüssel 🔑", b"o", 0, False)),
    ((b"binary", {"partition_key": b"\x00\xff\xfe"}), (b"binary", {}, "AP/+", b"", 0, False)),
    ((b"empty keys", {"partition_key": "", "ordering_key": b""}), (b"empty keys",) + _BARE),
    ((b"time", {"event_timestamp": _EVENT_TIME}), (b"time", {}, "", b"", _EVENT_TIME, False)),
    ((b"properties", {"properties": _PROPERTIES}), (b"properties", _PROPERTIES, "", b"", 0, False)),
    (
        (bytearray(b"all"), {
            "properties": {"a": "b"}, "partition_key": "k", "ordering_key": b"\x01\xff", "event_timestamp": 1,
        }),
        (b"all", {"a": "b"}, "k", b"\x01\xff", 1, False),
    ),
)


def _seen(message):
    return (
        message.data(), message.properties(), message.partition_key(), message.ordering_key(),
        message.event_timestamp(), message.has_null_value(),
    )


async def _every_field(place, topic, **options):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, producer_name="näme " + topic[-40:], **options)
        before = unix_seconds() * 1000
        ids = []
        for (value, fields), _ in _FIELDS:
            ids.append(await producer.send(value, **fields))
        messages = await take(consumer, len(_FIELDS))
        for number in range(len(messages)):
            message = messages[number]
            same(_seen(message), _FIELDS[number][1], "message %d" % number)
            same(message.value(), message.data(), "value")
            same(message.message_id(), ids[number], "id")
            same(message.sequence_id(), number, "sequence id")
            same(message.producer_name(), "näme " + topic[-40:], "producer's name")
            same(message.topic_name(), topic, "topic")
            same(message.schema_version(), b"", "schema version")
            same(message.redelivery_count(), 0, "deliveries before")
            same(message.batch_place(), "single", "place")
            # The client's clock goes on in milliseconds from a whole second.
            true(before - 2000 <= message.publish_timestamp() < before + 60_000, "time of publishing")
        return ids


async def every_field_in_batches(place, topic):
    ids = await _every_field(place, topic)
    same({(one.batch_index(), one.batch_size()) for one in ids}, {(0, 1)}, "batches of one")


async def every_field_without_batches(place, topic):
    ids = await _every_field(place, topic, batching_enabled=False)
    same({(one.batch_index(), one.batch_size()) for one in ids}, {(-1, 0)}, "no batches")


async def every_field_side_by_side(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, batching_max_publish_delay_ms=50)
        ids = await asyncio.gather(*[producer.send(value, **fields) for (value, fields), _ in _FIELDS])
        messages = await take(consumer, len(_FIELDS))
        same([message.message_id() for message in messages], ids, "ids")
        for message, (_, expected) in zip(messages, _FIELDS):
            same(_seen(message), expected, "beside others in its batch")


async def wrong_fields_are_refused(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        for batching in (True, False):
            producer = await client.create_producer(topic, batching_enabled=batching)
            for kind, fields in (
                (TypeError, {"properties": {"a": 1}}), (TypeError, {"properties": {1: "a"}}),
                (TypeError, {"partition_key": 7}), (TypeError, {"ordering_key": 7}),
                (ValueError, {"event_timestamp": -1}), (ValueError, {"sequence_id": -1}),
                (ValueError, {"deliver_at": -1}), (ValueError, {"deliver_after": -1}),
                (ValueError, {"deliver_at": 1, "deliver_after": 1}), (ValueError, {"replication_clusters": ["a"]}),
            ):
                await raises(kind, producer.send(b"wrong", **fields))
            await raises(TypeError, producer.send("text"))
            await raises(TypeError, producer.send_batch([b"bytes", "text"]))
            await producer.send(b"right")
            same(producer.last_sequence_id(), 0, "no number was used up")
        same([message.data() for message in await take(consumer, 2)], [b"right", b"right"], "nothing else was sent")


async def places_in_batches(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        for size, places in (
            (1, ["single"]), (2, ["first", "last"]), (4, ["first", "intermediate", "intermediate", "last"]),
        ):
            ids = await producer.send_batch([content(number, 30) for number in range(size)])
            messages = await take(consumer, size)
            same([message.batch_place() for message in messages], places, "places")
            same([message.message_id() for message in messages], ids, "ids")
            same(len({(one.ledger_id(), one.entry_id()) for one in ids}), 1, "one entry")
            for index in range(size):
                one = MessageId.deserialize(messages[index].message_id().serialize())
                parts = (one.batch_index(), one.batch_size(), one.partition())
                same((one, parts), (ids[index], (index, size, -1)), "an id")
        # The last entry's: a number for each, from the first one's on.
        same([message.sequence_id() for message in messages], [3, 4, 5, 6], "sequence ids")


async def numbers_of_its_own(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, initial_sequence_id=99)
        same(producer.last_sequence_id(), 99, "before the first")
        await producer.send(b"0")
        same(producer.last_sequence_id(), 100, "the first")
        one = await producer.send(b"1", sequence_id=5000)
        same((one.batch_index(), producer.last_sequence_id()), (-1, 5000), "its own, so alone")
        for wrong in (0, 4999, 5000):
            error = await raises(ValueError, producer.send(b"x", sequence_id=wrong))
            true("rise" in str(error), "ids rise")
        await asyncio.gather(
            producer.send(b"2"), producer.send(b"3", sequence_id=1 << 40), producer.send(b"4"),
            producer.send(b"5", sequence_id=(1 << 40) + 7),
        )
        await producer.send_batch([b"6", b"7", b"8"])
        same(producer.last_sequence_id(), (1 << 40) + 10, "they go on")
        messages = await take(consumer, 9)
        same([message.data() for message in messages], [b"%d" % number for number in range(9)], "order")
        same(
            [message.sequence_id() for message in messages],
            [100, 5000, 5001, 1 << 40, (1 << 40) + 1] + [(1 << 40) + more for more in range(7, 11)], "sequence ids",
        )


async def duplicates_vanish(place, topic):
    topic = place.deduplicating_topic("duplicates")
    stored_before = (-1, -1)

    async def session(last, *sent, **options):
        """Send under those numbers: (ledger, entry) for each."""
        async with place.connect() as client:
            producer = await client.create_producer(topic, producer_name="same", **options)
            same(producer.last_sequence_id(), last, "what the broker knows of the name")
            found = []
            for number in sent:
                one = await producer.send(b"%d" % number, sequence_id=number)
                found.append((one.ledger_id(), one.entry_id()))
            if sent:
                same(producer.last_sequence_id(), max(last, sent[-1]), "the highest")
            ids = await producer.send_batch([b"batch", b"of", b"three"])
            true(ids[0].entry_id() >= 0 and ids[0] < ids[2], "new numbers are stored")
            return found

    true(stored_before not in await session(-1, 3, 5), "new ones are stored")  # the batch is 6 to 8
    same(await session(8, 3, 8), [stored_before] * 2, "old ones are not")  # the batch is 9 to 11
    found = await session(11, 9, 11, 20)
    same(found[:2], [stored_before] * 2, "nor those of a batch")
    true(found[2] != stored_before, "then a new one")  # the batch is 21 to 23
    await session(23, initial_sequence_id=2)
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        messages = await take(consumer, 15)
        batch = [b"batch", b"of", b"three"]
        same([message.data() for message in messages], [b"3", b"5"] + batch * 2 + [b"20"] + batch * 2, "stored once")
        same(messages[-1].sequence_id(), 26, "numbers go on where the broker was")
        await nothing_comes(consumer)


async def delays_on_shared_subscriptions(place, topic):
    async with place.connect() as client:
        shared = await client.subscribe(topic, "shared", consumer_type=ConsumerType.Shared)
        exclusive = await client.subscribe(topic, "exclusive")
        producer = await client.create_producer(topic)
        started = ticks_ms()
        ids = await asyncio.gather(
            producer.send(b"after", deliver_after=2500),
            producer.send(b"at", deliver_at=(unix_seconds() + 3) * 1000),
            producer.send(b"over", deliver_at=1000, properties={"a": "b"}),
            producer.send(b"at once"),
        )
        same([one.batch_index() for one in ids], [-1, -1, -1, 0], "what has a time goes alone")
        messages = await take(exclusive, 4)
        same([message.data() for message in messages], [b"after", b"at", b"over", b"at once"], "one consumer: no delay")
        messages = await take(shared, 2)
        same({message.data() for message in messages}, {b"over", b"at once"}, "no delay")
        for _ in range(2):
            message = await shared.receive(COMES_MILLIS)
            # Its time was 2 to 3 s from then, the other's 2.5 s.
            waited = ticks_diff(ticks_ms(), started)
            true(waited >= 2000 - _TICK_MILLIS, "delivered after %d ms" % waited)
            true(message.data() in (b"after", b"at"), "one of the late ones")


SCENARIOS = (
    delays_on_shared_subscriptions, duplicates_vanish, every_field_in_batches, every_field_without_batches,
    every_field_side_by_side, wrong_fields_are_refused, places_in_batches, numbers_of_its_own,
)
