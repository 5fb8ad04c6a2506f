"""Scenarios of producers: how batches are made, what happens when there is no room, who may produce."""
import asyncio

from corpus import content
from program import raises, same, true
from scenario import EARLIEST, fill, take

from mpy_pulsar import MessageId, MessageTooBig, ProducerAccessMode, PulsarError, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES, ticks_diff, ticks_ms

_PRODUCER_BUSY = 16
_FENCED = 25
_MAX_MESSAGE = 5 << 20  # of the broker, bytes
_LONG_MILLIS = 600_000


async def _batches(place, topic, count, **options):
    """How many messages each entry holds, when so many of nine bytes are sent at once."""
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, batching_max_publish_delay_ms=_LONG_MILLIS, **options)
        for number in range(count):
            producer.send_nowait(b"%09d" % number)
        await producer.flush()
        messages = await take(consumer, count)
        same([message.data() for message in messages], [b"%09d" % number for number in range(count)], "order")
        entries = [message.message_id().entry_id() for message in messages]
        return [entries.count(entry) for entry in sorted(set(entries))]


async def batches_by_count(place, topic):
    same(await _batches(place, topic, 10, batching_max_messages=4), [4, 4, 2], "batches")


async def batches_by_bytes(place, topic):
    same(await _batches(place, topic, 10, batching_max_allowed_size_in_bytes=60), [3, 3, 3, 1], "batches")


async def batches_by_flush_alone(place, topic):
    same(await _batches(place, topic, 10), [10], "batches")


async def no_batches(place, topic):
    same(await _batches(place, topic, 10, batching_enabled=False), [1] * 10, "batches")


async def batches_by_delay(place, topic):
    async with place.connect() as client:
        producer = await client.create_producer(topic, batching_max_publish_delay_ms=200)
        started = ticks_ms()
        ids = await asyncio.gather(*[producer.send(b"%d" % number) for number in range(3)])
        waited = ticks_diff(ticks_ms(), started)
        true(waited >= 195, "a batch that is not full left after %d ms" % waited)
        same(len({one.entry_id() for one in ids}), 1, "entries")
        producer = await client.create_producer(
            topic, batching_max_publish_delay_ms=_LONG_MILLIS, batching_max_messages=3
        )
        full = await asyncio.gather(*[producer.send(b"%d" % number) for number in range(3, 6)])
        same(len({one.entry_id() for one in full}), 1, "a full batch does not wait")
        producer.send_nowait(b"6")
        await producer.close()  # nor does what is still to be sent then
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same([message.data() for message in await take(consumer, 7)], [b"%d" % number for number in range(7)], "all")


async def a_list_larger_than_a_batch(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, batching_max_messages=4)
        same(await producer.send_batch([]), [], "an empty list")
        contents = [content(number, 20) for number in range(10)]
        ids = await producer.send_batch(contents)
        messages = await take(consumer, 10)
        same([message.data() for message in messages], contents, "contents")
        same([message.message_id() for message in messages], ids, "ids")
        same([one.batch_index() for one in ids], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1], "three entries")


async def a_full_queue_raises_or_waits(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        refuses = await client.create_producer(topic, max_pending_messages=5, block_if_queue_full=False)
        outcomes = await asyncio.gather(*[refuses.send(b"%d" % number) for number in range(20)], return_exceptions=True)
        refused = [isinstance(one, QueueFull) for one in outcomes]
        same(refused, [False] * 5 + [True] * 15, "no more may wait")
        await refuses.send(b"lives on")
        messages = await take(consumer, 6)
        same([message.data() for message in messages], [b"0", b"1", b"2", b"3", b"4", b"lives on"], "what was taken")
        waits = await client.create_producer(topic, max_pending_messages=5)
        ids = await asyncio.gather(*[waits.send(b"%d" % number) for number in range(100)])
        messages = await take(consumer, 100)
        contents = [b"%d" % number for number in range(100)]
        same([message.data() for message in messages], contents, "in the order of calls")
        same([message.message_id() for message in messages], ids, "ids")


async def a_full_buffer_raises_or_waits(place, topic):
    async with place.connect() as client:
        consumer = await client.subscribe(topic, "all")
        refuses = await client.create_producer(topic, send_buffer_size=bytearray(2048), block_if_queue_full=False)
        outcomes = await asyncio.gather(*[refuses.send(bytes(300)) for _ in range(20)], return_exceptions=True)
        refused = len([one for one in outcomes if isinstance(one, QueueFull)])
        taken = len([one for one in outcomes if not isinstance(one, Exception)])
        true(refused >= 12 and refused + taken == 20, "%d refused, %d taken" % (refused, taken))
        await take(consumer, taken)
        waits = await client.create_producer(topic, send_buffer_size=2048)
        contents = [content(number, 300) for number in range(40)]
        await asyncio.gather(*[waits.send(one) for one in contents])
        same([message.data() for message in await take(consumer, 40)], contents, "in the order of calls")


async def too_large_before_a_byte_is_sent(place, topic):
    errors = []
    # On a board what the buffer cannot hold; on CPython that goes alone, and only what the broker refuses does not.
    limit = _MAX_MESSAGE if LARGE_MESSAGES else 4096
    async with place.connect(on_error=errors.append) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic, send_buffer_size=4096)
        for batching in (True, False):
            producer = await client.create_producer(topic, send_buffer_size=4096, batching_enabled=batching)
            error = await raises(MessageTooBig, producer.send(bytes(limit)))
            true(str(limit) in str(error), "the text says how large: %s" % error)
            await raises(MessageTooBig, producer.send(bytes(limit - 2000), properties={"key": "v" * 3000}))
            await raises(MessageTooBig, producer.send_batch([bytes(limit)]))
            await raises(MessageTooBig, producer.room(limit))
            try:
                producer.send_nowait(bytes(limit))
                raise AssertionError("%d bytes were taken" % limit)
            except MessageTooBig:
                pass
            await producer.send(b"fits")
            same(producer.last_sequence_id(), 0, "nothing was sent before")
        same([message.data() for message in await take(consumer, 2)], [b"fits", b"fits"], "what arrived")
        same(errors, [], "the link has noticed nothing")


async def exclusive_producers(place, topic):
    exclusive = {"access_mode": ProducerAccessMode.Exclusive}
    async with place.connect() as client, place.connect() as other:
        first = await client.create_producer(topic, **exclusive)
        await first.send(b"first")
        error = await raises(PulsarError, other.create_producer(topic, **exclusive))
        same(error.error(), _FENCED, "refused at once: %s" % error)
        true(topic in str(error) and place.address in str(error), "the text names topic and broker: %s" % error)
        waiting = asyncio.create_task(
            other.create_producer(topic, access_mode=ProducerAccessMode.WaitForExclusive)
        )
        for _ in range(3):
            await first.send(b"first")
        true(not waiting.done(), "it waits")
        await first.close()
        second = await waiting
        await second.send(b"second")
        await second.close()
        for _ in range(2):
            await (await client.create_producer(topic)).send(b"shared")
        await raises(PulsarError, other.create_producer(topic, **exclusive))
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        found = [message.data() for message in await take(consumer, 7)]
        same(found, [b"first"] * 4 + [b"second"] + [b"shared"] * 2, "what was sent")


async def a_wait_for_the_topic_is_given_up(place, topic):
    exclusive = {"access_mode": ProducerAccessMode.Exclusive}
    waiting = {"access_mode": ProducerAccessMode.WaitForExclusive}
    async with place.connect() as client, place.connect() as other:
        first = await client.create_producer(topic, **exclusive)
        given_up = asyncio.create_task(other.create_producer(topic, **waiting))
        next_one = asyncio.create_task(client.create_producer(topic, **waiting))
        await fill(other, topic + "-other", 1)
        given_up.cancel()
        await raises(asyncio.CancelledError, given_up)
        await first.send(b"first")
        await first.close()
        second = await next_one
        await second.send(b"second")
        await second.close()
        third = await other.create_producer(topic, **exclusive)
        await third.send(b"third")


async def fencing_others_off(place, topic):
    async with place.connect() as client, place.connect() as other:
        held = await client.create_producer(topic, access_mode=ProducerAccessMode.Exclusive)
        await held.send(b"held")
        fencing = await other.create_producer(topic, access_mode=ProducerAccessMode.ExclusiveWithFencing)
        await fencing.send(b"fencing")

        async def send_for_ever():
            while True:
                await held.send(b"fenced off")

        error = await raises(PulsarError, send_for_ever())
        same(error.error(), _FENCED, "fenced off")
        true(topic in str(error), "the text names the topic: %s" % error)
        true(not held.is_connected(), "that is its end")
        await raises(PulsarError, held.flush())
        await fencing.send(b"fencing")
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same([message.data() for message in await take(consumer, 3)], [b"held", b"fencing", b"fencing"], "stored")


async def a_name_is_taken_once(place, topic):
    heard = []
    busy = asyncio.Event()

    def hear(error):
        heard.append(error)
        busy.set()

    async with place.connect() as client, place.connect(on_error=hear) as other:
        # Two characters of a name outside of ASCII.
        first = await client.create_producer(topic, producer_name="größe", properties={"unit": "µm"})
        second = asyncio.create_task(other.create_producer(topic, producer_name="größe"))
        await busy.wait()
        same(heard[0].error(), _PRODUCER_BUSY, "ProducerBusy")
        true(topic in str(heard[0]) and place.address in str(heard[0]), "topic and broker: %s" % heard[0])
        true(not second.done(), "it goes on trying: a link that was lost may still hold the name")
        await first.send(b"the first goes on")
        await first.close()
        same((await second).producer_name(), "größe", "then the name is free")
        unnamed = await client.create_producer(topic)
        another = await client.create_producer(topic)
        names = {unnamed.producer_name(), another.producer_name(), "größe", ""}
        same(len(names), 4, "the broker makes names of its own: %r" % (names,))


async def what_the_broker_knows_of_us(place, topic):
    told = asyncio.Event()
    async with place.connect(on_error=lambda error: told.set()) as client:
        properties = {"unit": "µm", "empty": ""}
        await client.create_producer(topic, producer_name="producer", properties=properties)
        await client.create_producer(topic, producer_name="bare")
        await client.subscribe(topic, "all", consumer_name="consumer", properties=dict(properties, role="test"))
        await client.create_reader(topic, MessageId.latest, reader_name="reader")
        known = {"producer": properties, "bare": {}, "consumer": dict(properties, role="test"), "reader": {}}
        place.please("compare", topic, properties=known)
        await told.wait()


async def the_largest_and_the_smallest(place, topic):
    async with place.connect() as client:
        # On a board what its buffers hold; on CPython what the broker takes, whatever the buffer.
        largest = _MAX_MESSAGE - 2000 if LARGE_MESSAGES else 3500
        contents = [b"", content(1, largest), b"x", bytes(largest), b""]
        consumer = await client.subscribe(topic, "all")
        for batching in (True, False):
            producer = await client.create_producer(topic, send_buffer_size=4096, batching_enabled=batching)
            ids = await asyncio.gather(*[producer.send(one) for one in contents])
            messages = await take(consumer, 5)
            same([message.message_id() for message in messages], ids, "ids")
            true([message.data() for message in messages] == contents, "contents and their order")


async def topics_that_nobody_stores(place, topic):
    topic = topic.replace("persistent://", "non-persistent://")
    async with place.connect() as client:
        early = await client.create_producer(topic)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        for number in range(3):
            await early.send(b"%d" % number, properties={"a": "b"})
            message = await consumer.receive()
            same((message.data(), message.properties()), (b"%d" % number, {"a": "b"}), "what comes while one listens")
            await consumer.acknowledge(message)
        same(await client.get_topic_partitions(topic), [topic], "its name")


async def the_names_of_a_topic(place, topic):
    async with place.connect() as client:
        short = topic.split("/")[-1]
        same(await client.get_topic_partitions(short), [topic], "without partitions")
        await fill(client, short, 1)
        producer = await client.create_producer("public/default/" + short, partitioned=False)
        consumer = await client.subscribe(short, "all", **EARLIEST)
        same((producer.topic(), consumer.topic()), (topic, topic), "in full")
        await producer.send(b"1")
        same([message.data() for message in await take(consumer, 2)], [b"0", b"1"], "it is one topic")


SCENARIOS = (
    batches_by_count, batches_by_bytes, batches_by_flush_alone, no_batches, batches_by_delay,
    a_list_larger_than_a_batch, a_full_queue_raises_or_waits, a_full_buffer_raises_or_waits,
    too_large_before_a_byte_is_sent, exclusive_producers, a_wait_for_the_topic_is_given_up, fencing_others_off,
    a_name_is_taken_once, what_the_broker_knows_of_us, the_largest_and_the_smallest, topics_that_nobody_stores,
    the_names_of_a_topic,
)
