"""Scenarios of topics that move, end or get limits, and of lost links: what is kept, and who hears of it."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, NOTHING_MILLIS, fill, left, nothing_comes, numbers, take

from mpy_pulsar import ConsumerType, MessageId, ProducerAccessMode, PulsarError, Timeout

_UNKNOWN = 0
_TERMINATED = 15
_NOT_ALLOWED = 22
_FENCED = 25


async def _reported(place, topic, what):
    """The administrator, or a fault, takes a producer and a consumer their link or their place: who hears of it?"""
    heard = []
    told = asyncio.Event()

    def hear(error):
        heard.append(error)
        told.set()

    async with place.connect(on_error=hear) as client:
        stream = client.errors()
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        sent = 0
        found = []

        async def receive():
            while b"last" not in found:
                message = await consumer.receive()
                found.append(message.data())
                await consumer.acknowledge(message)

        receiving = asyncio.create_task(receive())
        place.please(what, topic)
        while not told.is_set():
            await producer.send(b"%d" % sent)
            sent += 1
        for _ in range(20):
            await producer.send(b"%d" % sent)
            sent += 1
        await producer.send(b"last")
        await receiving
        first_times = [one for index, one in enumerate(found) if one not in found[:index]]
        same(first_times, [b"%d" % number for number in range(sent)] + [b"last"], "nothing is lost, in order")
        true(producer.is_connected(), "open again")
        error = await stream.__anext__()
        true(error is heard[0], "the stream has it too")
        await client.close()
        async for error in stream:
            true(error in heard, "both hear the same")
    return heard


async def a_moved_topic_is_reported(place, topic):
    for error in await _reported(place, topic, "unload"):
        true(topic in str(error), "the text names the topic: %s" % error)


async def a_lost_link_is_reported(place, topic):
    for error in await _reported(place, topic, "cut"):
        true(place.address in str(error) or topic in str(error), "the text names broker or topic: %s" % error)


async def a_terminated_topic_ends_its_producers(place, topic):
    async with place.connect() as client:
        producer = await client.create_producer(topic)
        await producer.send(b"0")
        place.please("terminate", topic)
        sent = [b"0"]

        async def send_for_ever():
            while True:
                await producer.send(b"%d" % len(sent))
                sent.append(b"%d" % len(sent))

        error = await raises(PulsarError, send_for_ever())
        same(error.error(), _TERMINATED, "TopicTerminated: %s" % error)
        true(topic in str(error), "the text names the topic: %s" % error)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same([message.data() for message in await take(consumer, len(sent))], sent, "what was confirmed is there")
        await raises(PulsarError, client.create_producer(topic))


async def _moved(place, topic, told):
    """The topic has moved, and who listens to the client has heard of it."""
    told.clear()
    place.please("unload", topic)
    await told.wait()


async def a_move_stores_nothing_twice(place, topic):
    topic = place.deduplicating_topic("moves")
    told = asyncio.Event()
    async with place.connect(on_error=lambda error: told.set()) as client:
        producer = await client.create_producer(topic, batching_max_messages=3)
        sent = 0
        for _ in range(3):
            told.clear()
            place.please("unload", topic)
            while not told.is_set():
                await producer.room(10)
                producer.send_nowait(b"%d" % sent)
                sent += 1
                await asyncio.sleep(0)
            await producer.send(b"%d" % sent)
            sent += 1
        await producer.flush()
        same(producer.last_sequence_id(), sent - 1, "each has its number")
        reader = await client.create_reader(topic, MessageId.earliest)
        for number in range(sent):
            same((await reader.read_next(COMES_MILLIS)).data(), b"%d" % number, "once, in order")
        same(await reader.has_message_available(), False, "that is all")


async def an_exclusive_producer_keeps_its_topic(place, topic):
    told = asyncio.Event()
    async with place.connect(on_error=lambda error: told.set()) as client, place.connect() as other:
        exclusive = {"access_mode": ProducerAccessMode.Exclusive}
        producer = await client.create_producer(topic, **exclusive)
        await producer.send(b"0")
        await _moved(place, topic, told)
        await producer.send(b"1")
        error = await raises(PulsarError, other.create_producer(topic, **exclusive))
        same(error.error(), _FENCED, "still held: %s" % error)
        await producer.send(b"2")


async def acknowledgements_outlive_a_move(place, topic):
    told = asyncio.Event()
    async with place.connect(on_error=lambda error: told.set()) as client:
        await fill(client, topic, 3, 1, 4)
        more = {"batch_index_ack_enabled": True, "consumer_type": ConsumerType.Shared}
        consumer = await client.subscribe(topic, "all", **EARLIEST, **more)
        messages = await take(consumer, 8)
        for index in (1, 3, 4, 7):
            await consumer.acknowledge(messages[index])
        await consumer.get_last_message_id()  # acknowledgements leave before the question
        await _moved(place, topic, told)
        # A broker may forget acknowledgements inside of a batch when the topic moves, never those of whole entries.
        found = set()
        while True:
            try:
                message = await consumer.receive(COMES_MILLIS if len(found) < 4 else NOTHING_MILLIS)
            except Timeout:
                break
            found.add(int(message.data()))
            await consumer.acknowledge(message)
        true({0, 2, 5, 6} <= found <= {0, 1, 2, 4, 5, 6, 7}, "what was not acknowledged comes again: %r" % (found,))
        await consumer.close()
        await left(client, topic, "all", [], **more)


async def waits_outlive_a_move(place, topic):
    told = asyncio.Event()
    async with place.connect(on_error=lambda error: told.set()) as client, place.connect() as other:
        ids = await fill(other, topic, 2, 1)
        # Nothing is acknowledged: Pulsar itself may forget that when it has just begun to write it down.
        consumer = await client.subscribe(topic, "all", auto_flow=False)
        reader = await client.create_reader(topic, ids[1])
        same((await reader.read_next(COMES_MILLIS)).data(), b"2", "before")
        waiting = [asyncio.create_task(one) for one in (consumer.receive(), reader.read_next(COMES_MILLIS))]
        consumer.flow(1)
        await _moved(place, topic, told)
        await fill(other, topic, 1, first=3)
        same([message.data() for message in await asyncio.gather(*waiting)], [b"3", b"3"], "what comes afterwards")
        await fill(other, topic, 1, first=4)
        await nothing_comes(consumer)
        consumer.flow(1)
        same(await numbers(consumer, 1), [4], "what was asked for")


async def a_seek_outlives_a_move(place, topic):
    told = asyncio.Event()
    async with place.connect() as client, place.connect(on_error=lambda error: told.set()) as other:
        ids = await fill(client, topic, 1, 3)
        witness = await other.subscribe(topic, "witness")
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same(await numbers(consumer, 4), [0, 1, 2, 3], "before")
        place.please("unload", topic)
        while not (told.is_set() and witness.is_connected()):
            try:
                await consumer.seek(ids[1])
            except PulsarError as error:
                # A broker may say that it is about to move the topic; what comes of the move is for the client to mend.
                same(error.error(), _UNKNOWN, "refused: %s" % error)
        await consumer.seek(ids[1])
        same(await numbers(consumer, 2), [2, 3], "behind it")
        await _moved(place, topic, told)
        same(await numbers(consumer, 2), [2, 3], "and again, as nothing was acknowledged")
        await consumer.unsubscribe()


async def a_topic_with_a_limit_of_its_own(place, topic):
    async with place.connect() as client:
        producer = await client.create_producer(topic, batching_enabled=False)
        sent = [await producer.send(bytes(2000))]
        place.please("limit", topic, size=1000)

        async def send_for_ever():
            while True:
                sent.append(await producer.send(bytes(2000)))

        error = await raises(PulsarError, send_for_ever())
        same(error.error(), _NOT_ALLOWED, "refused: %s" % error)
        true(topic in str(error) and "not stored" in str(error), "the text says what became of it: %s" % error)
        sent += [await producer.send(b"small"), await producer.send(bytes(500))]
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same([message.message_id() for message in await take(consumer, len(sent))], sent, "the producer lives on")


SCENARIOS = (
    a_topic_with_a_limit_of_its_own, a_moved_topic_is_reported, a_lost_link_is_reported,
    a_terminated_topic_ends_its_producers, a_move_stores_nothing_twice, an_exclusive_producer_keeps_its_topic,
    acknowledgements_outlive_a_move, waits_outlive_a_move, a_seek_outlives_a_move,
)
