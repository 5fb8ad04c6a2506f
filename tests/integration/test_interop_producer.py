"""Every field of `send` and every option of `create_producer`, beside Apache's own client at Pulsar itself."""

import asyncio
import base64
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from mpy_pulsar import (
    AuthenticationToken,
    Client,
    ConnectError,
    MessageTooBig,
    ProducerAccessMode,
    PulsarError,
    QueueFull,
    Timeout,
)
from tests.integration.conftest import Place
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tests.integration.test_interop import place_of, read_all
from tools.realbroker.standalone import Standalone

Connect = Callable[..., Any]

_READ_MILLISECONDS = 20_000
_SECONDS = 60
_EVENT_TIME = 1_700_000_000_123
_MAX_MESSAGE = 5 << 20
_FENCED = 25
_DELAY_TICK = 1.0  # seconds by which a broker may deliver too early


def _topic() -> str:
    return f"persistent://public/default/{fresh_name('producer')}"


def _client(place: Place, **options: Any) -> Client:
    return Client(place.url, authentication=AuthenticationToken(place.token), **options)


def _run(work: Awaitable[Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, _SECONDS))


# Fields, from every interpreter


@pytest.fixture(scope="module")
def field_senders(real_place: Place) -> Iterator[dict[str, tuple[Program, str]]]:
    """Every interpreter sends all fields to a topic of its own."""
    with SideBySide() as programs:
        sent = {}
        for runtime in everyone():
            topic = _topic()
            options = {"url": real_place.url, "token": real_place.token, "topic": topic}
            sent[runtime.name] = programs.start(runtime, "send_fields", options), topic
        yield sent


def _seen(message: Any) -> tuple[Any, ...]:
    return (
        message.data(), message.partition_key(), message.ordering_key(), message.properties(),
        message.event_timestamp(), message.has_null_value(),
    )  # fmt: skip


def _binary(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_apache_reads_every_field(
    runtime: str, field_senders: dict[str, tuple[Program, str]], real_place: Place, apache: Any, apache_client: Connect
) -> None:
    program, topic = field_senders[runtime]
    program.finish()
    messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
    plain: tuple[Any, ...] = ("", "", {}, 0, False)
    once = [
        (b"bare", *plain),
        (b"binary key", _binary(b"\x00\xff\xfe"), "", {}, 0, False),
        (b"text keys", "key", "order", {}, 0, False),
        (b"", "key", "", {}, 0, True),
        (b"", "key", "", {}, 0, False),
        (b"all", "k", "\x01\x02", {"a": "b"}, _EVENT_TIME, False),
        (b"deliver at", _binary(b"bin"), "", {"a": "b"}, 0, False),
        (b"deliver after", "", "o", {}, _EVENT_TIME, False),
        *[(content, *plain) for content in (b"own id", b"one", b"two", b"three", b"from irq", b"nowait")],
    ]
    assert [_seen(message) for message in messages] == once * 2
    said = program.of_kind("sent")
    with_id = [message for message in messages if message.data() not in (b"from irq", b"nowait")]
    places = [place_of(message.message_id()) for message in with_id]
    assert [(one["ledger"], one["entry"], one["index"]) for one in said] == [(a, b, d) for a, b, _, d in places]
    half = len(messages) // 2
    indexes = [place_of(message.message_id())[3] for message in messages]
    assert indexes[half:] == [-1] * half, "batching off: each alone"
    assert indexes[:half] == [0, 0, 0, 0, 0, 0, -1, -1, -1, 0, 1, 2, 0, 0]
    names = [message.producer_name() for message in messages]
    assert names == [record["name"] for record in program.of_kind("producer") for _ in range(half)]


def test_keys_are_dealt_out_as_of_apache_s_own_client(real_place: Place, apache: Any, apache_client: Connect) -> None:
    """Key_Shared: a key's messages go to one consumer, whichever client has sent them, batched or not."""
    topic = _topic()
    client = apache_client(real_place.url, real_place.token)
    consumers = [client.subscribe(topic, "shared", apache.ConsumerType.KeyShared) for _ in range(3)]
    keys = [f"key-{number}" for number in range(12)]
    theirs = client.create_producer(topic, batching_enabled=False)

    async def ours(batching: bool) -> None:
        async with _client(real_place) as mine:
            producer = await mine.create_producer(topic, batching_enabled=batching)
            for key in keys:
                await producer.send(b"ours", partition_key=key)

    for key in keys:
        theirs.send(b"theirs", partition_key=key)
    for batching in (True, False):
        _run(ours(batching))
    where: dict[str, set[int]] = {key: set() for key in keys}
    count = 0
    while count < 3 * len(keys):
        for number, consumer in enumerate(consumers):
            try:
                message = consumer.receive(200)
            except apache.Timeout:
                continue
            consumer.acknowledge(message)
            where[message.partition_key()].add(number)
            count += 1
    assert {len(places) for places in where.values()} == {1}
    assert len(set.union(*where.values())) > 1


def test_a_delay_is_kept_for_a_shared_subscription(real_place: Place, apache: Any, apache_client: Connect) -> None:
    topic = _topic()
    consumer = apache_client(real_place.url, real_place.token).subscribe(topic, "late", apache.ConsumerType.Shared)

    async def send() -> None:
        async with _client(real_place) as client:
            producer = await client.create_producer(topic)
            await asyncio.gather(
                producer.send(b"after", deliver_after=timedelta(seconds=4)),
                producer.send(b"at", deliver_at=int(time.time() * 1000) + 3000),
                producer.send(b"at once"),
            )

    started = time.time()
    _run(send())
    seen = {}
    for _ in range(3):
        message = consumer.receive(_READ_MILLISECONDS)
        seen[message.data()] = time.time() - started
    # Which of the two late ones comes first is the broker's ticks' affair.
    assert list(seen)[0] == b"at once" and set(seen) == {b"at once", b"at", b"after"}
    assert seen[b"after"] >= 4 - _DELAY_TICK and seen[b"at"] >= 3 - _DELAY_TICK


# Sequence ids and deduplication


def test_ids_of_its_own_are_weeded_out_where_the_broker_had_them(
    real_broker: Standalone, apache: Any, apache_client: Connect, real_place: Place
) -> None:
    namespace = f"public/{fresh_name('dedup')}"
    real_broker.rest("PUT", f"/admin/v2/namespaces/{namespace}").expect(204)
    real_broker.rest("POST", f"/admin/v2/namespaces/{namespace}/deduplication", True).expect(204)
    real_broker.grant("device", namespace)
    topic = f"persistent://{namespace}/t"

    async def session(ids: list[int], before: int) -> list[str]:
        async with _client(real_place) as client:
            producer = await client.create_producer(topic, producer_name="same")
            assert producer.last_sequence_id() == before
            told = [repr(await producer.send(b"%d" % number, sequence_id=number)) for number in ids]
            assert producer.last_sequence_id() == max(ids)
            with pytest.raises(ValueError, match="rise"):
                await producer.send(b"again", sequence_id=max(ids))
            return told

    assert "(-1,-1,-1,-1)" not in _run(session([3, 5], -1))
    told = _run(session([3, 5, 8], 5))
    assert told[:2] == ["(-1,-1,-1,-1)"] * 2 != told[2]
    messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
    assert [message.data() for message in messages] == [b"3", b"5", b"8"]


# Options


async def _send_for_ever(producer: Any) -> None:
    while True:
        await producer.send(b"x")


def test_access_modes_beside_apache_s_client(real_place: Place, apache: Any, apache_client: Connect) -> None:
    theirs = apache_client(real_place.url, real_place.token)

    async def exclusive() -> None:
        topic = _topic()
        async with _client(real_place, operation_timeout_seconds=3) as client:
            first = await client.create_producer(topic, access_mode=ProducerAccessMode.Exclusive)
            await first.send(b"first")
            with pytest.raises(PulsarError) as refused:
                await client.create_producer(topic, access_mode=ProducerAccessMode.Exclusive)
            assert refused.value.error() == _FENCED
            waits = asyncio.create_task(
                client.create_producer(topic, access_mode=ProducerAccessMode.WaitForExclusive)
            )
            # Longer than any step of an opening may take.
            assert not (await asyncio.wait([waits], timeout=5))[0]
            await first.close()
            second = await waits
            await second.send(b"second")
            await second.close()
            held = await client.create_producer(topic, access_mode=ProducerAccessMode.Exclusive)
            await held.send(b"held")
            loop = asyncio.get_running_loop()
            fencing = await loop.run_in_executor(
                None, lambda: theirs.create_producer(topic, access_mode=apache.ProducerAccessMode.ExclusiveWithFencing)
            )
            with pytest.raises(PulsarError) as fenced:
                await _send_for_ever(held)
            assert fenced.value.error() == _FENCED
            third = await client.create_producer(topic, access_mode=ProducerAccessMode.ExclusiveWithFencing)
            await third.send(b"third")
            with pytest.raises(apache.PulsarException):
                await loop.run_in_executor(None, fencing.send, b"y")

    _run(exclusive())


def test_the_largest_messages_pass_whatever_the_buffer(
    real_place: Place, apache: Any, apache_client: Connect
) -> None:
    topic = _topic()
    contents = [b"before", bytes(_MAX_MESSAGE - 2000), b"between", b"\x01" * 300_000, b"after"]

    async def send() -> None:
        async with _client(real_place) as client:
            producer = await client.create_producer(topic, send_buffer_size=4096)
            with pytest.raises(MessageTooBig):
                await producer.send(bytes(_MAX_MESSAGE))
            with pytest.raises(MessageTooBig):
                producer.send_nowait(bytes(_MAX_MESSAGE))
            with pytest.raises(MessageTooBig):
                await producer.send(bytes(_MAX_MESSAGE - 2000), properties={"k": "v" * 3000})
            await asyncio.gather(*[producer.send(content) for content in contents])
            assert producer.last_sequence_id() == len(contents) - 1

    _run(send())
    messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
    assert [message.data() for message in messages] == contents


def test_a_full_queue_blocks_or_raises(real_place: Place, apache: Any, apache_client: Connect) -> None:
    topic = _topic()

    async def send() -> int:
        async with _client(real_place) as client:
            refuses = await client.create_producer(topic, max_pending_messages=5, block_if_queue_full=False)
            outcomes = await asyncio.gather(*[refuses.send(b"x") for _ in range(20)], return_exceptions=True)
            refused = [one for one in outcomes if isinstance(one, QueueFull)]
            assert 0 < len(refused) == 20 - len([one for one in outcomes if not isinstance(one, Exception)])
            blocks = await client.create_producer(topic, max_pending_messages=5)
            await asyncio.gather(*[blocks.send(b"%d" % number) for number in range(200)])
            return 20 - len(refused)

    taken = _run(send())
    messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
    assert [message.data() for message in messages][taken:] == [b"%d" % number for number in range(200)]


def test_batches_by_count_bytes_and_delay(real_place: Place, apache: Any, apache_client: Connect) -> None:
    async def send(topic: str, count: int, **options: Any) -> None:
        async with _client(real_place) as client:
            producer = await client.create_producer(topic, batching_max_publish_delay_ms=300, **options)
            for number in range(count):
                producer.send_nowait(b"%09d" % number)
            await producer.flush()

    for options, sizes in (
        ({"batching_max_messages": 4}, [4, 4, 2]),
        ({"batching_max_allowed_size_in_bytes": 60}, [3, 3, 3, 1]),
        ({}, [10]),
    ):
        topic = _topic()
        _run(send(topic, 10, **options))
        messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
        assert [message.data() for message in messages] == [b"%09d" % number for number in range(10)]
        entries = [message.message_id().entry_id() for message in messages]
        assert [entries.count(entry) for entry in sorted(set(entries))] == sizes


def test_from_another_thread(real_place: Place, apache: Any, apache_client: Connect) -> None:
    topic = _topic()

    async def send() -> None:
        async with _client(real_place) as client:
            producer = await client.create_producer(topic, irq_slots=100, irq_bytes=10)
            thread = threading.Thread(target=lambda: [producer.from_irq(b"%d" % number) for number in range(100)])
            thread.start()
            while producer.last_sequence_id() < 99:
                await asyncio.sleep(0.01)
            thread.join()

    _run(send())
    messages = read_all(apache_client(real_place.url, real_place.token), apache.MessageId.earliest, topic)
    assert [message.data() for message in messages] == [b"%d" % number for number in range(100)]


def test_a_send_timeout_needs_a_producer_that_was_opened(silent_url: str) -> None:
    """No broker at all: opening fails first, and says so."""

    async def open_it() -> None:
        async with Client(silent_url, operation_timeout_seconds=1) as client:
            await client.create_producer("t", send_timeout_millis=100)

    with pytest.raises((Timeout, ConnectError)):
        _run(open_it())
