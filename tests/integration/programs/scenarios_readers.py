"""Scenarios of readers: from where they start, what they know of what is left, and how they go elsewhere."""
import asyncio

from program import raises, same, true
from scenario import COMES_MILLIS, EARLIEST, cut, fill, numbers

from mpy_pulsar import AlreadyClosed, MessageId, Timeout
from mpy_pulsar.net.stream import wait


async def _read(reader):
    """All there is."""
    found = []
    while await reader.has_message_available():
        found.append(int((await reader.read_next(COMES_MILLIS)).data()))
    return found


def _damage(reader, entries):
    """Whenever one of these entries comes to the reader, its last byte changes: the list of those that came."""
    arrive = reader.core.on_message
    came = []

    def on_message(buffer, command, pos, end):
        entry = MessageId(command.bytes(buffer, 2)).entry_id()
        if entry in entries:
            came.append(entry)
            buffer[end - 1] ^= 1
        arrive(buffer, command, pos, end)

    reader.core.on_message = on_message
    return came


async def reading_from_the_beginning(place, topic):
    async with place.connect() as client:
        reader = await client.create_reader(topic, MessageId.earliest, receiver_queue_size=2)
        same(await reader.has_message_available(), False, "an empty topic")
        await fill(client, topic, 1, 3, 2)
        same(await reader.has_message_available(), True, "no longer empty")
        same(await _read(reader), list(range(6)), "from the beginning")
        await raises(Timeout, reader.read_next(50))
        waiting = asyncio.create_task(reader.read_next())
        await fill(client, topic, 1, first=6)
        same((await waiting).data(), b"6", "what comes while it waits")
        same(await reader.has_message_available(), False, "all read")


async def reading_from_an_id(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 3, 2)
        for index in range(6):
            for inclusive in (False, True):
                start = ids[index].serialize() if index & 1 else ids[index]
                async with await client.create_reader(
                    topic, start, start_message_id_inclusive=inclusive, reader_name="r%d" % index
                ) as reader:
                    expected = list(range(index + (0 if inclusive else 1), 6))
                    same(await _read(reader), expected, "from %d, inclusive: %s" % (index, inclusive))
        await raises(ValueError, client.create_reader(topic, "1"))


async def reading_from_the_end(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 1, 3, 2)
        reader = await client.create_reader(topic, MessageId.latest, subscription_role_prefix="role")
        true(reader.subscription_name().startswith("role-reader-") and reader.is_connected(), "its subscription")
        same(await reader.has_message_available(), False, "from the end on")
        with_last = await client.create_reader(topic, MessageId.latest, start_message_id_inclusive=True)
        same(await _read(with_last), [5], "the last message included")
        await fill(client, topic, 2, first=6)
        same(await _read(reader), [6, 7], "what came since")


async def a_reader_seeks(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 3)
        await wait(asyncio.Event(), 50)  # publish times are in milliseconds
        ids += await fill(client, topic, 2, 1, first=4)
        reader = await client.create_reader(topic, MessageId.latest)
        await reader.seek(ids[1])
        message = await reader.read_next(COMES_MILLIS)
        same(message.data(), b"2", "sought in a batch")
        same(await _read(reader), [3, 4, 5, 6], "the rest")
        await reader.seek(1)
        found = []
        async for message in reader:
            found.append(int(message.data()))
            if len(found) == 5:
                break
        same(found, [0, 1, 2, 3, 4], "sought by time")
        late = message.publish_timestamp()
        same(await _read(reader), [5, 6], "what the loop left")
        await reader.seek(late)
        same(await _read(reader), [4, 5, 6], "sought by a time in between")
        await reader.seek(MessageId.latest)
        same(await reader.has_message_available(), False, "sought the end")
        await reader.seek(MessageId.earliest)
        same(await _read(reader), list(range(7)), "sought the beginning")
        await reader.close()
        await raises(AlreadyClosed, reader.read_next())


async def a_reader_leaves_nothing_behind(place, topic):
    async with place.connect() as client:
        await fill(client, topic, 2, 1)
        reader = await client.create_reader(topic, MessageId.earliest)
        other = await client.create_reader(topic, MessageId.earliest)
        true(reader.subscription_name() != other.subscription_name(), "readers do not share a place")
        same(await _read(reader), [0, 1, 2], "the one")
        same(await _read(other), [0, 1, 2], "the other")
        consumer = await client.subscribe(topic, "all", **EARLIEST)
        same(await numbers(consumer, 3), [0, 1, 2], "a consumer beside them")


async def a_reader_goes_on_after_a_lost_link(place, topic):
    async with place.connect() as client:
        ids = await fill(client, topic, 1, 4, 2)
        reader = await client.create_reader(topic, ids[0])
        for expected in (b"1", b"2"):
            same((await reader.read_next(COMES_MILLIS)).data(), expected, "before")
        cut(reader, "cut by the scenario")
        same(await reader.has_message_available(), True, "asked again on the new link")
        same(await _read(reader), [3, 4, 5, 6], "it goes on where it was, in a batch")
        await reader.seek(1)
        cut(reader, "cut before anything came of a seek")
        same(await _read(reader), list(range(7)), "it goes on where it sought")


async def a_reader_goes_on_behind_damaged_batches(place, topic):
    told = asyncio.Event()

    def hear(_):
        told.set()

    async with place.connect(on_error=hear) as client:
        reader = await client.create_reader(topic, MessageId.earliest)
        came = _damage(reader, (1, 4))
        await fill(client, topic, 1)
        same(await _read(reader), [0], "before the damage")
        # The broker would begin with the entry that it is told; the one behind this is not there yet.
        await fill(client, topic, 3, first=1)
        await asyncio.wait_for(told.wait(), COMES_MILLIS / 1000)
        same(await reader.has_message_available(), False, "what is damaged is not to be read")
        await fill(client, topic, 2, first=4)
        same(await _read(reader), [4, 5], "behind the damage")
        await fill(client, topic, 1, 2, 1, first=6)
        same(await _read(reader), [6, 9], "on both sides of it")
        cut(reader, "cut by the scenario")
        same(await reader.has_message_available(), False, "nothing comes again")
        await fill(client, topic, 1, first=10)
        same(await _read(reader), [10], "the end")
        same(came, [1, 4], "each damaged batch came once")


SCENARIOS = (
    reading_from_the_beginning, reading_from_an_id, reading_from_the_end, a_reader_seeks,
    a_reader_leaves_nothing_behind, a_reader_goes_on_after_a_lost_link,
    a_reader_goes_on_behind_damaged_batches,
)
