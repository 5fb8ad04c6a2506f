"""Consumes in every way that a consumer and a reader offer, from topics that this program fills itself.

Options: url, token, prefix (of topics nobody else uses), key_shared and batch_index (does the broker know
Key_Shared, does it remember acknowledgements inside of a batch?), only (the name of one check; optional). Says
`check` with the name of each check that held, and `passed` with how many there are.
"""
import asyncio

from program import raises, run, same, say, true
from ways_of_acknowledging import (
    acknowledging_by_id_and_entry, acknowledging_cumulatively, acknowledging_inside_of_batches,
    negative_acknowledgements, redelivering_all,
)
from ways_support import EARLIEST, connect, fill, left_for, nothing_comes, take_messages, take_numbers

from mpy_pulsar import (
    AlreadyClosed, ConsumerKeySharedPolicy, ConsumerType, KeySharedMode, MessageId, PulsarError, Timeout,
)
from mpy_pulsar.net.stream import wait
from mpy_pulsar.port import ticks_diff, ticks_ms

_CHECK_SECONDS = 40


async def times_and_batches_of_receiving(options, topic):
    async with connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        started = ticks_ms()
        error = await raises(Timeout, consumer.receive(100))
        true(ticks_diff(ticks_ms(), started) >= 99 and topic in str(error), "a time limit holds")
        await raises(Timeout, consumer.receive(0))
        await raises(Timeout, consumer.receive_batch(5, 0))
        waiting = asyncio.create_task(consumer.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            await waiting
            raise AssertionError("a cancelled receive returned")
        except asyncio.CancelledError:
            pass
        await fill(client, topic, 7, 5)
        found = []
        while len(found) < 12:
            messages = await consumer.receive_batch(5, 5000)
            true(1 <= len(messages) <= 5, "as many as there are")
            found += [int(message.data()) for message in messages]
            for message in messages:
                await consumer.acknowledge(message)
        same(found, list(range(12)), "all of it")


async def cancelled_waits_lose_nothing(options, topic):
    async with connect(options) as client:
        consumer = await client.subscribe(topic, "all")
        producer = await client.create_producer(topic)
        found = []

        async def take():
            found.append(int((await consumer.receive()).data()))

        async def take_some():
            found.extend([int(message.data()) for message in await consumer.receive_batch(3)])

        for number in range(40):
            producer.send_nowait(b"%d" % number)
            task = asyncio.create_task(take_some() if number & 1 else take())
            for _ in range(number % 9):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
        await producer.flush()
        while len(found) < 40:
            found.append(int((await consumer.receive(10000)).data()))
        same(found, list(range(40)), "received")


async def listening(options, topic):
    errors = []

    class Log:
        def warning(self, text):
            errors.append(text)

    async with connect(options, logger=Log()) as client:
        consumer = await client.subscribe(topic, "all")
        plain = []
        done = asyncio.Event()

        def callback(message):
            plain.append(int(message.data()))
            if len(plain) == 2:
                raise ValueError("of the callback")
            if len(plain) == 6:
                done.set()

        listener = consumer.listen(callback)
        try:
            consumer.listen(callback)
            raise AssertionError("a second listener")
        except ValueError:
            pass
        await fill(client, topic, 6)
        await done.wait()
        same(plain, list(range(6)), "a plain callback")
        true([text for text in errors if "of the callback" in text], "its error is reported")
        await consumer.close()
        true(not listener.running(), "the listener ends with its consumer")

        consumer = await client.subscribe(topic, "others", **EARLIEST)
        taken = []
        closed = asyncio.Event()

        async def acknowledging(message):
            await consumer.acknowledge(message)
            taken.append(int(message.data()))
            if len(taken) == 6:
                await consumer.close()
                closed.set()

        listener = consumer.listen(acknowledging)
        await closed.wait()
        same(taken, list(range(6)), "an async callback, which closes its own consumer")
        for _ in range(20):
            await asyncio.sleep(0)
        true(not listener.running(), "the listener ended")
        consumer = await client.subscribe(topic, "others")
        await nothing_comes(consumer)


async def seeking(options, topic):
    async with connect(options) as client:
        ids = await fill(client, topic, 1, 3)
        await wait(asyncio.Event(), 20)
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        middle = (await consumer.receive()).publish_timestamp()
        ids += await fill(client, topic, 2, first=4)
        same(await take_numbers(consumer, 5), [1, 2, 3, 4, 5], "first time")
        for index, expected in ((0, [1, 2, 3, 4, 5]), (2, [3, 4, 5]), (3, [4, 5]), (4, [5]), (1, [2, 3, 4, 5])):
            await consumer.seek(ids[index])
            same(await take_numbers(consumer, len(expected)), expected, "behind message %d" % index)
            true(consumer.is_connected(), "open again")
        await consumer.seek(MessageId.earliest)
        same(await take_numbers(consumer, 6), [0, 1, 2, 3, 4, 5], "from the beginning")
        await consumer.seek(MessageId.latest)
        await nothing_comes(consumer)
        await consumer.seek(middle - 1)
        same(await take_numbers(consumer, 6), [0, 1, 2, 3, 4, 5], "from a time on")
        await consumer.seek(middle + 10_000_000)
        await nothing_comes(consumer)
        await asyncio.gather(consumer.seek(ids[3]), consumer.seek(ids[0]))
        same(await take_numbers(consumer, 5), [1, 2, 3, 4, 5], "one seek after the other")
        await consumer.close()
        await raises(AlreadyClosed, consumer.seek(ids[0]))
        consumer = await client.subscribe(topic, "with it", start_message_id_inclusive=True, **EARLIEST)
        for index in (2, 0, 5):
            await consumer.seek(ids[index])
            same(await take_numbers(consumer, 6 - index), list(range(index, 6)), "at message %d" % index)


async def last_id_and_unsubscribing(options, topic):
    async with connect(options) as client:
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same((await consumer.get_last_message_id()).entry_id(), -1, "of an empty topic")
        ids = await fill(client, topic, 3)
        same(await consumer.get_last_message_id(), ids[-1], "the last id")
        waiting = asyncio.create_task(raises(AlreadyClosed, _endless(consumer)))
        await consumer.unsubscribe()
        await waiting
        await raises(AlreadyClosed, consumer.receive())
        await consumer.close()
        same(await left_for(client, topic, "all", 0), [], "a new subscription starts at the end")


async def _endless(consumer):
    while True:
        await consumer.receive()


async def flow_by_hand(options, topic):
    async with connect(options) as client:
        await fill(client, topic, *([1] * 12))
        consumer = await client.subscribe(topic, "all", auto_flow=False, **EARLIEST)
        await nothing_comes(consumer)
        for count in (1, 3, 5):
            consumer.flow(count)
            await take_numbers(consumer, count)
            await nothing_comes(consumer)
        consumer.flow(100)
        await take_numbers(consumer, 3)


async def sharing(options, topic):
    async with connect(options) as client:
        await fill(client, topic)
        consumers = []
        for number in range(2):
            consumers.append(await client.subscribe(
                topic, "all", consumer_type=ConsumerType.Shared, consumer_name="c%d" % number, receiver_queue_size=4,
                properties={"number": str(number)},
            ))
        same([consumer.consumer_name() for consumer in consumers], ["c0", "c1"], "names")
        producer = await client.create_producer(topic)
        for number in range(40):
            await producer.send(b"%d" % number)
        found = [[], []]

        async def take(index):
            while len(found[0]) + len(found[1]) < 40:
                try:
                    message = await consumers[index].receive(1000)
                except Timeout:
                    continue
                found[index].append(int(message.data()))
                await consumers[index].acknowledge(message)

        await asyncio.gather(take(0), take(1))
        same(sorted(found[0] + found[1]), list(range(40)), "each message once")
        true(found[0] and found[1], "both get some")


async def failing_over(options, topic):
    async with connect(options) as client:
        more = {"consumer_type": ConsumerType.Failover}
        first = await client.subscribe(topic, "all", consumer_name="a", **more)
        second = await client.subscribe(topic, "all", consumer_name="b", **more)
        producer = await client.create_producer(topic)
        for number in range(4):
            await producer.send(b"%d" % number)
        # Which of them is active is the broker's choice.
        try:
            active, idle = first, second
            same(await take_numbers(active, 1), [0], "the active one")
        except Timeout:
            active, idle = second, first
            same(await take_numbers(active, 1), [0], "the active one")
        same(await take_numbers(active, 3), [1, 2, 3], "all of it")
        await nothing_comes(idle)
        await active.close()
        same(await take_numbers(idle, 4), [0, 1, 2, 3], "the other takes over")
        error = await raises(PulsarError, _connect_busy(options, topic))
        true(error.error() == 5 or isinstance(error, Timeout), "another type: ConsumerBusy")


async def _connect_busy(options, topic):
    async with connect(options, operation_timeout_seconds=2) as client:
        await client.subscribe(topic, "all")


async def sharing_by_key(options, topic):
    if not options["key_shared"]:
        return
    async with connect(options) as client:
        kind = {"consumer_type": ConsumerType.KeyShared}
        halves = []
        for first, last in ((0, 32767), (32768, 65535)):
            policy = ConsumerKeySharedPolicy(KeySharedMode.Sticky, False, [(first, last)])
            halves.append(await client.subscribe(topic, "sticky", key_shared_policy=policy, **kind))
        split = await client.subscribe(topic, "split", **kind)
        relaxed = await client.subscribe(
            topic, "relaxed", key_shared_policy=ConsumerKeySharedPolicy(allow_out_of_order_delivery=True), **kind
        )
        producer = await client.create_producer(topic)
        for number in range(20):
            await producer.send(b"%d" % number, partition_key="key%d" % (number % 5))
        same(sorted(await take_numbers(split, 20)), list(range(20)), "one consumer gets all")
        same(sorted(await take_numbers(relaxed, 20)), list(range(20)), "out of order allowed")
        found = [[], []]

        async def take(index):
            while len(found[0]) + len(found[1]) < 20:
                try:
                    message = await halves[index].receive(1000)
                except Timeout:
                    continue
                found[index].append(message.partition_key())
                await halves[index].acknowledge(message)

        await asyncio.gather(take(0), take(1))
        true(not set(found[0]) & set(found[1]) and found[0] and found[1], "a key has one consumer: %r" % found)


async def reading(options, topic):
    async with connect(options) as client:
        empty = await client.create_reader(topic, MessageId.earliest)
        same(await empty.has_message_available(), False, "an empty topic")
        ids = await fill(client, topic, 1, 3, 2)
        same(await empty.has_message_available(), True, "no longer empty")
        same(await _read(empty), list(range(6)), "from the beginning")
        for index in range(6):
            for inclusive in (False, True):
                start = ids[index].serialize() if index == 2 else ids[index]
                async with await client.create_reader(
                    topic, start, start_message_id_inclusive=inclusive, reader_name="r%d" % index
                ) as reader:
                    expected = list(range(index + (0 if inclusive else 1), 6))
                    same(await _read(reader), expected, "from %d, inclusive: %s" % (index, inclusive))
        latest = await client.create_reader(topic, MessageId.latest, subscription_role_prefix="role")
        true(latest.subscription_name().startswith("role-reader-") and latest.is_connected(), "its subscription")
        same(await latest.has_message_available(), False, "from the end on")
        with_last = await client.create_reader(topic, MessageId.latest, start_message_id_inclusive=True)
        same(await _read(with_last), [5], "the last message included")
        await fill(client, topic, 2, first=6)
        same(await _read(latest), [6, 7], "what came since")
        await latest.seek(ids[1])
        same(await _read(latest), [2, 3, 4, 5, 6, 7], "sought")
        await latest.seek(1)
        same(await _read(latest), list(range(8)), "sought by time")
        await raises(Timeout, latest.read_next(50))
        found = []
        await latest.seek(ids[3])
        async for message in latest:
            found.append(int(message.data()))
            if len(found) == 4:
                break
        same(found, [4, 5, 6, 7], "async for")
        await latest.close()
        await raises(AlreadyClosed, latest.read_next())


async def _read(reader):
    found = []
    while await reader.has_message_available():
        found.append(int((await reader.read_next(10000)).data()))
    return found


async def coming_back_after_a_lost_link(options, topic):
    async with connect(options) as client:
        ids = await fill(client, topic, 1, 4, 2)
        reader = await client.create_reader(topic, ids[0])
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same(await take_numbers(reader, 2), [1, 2], "before")
        messages = await take_messages(consumer, 3)
        await consumer.acknowledge(messages[0])
        await wait(asyncio.Event(), 300)  # acknowledgements leave within 100 ms
        _cut(consumer, "cut by the test")
        answers = await asyncio.gather(
            consumer.get_last_message_id(), consumer.seek(ids[0]), reader.has_message_available()
        )
        same((answers[0], answers[2]), (ids[-1], True), "asked again on the new link")
        same(await _read(reader), [3, 4, 5, 6], "the reader goes on")
        same(await take_numbers(consumer, 6), [1, 2, 3, 4, 5, 6], "the consumer as sought")
        _cut(consumer, "cut again")
        same(await take_numbers(consumer, 6), [1, 2, 3, 4, 5, 6], "what is unacknowledged comes again")
        await consumer.seek(ids[4])
        _cut(consumer, "and again")
        await consumer.unsubscribe()


def _cut(consumer, why):
    """End the link as a fault of the network would."""
    link = consumer.core.connection.owner
    link.error = PulsarError(why)
    consumer.core.attend()


CHECKS = (
    times_and_batches_of_receiving, cancelled_waits_lose_nothing, listening, acknowledging_by_id_and_entry,
    acknowledging_cumulatively, acknowledging_inside_of_batches, negative_acknowledgements, redelivering_all, seeking,
    last_id_and_unsubscribing, flow_by_hand, sharing, failing_over, sharing_by_key, reading,
    coming_back_after_a_lost_link,
)


async def main(options):
    for check in CHECKS:
        name = check.__name__
        if options.get("only") in (None, name):
            topic = "persistent://public/default/%s-%s" % (options["prefix"], name)
            await asyncio.wait_for(check(options, topic), _CHECK_SECONDS)
            say("check", name=name)
    return len(CHECKS)


run(main)
