"""The consumer and reader beside Apache's own client at Pulsar itself.

One broker of its own remembers acknowledgements inside of batches, which a broker by default may not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from mpy_pulsar import (
    AuthenticationToken,
    Client,
    ConsumerKeySharedPolicy,
    ConsumerType,
    InitialPosition,
    KeySharedMode,
    MessageId,
    PulsarError,
    Timeout,
)
from tests.integration.conftest import Place
from tests.integration.runs import fresh_name
from tools.realbroker.standalone import Standalone

Connect = Callable[..., Any]

_MILLISECONDS = 10_000
_NOTHING = 400
_LARGEST = 1 << 20  # bytes of a message; chunks of the usual 5 MiB are too much for the broker's own storage


@pytest.fixture(scope="module")
def remembering_place(real_broker_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A Pulsar that remembers which messages of a batch are acknowledged."""
    key = bytes(range(32))
    directory = tmp_path_factory.mktemp("remembering")
    settings = {"acknowledgmentAtBatchIndexLevelEnabled": "true", "maxMessageSize": _LARGEST}
    with Standalone(directory, token_key=key, configuration=settings) as broker:
        broker.grant("device")
        yield Place(broker.url, broker.token("device"), "")


@contextlib.asynccontextmanager
async def ours(place: Place) -> AsyncIterator[Client]:
    """A client of ours."""
    async with Client(place.url, authentication=AuthenticationToken(place.token)) as client:
        yield client


def fill(client: Any, topic: str, *batches: int, **options: Any) -> list[Any]:
    """Apache's client sends batches of so many numbered messages: their ids."""
    ids: list[Any] = []
    for size in batches:
        producer = client.create_producer(
            topic, batching_enabled=size > 1, batching_max_messages=max(size, 2),
            batching_max_publish_delay_ms=60_000, **options,
        )
        done: list[Any] = []
        start = len(ids)
        for number in range(start, start + size):
            producer.send_async(b"%d" % number, lambda _result, message_id, done=done: done.append(message_id))
        producer.flush()
        producer.close()
        assert len(done) == size
        ids += done
    return ids


async def numbers(consumer: Any, count: int) -> list[int]:
    return [int((await consumer.receive(_MILLISECONDS)).data()) for _ in range(count)]


async def rest(consumer: Any) -> list[int]:
    """All that still comes."""
    found = []
    with contextlib.suppress(Timeout):
        while True:
            found.append(int((await consumer.receive(_NOTHING)).data()))
    return found


def rest_of_apache(consumer: Any, apache: Any) -> list[int]:
    """The same for Apache's client."""
    found = []
    with contextlib.suppress(apache.Timeout):
        while True:
            found.append(int(consumer.receive(_NOTHING).data()))
    return found


@pytest.fixture
def topic() -> str:
    return f"persistent://public/default/{fresh_name('consumer')}"


@pytest.fixture
def client(remembering_place: Place, apache_client: Connect) -> Any:
    """A client of Apache's."""
    return apache_client(remembering_place.url, remembering_place.token)


def test_one_subscription_two_clients_each_goes_on_where_the_other_stopped(
    remembering_place: Place, client: Any, apache: Any, topic: str
) -> None:
    """Acknowledged one by one, inside of batches, cumulatively; by us and by Apache in turn."""
    ids = fill(client, topic, 5, 1, 70, 3)

    async def first() -> None:
        async with ours(remembering_place) as mine, await mine.subscribe(
            topic, "turns", consumer_type=ConsumerType.Shared, initial_position=InitialPosition.Earliest,
            batch_index_ack_enabled=True,
        ) as consumer:  # fmt: skip
            messages = [await consumer.receive(_MILLISECONDS) for _ in range(79)]
            for message, message_id in zip(messages, ids):
                assert (message.message_id().ledger_id(), message.message_id().entry_id(),
                        message.message_id().batch_index()) == (
                            message_id.ledger_id(), message_id.entry_id(), message_id.batch_index())  # fmt: skip
            for index in (0, 3, 5, 6, 75):
                await consumer.acknowledge(messages[index])

    asyncio.run(first())
    consumer = client.subscribe(topic, "turns", apache.ConsumerType.Shared, batch_index_ack_enabled=True)
    messages = [consumer.receive(_MILLISECONDS) for _ in range(74)]
    left = sorted(int(message.data()) for message in messages)
    assert left == [number for number in range(79) if number not in (0, 3, 5, 6, 75)]
    for message in messages:
        if int(message.data()) not in (4, 40, 78):
            consumer.acknowledge(message)
    consumer.close()

    async def second() -> None:
        async with ours(remembering_place) as mine, await mine.subscribe(
            topic, "turns", consumer_type=ConsumerType.Shared, batch_index_ack_enabled=True
        ) as consumer:
            assert sorted(await rest(consumer)) == [4, 40, 78]

    asyncio.run(second())


def test_cumulative_acknowledgements_mean_the_same(
    remembering_place: Place, client: Any, apache: Any, topic: str
) -> None:
    fill(client, topic, 3, 4, 1, 2)
    for upto in (0, 2, 4, 7, 8, 9):

        async def acknowledge(name: str, upto: int = upto) -> None:
            async with ours(remembering_place) as mine, await mine.subscribe(
                topic, name, initial_position=InitialPosition.Earliest
            ) as consumer:
                messages = [await consumer.receive(_MILLISECONDS) for _ in range(10)]
                await consumer.acknowledge_cumulative(messages[upto])

        asyncio.run(acknowledge(f"ours-{upto}"))
        theirs = client.subscribe(topic, f"theirs-{upto}", initial_position=apache.InitialPosition.Earliest)
        messages = [theirs.receive(_MILLISECONDS) for _ in range(10)]
        theirs.acknowledge_cumulative(messages[upto])
        theirs.close()
        found = []
        for name in ("ours", "theirs"):
            consumer = client.subscribe(topic, f"{name}-{upto}")
            found.append(rest_of_apache(consumer, apache))
            consumer.close()
        assert found[0] == found[1], upto


@pytest.mark.parametrize("inclusive", [False, True])
def test_a_seek_leads_to_the_same_place(
    remembering_place: Place, client: Any, apache: Any, topic: str, inclusive: bool
) -> None:
    ids = fill(client, topic, 1, 4, 2)
    theirs = client.subscribe(topic, "theirs", start_message_id_inclusive=inclusive)
    places = [*range(7), "earliest", "latest"]
    expected = []
    for place in places:
        theirs.seek(ids[place] if isinstance(place, int) else getattr(apache.MessageId, str(place)))
        expected.append(rest_of_apache(theirs, apache))

    async def seek() -> list[list[int]]:
        async with ours(remembering_place) as mine, await mine.subscribe(
            topic, "ours", start_message_id_inclusive=inclusive
        ) as consumer:
            found = []
            for place in places:
                await consumer.seek(
                    MessageId.deserialize(ids[place].serialize()) if isinstance(place, int)
                    else getattr(MessageId, str(place))
                )  # fmt: skip
                found.append(await rest(consumer))
            return found

    assert asyncio.run(seek()) == expected


@pytest.mark.parametrize("inclusive", [False, True])
def test_readers_read_the_same(
    remembering_place: Place, client: Any, apache: Any, topic: str, inclusive: bool
) -> None:
    ids = fill(client, topic, 1, 4, 2)
    places = [*range(7), "earliest", "latest"]
    expected = []
    for place in places:
        start = ids[place] if isinstance(place, int) else getattr(apache.MessageId, str(place))
        theirs = client.create_reader(topic, start, start_message_id_inclusive=inclusive)
        seen = []
        while theirs.has_message_available():
            seen.append(int(theirs.read_next(_MILLISECONDS).data()))
        expected.append(seen)
        theirs.close()

    async def read() -> list[list[int]]:
        found = []
        async with ours(remembering_place) as mine:
            for place in places:
                start = ids[place].serialize() if isinstance(place, int) else getattr(MessageId, str(place))
                reader = await mine.create_reader(topic, start, start_message_id_inclusive=inclusive)
                seen = []
                while await reader.has_message_available():
                    seen.append(int((await reader.read_next(_MILLISECONDS)).data()))
                found.append(seen)
                await reader.close()
        return found

    assert asyncio.run(read()) == expected


def test_last_ids_are_the_same(remembering_place: Place, client: Any, apache: Any, topic: str) -> None:
    async def last() -> Any:
        async with ours(remembering_place) as mine, await mine.subscribe(topic, "ours") as consumer:
            return await consumer.get_last_message_id()

    for batches in ((), (1,), (3,)):
        if batches:
            fill(client, topic, *batches)
        theirs = client.subscribe(topic, "theirs")
        mine, expected = asyncio.run(last()), theirs.get_last_message_id()
        assert repr(mine) == str(expected)
        theirs.close()


def test_keys_are_shared_with_apache(remembering_place: Place, client: Any, apache: Any, topic: str) -> None:
    """Sticky ranges, one half ours and one half Apache's; and a split by the broker's own choice."""

    async def share() -> tuple[list[str], list[str]]:
        async with ours(remembering_place) as mine:
            policy = ConsumerKeySharedPolicy(KeySharedMode.Sticky, False, [(0, 16383), (16384, 32767)])
            low = await mine.subscribe(
                topic, "sticky", consumer_type=ConsumerType.KeyShared, key_shared_policy=policy, consumer_name="low"
            )
            theirs = client.subscribe(
                topic, "sticky", apache.ConsumerType.KeyShared,
                key_shared_policy=apache.ConsumerKeySharedPolicy(apache.KeySharedMode.Sticky, False, [(32768, 65535)]),
            )  # fmt: skip
            with pytest.raises(PulsarError, match="[Rr]ange"):
                await mine.subscribe(topic, "sticky", consumer_type=3, key_shared_policy=policy)
            split = await mine.subscribe(topic, "split", consumer_type=ConsumerType.KeyShared)
            producer = client.create_producer(topic, batching_enabled=False)
            for number in range(40):
                producer.send(b"%d" % number, partition_key=f"key{number % 10}")
            producer.close()
            messages = [await split.receive(_MILLISECONDS) for _ in range(40)]
            assert [message.partition_key() for message in messages] == [f"key{number % 10}" for number in range(40)]
            mine_seen = []
            with contextlib.suppress(Timeout):
                while True:
                    mine_seen.append((await low.receive(_NOTHING)).partition_key())
            theirs_seen = []
            with contextlib.suppress(apache.Timeout):
                while True:
                    theirs_seen.append(theirs.receive(_NOTHING).partition_key())
            theirs.close()
            return mine_seen, theirs_seen

    mine_seen, theirs_seen = asyncio.run(share())
    assert mine_seen and theirs_seen and len(mine_seen) + len(theirs_seen) == 40
    assert not set(mine_seen) & set(theirs_seen)


def test_what_we_cannot_read_is_reported_and_left_or_acknowledged(
    remembering_place: Place, client: Any, apache: Any, topic: str
) -> None:
    """Compressed and chunked messages: never delivered as garbage, the others arrive."""
    content = b"x" * 5000
    compressed = client.create_producer(topic, compression_type=apache.CompressionType.ZLib, batching_enabled=False)
    compressed.send(content)
    compressed.close()
    chunked = client.create_producer(topic, batching_enabled=False, chunking_enabled=True)
    chunked.send(b"y" * (_LARGEST + 100_000))
    chunked.close()
    fill(client, topic, 2)
    backlog = {}
    for acknowledge in (False, True):
        errors: list[str] = []

        class Log:
            def warning(self, text: str, errors: list[str] = errors) -> None:
                errors.append(text)

        async def read(name: str, log: Log, acknowledge: bool = acknowledge) -> list[int]:
            token = AuthenticationToken(remembering_place.token)
            async with Client(remembering_place.url, authentication=token, logger=log) as mine, await mine.subscribe(
                topic, name, initial_position=InitialPosition.Earliest, acknowledge_unreadable=acknowledge,
                receiver_queue_size=2,
            ) as consumer:  # fmt: skip
                return await numbers(consumer, 2)

        assert asyncio.run(read(f"unreadable-{acknowledge}", Log())) == [0, 1]
        assert [("compressed" in text, "chunked" in text) for text in errors[:3]] == [
            (True, False), (False, True), (False, True)]  # fmt: skip
        theirs = client.subscribe(topic, f"unreadable-{acknowledge}")
        seen = []
        with contextlib.suppress(apache.Timeout):
            while True:
                seen.append(len(theirs.receive(_NOTHING).data()))
        backlog[acknowledge] = seen
        theirs.close()
    assert backlog == {False: [5000, _LARGEST + 100_000, 1, 1], True: [1, 1]}
