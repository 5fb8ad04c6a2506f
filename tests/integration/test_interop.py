"""What the twin and MicroPython send, Apache's own client reads, and the reverse: every field of every message."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.integration.conftest import Place
from tests.integration.programs import corpus
from tests.integration.runs import Program, Record, SideBySide, everyone, fresh_name

Connect = Callable[..., Any]

_READ_MILLISECONDS = 20_000
# As long as contents are that receive_corpus shows as they are; of longer ones it shows the SHA-256.
_SHOWN = 300


class Sent(NamedTuple):
    """A program that sends, the topic it sends to, and when it was started (ms since 1970)."""

    program: Program
    topic: str
    started: float


class Produced(NamedTuple):
    """A topic as Apache's client has filled it and reads it, and the programs that receive it, by interpreter."""

    topic: str
    expected: list[Record]
    programs: dict[str, Program]


# From us to Apache's client


def senders(place: Place) -> Iterator[dict[str, Sent]]:
    """Every interpreter sends the corpus to a topic of its own."""
    with SideBySide() as programs:
        sent = {}
        for runtime in everyone():
            topic = f"persistent://public/default/{fresh_name('interop')}"
            options = {"url": place.url, "token": place.token, "topic": topic}
            started = time.time() * 1000
            sent[runtime.name] = Sent(programs.start(runtime, "send_corpus", options), topic, started)
        yield sent


@pytest.fixture(scope="module")
def dev_senders(dev_place: Place) -> Iterator[dict[str, Sent]]:
    """At the development broker."""
    yield from senders(dev_place)


@pytest.fixture(scope="module")
def real_senders(real_place: Place) -> Iterator[dict[str, Sent]]:
    """At Pulsar itself."""
    yield from senders(real_place)


def read_all(client: Any, start: Any, topic: str) -> list[Any]:
    """All messages of a topic, read by Apache's client."""
    reader = client.create_reader(topic, start)
    messages = []
    while reader.has_message_available():
        messages.append(reader.read_next(_READ_MILLISECONDS))
    reader.close()
    return messages


def place_of(message_id: Any) -> tuple[int, int, int, int]:
    """(ledger, entry, partition, batch index) of an id of Apache's client."""
    return message_id.ledger_id(), message_id.entry_id(), message_id.partition(), message_id.batch_index()


def carried(message: Any) -> dict[str, Any]:
    """What a message of Apache's client carries, under the names that `send` takes."""
    return {
        "content": message.data(),
        "properties": message.properties(),
        "partition_key": message.partition_key(),
        "ordering_key": message.ordering_key(),
        "event_timestamp": message.event_timestamp(),
    }


def to_be_carried(content: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    nothing = {"properties": {}, "partition_key": "", "ordering_key": "", "event_timestamp": 0}
    return {"content": content, **nothing, **fields}


def check_sent(sent: Sent, client: Any, apache: Any) -> None:
    sent.program.finish()
    ended = time.time() * 1000
    messages = read_all(client, apache.MessageId.earliest, sent.topic)
    rich = corpus.messages()
    bare: list[tuple[bytes, dict[str, Any]]] = [(content, {}) for content in corpus.bare_messages()]
    expected = [to_be_carried(*message) for message in [*rich, *rich, *bare, (corpus.END, {})]]
    assert [carried(message) for message in messages] == expected
    (producer,) = sent.program.of_kind("producer")
    for message in messages:
        assert message.producer_name() == producer["name"]
        assert message.topic_name() == sent.topic
        assert message.redelivery_count() == 0
        # A board knows the time in whole seconds when it starts.
        assert sent.started - 1000 <= message.publish_timestamp() <= ended
    check_ids(sent, messages, apache)


def check_ids(sent: Sent, messages: list[Any], apache: Any) -> None:
    """The ids that `send` returned are those that Apache's client sees, in both directions of serialization."""
    rich = len(corpus.messages())
    with_id = [*messages[:2 * rich], messages[-1]]
    said = sent.program.of_kind("sent")
    assert len(said) == len(with_id)
    for record, message in zip(said, with_id):
        seen = message.message_id()
        assert (record["ledger"], record["entry"], record["partition"], record["index"]) == place_of(seen)
        assert place_of(apache.MessageId.deserialize(bytes.fromhex(record["serialized"]))) == place_of(seen)
    assert [record["index"] for record in said[:rich]] == [0] * rich, "awaited one by one, each is an entry of its own"
    together = {record["entry"] for record in said[rich:2 * rich]}
    assert len(together) < rich, "sent at once, they share entries"
    numbers = [place_of(message.message_id()) for message in messages]
    assert numbers == sorted(set(numbers)), "the order of the topic is that of sending"


def test_apache_reads_from_the_development_broker_what_we_sent(
    runtime: str, dev_senders: dict[str, Sent], dev_place: Place, apache: Any, apache_client: Connect
) -> None:
    check_sent(dev_senders[runtime], apache_client(dev_place.url, dev_place.token), apache)


def test_apache_reads_from_pulsar_itself_what_we_sent(
    runtime: str, real_senders: dict[str, Sent], real_place: Place, apache: Any, apache_client: Connect
) -> None:
    check_sent(real_senders[runtime], apache_client(real_place.url, real_place.token), apache)


# From Apache's client to us


class Receipts:
    """Counts the acknowledgements of send_async, which arrive in a thread of Apache's client."""

    def __init__(self, apache: Any, expected: int) -> None:
        self._fine = apache.Result.Ok
        self._left = expected
        self._done = threading.Event()
        self._problems: list[Any] = []

    def __call__(self, result: Any, _message_id: Any) -> None:
        """One message has its receipt."""
        if result != self._fine:
            self._problems.append(result)
        self._left -= 1
        if not self._left:
            self._done.set()

    def wait(self) -> None:
        """Until all have; AssertionError where one was refused."""
        assert self._done.wait(30), f"{self._left} messages without a receipt"
        assert not self._problems


def produce(client: Any, apache: Any, topic: str) -> list[int]:
    """Fill a topic with the corpus, unbatched and batched, and its end; the sequence ids to be seen."""
    rich = corpus.messages()
    single = client.create_producer(topic, batching_enabled=False)
    for content, fields in rich:
        single.send(content, **fields)
    batched = client.create_producer(
        topic, batching_enabled=True, batching_max_publish_delay_ms=200, batching_max_messages=500,
        max_pending_messages=2000,
    )
    bare: list[tuple[bytes, dict[str, Any]]] = [(content, {}) for content in corpus.bare_messages()]
    receipts = Receipts(apache, len(rich) + len(bare))
    for content, fields in [*rich, *bare]:
        batched.send_async(content, receipts, **fields)
    batched.flush()
    receipts.wait()
    batched.send(corpus.END)
    return [*range(len(rich)), *range(len(rich) + len(bare) + 1)]


def described(message: Any, sequence_id: int) -> Record:
    """A message of Apache's client in the words of receive_corpus, but for `serialized` and `place`."""
    content = message.data()
    shown = content if len(content) <= _SHOWN else hashlib.sha256(content).digest()
    ledger, entry, partition, index = place_of(message.message_id())
    return {
        **carried(message), "kind": "received", "size": len(content), "content": shown.hex(),
        "publish_timestamp": message.publish_timestamp(), "producer_name": message.producer_name(),
        "topic_name": message.topic_name(), "redelivery_count": 0, "sequence_id": sequence_id, "null": False,
        "ledger": ledger, "entry": entry, "partition": partition, "index": index, "schema_version": "",
    }  # fmt: skip


def receivers(place: Place, apache: Any, apache_client: Connect) -> Iterator[Produced]:
    """Every interpreter receives the same topic, which Apache's client has filled."""
    client = apache_client(place.url, place.token)
    topic = f"persistent://public/default/{fresh_name('interop')}"
    sequence_ids = produce(client, apache, topic)
    messages = read_all(client, apache.MessageId.earliest, topic)
    assert len(messages) == len(sequence_ids)
    expected = [described(*pair) for pair in zip(messages, sequence_ids)]
    with SideBySide() as programs:
        options = {"url": place.url, "token": place.token, "topic": topic}
        yield Produced(topic, expected, {
            runtime.name: programs.start(runtime, "receive_corpus", {**options, "subscription": runtime.name})
            for runtime in everyone()
        })  # fmt: skip


@pytest.fixture(scope="module")
def dev_receivers(dev_place: Place, apache: Any, apache_client: Connect) -> Iterator[Produced]:
    """At the development broker."""
    yield from receivers(dev_place, apache, apache_client)


@pytest.fixture(scope="module")
def real_receivers(real_place: Place, apache: Any, apache_client: Connect) -> Iterator[Produced]:
    """At Pulsar itself."""
    yield from receivers(real_place, apache, apache_client)


def check_received(produced: Produced, runtime: str, apache: Any) -> None:
    program = produced.programs[runtime]
    program.finish()
    received = program.of_kind("received")
    places = [record.pop("place") for record in received]
    serialized = [bytes.fromhex(record.pop("serialized")) for record in received]
    assert received == produced.expected
    for data, record in zip(serialized, received):
        expected = (record["ledger"], record["entry"], record["partition"], record["index"])
        assert place_of(apache.MessageId.deserialize(data)) == expected
    rich = len(corpus.messages())
    assert [record["index"] for record in received[:rich]] == [-1] * rich, "the first are unbatched"
    assert max(record["index"] for record in received) > rich, "the rest is in batches"
    for place, record, following in zip(places, received, [*received[1:], {}]):
        ends = following.get("entry") != record["entry"]
        if record["index"] > 0:
            assert place == ("last" if ends else "intermediate")
        else:
            assert place == ("single" if ends else "first")


def test_we_receive_from_the_development_broker_what_apache_sent(
    runtime: str, dev_receivers: Produced, apache: Any
) -> None:
    check_received(dev_receivers, runtime, apache)


def test_we_receive_from_pulsar_itself_what_apache_sent(runtime: str, real_receivers: Produced, apache: Any) -> None:
    check_received(real_receivers, runtime, apache)
