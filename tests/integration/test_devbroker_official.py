"""Apache's own client on the development broker."""

import collections.abc
import concurrent.futures
import importlib
import secrets
import types
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.raw_client import RawClient, batch_entry
from tools.devbroker import DevBrokerThread
from tools.tokens import KEY_BYTES, mint

TOPIC = "persistent://public/default/topic"
RECEIVE_MILLISECONDS = 10_000


@pytest.fixture
def pulsar() -> types.ModuleType:
    """The module of Apache's own Python client."""
    try:
        return importlib.import_module("pulsar")
    except ImportError:
        missing("the official client is not installed here (`pip install pulsar-client`)")


@pytest.fixture
def official(pulsar: types.ModuleType) -> collections.abc.Iterator[collections.abc.Callable[..., Any]]:
    """Makes clients of Apache's own, closed after the test."""
    clients = []

    def connect(url: str, token: str | None = None, seconds: int = 10) -> Any:
        authentication = None if token is None else pulsar.AuthenticationToken(token)
        quiet = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
        clients.append(pulsar.Client(url, authentication, operation_timeout_seconds=seconds, logger=quiet))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.mark.parametrize("batching", [False, True])
@pytest.mark.parametrize("with_token", [False, True])
def test_official_client_sends_and_receives(
    pulsar: types.ModuleType, official: Any, batching: bool, with_token: bool
) -> None:
    key = secrets.token_bytes(KEY_BYTES) if with_token else None
    with DevBrokerThread(token_key=key) as broker:
        client = official(broker.url, mint("device", key, 600) if key else None)
        producer = client.create_producer("topic", batching_enabled=batching, batching_max_publish_delay_ms=1)
        consumer = client.subscribe("topic", "subscription", batch_index_ack_enabled=True)
        for number in range(50):
            producer.send_async(b"%d" % number, None, properties={"number": str(number)}, partition_key="key")
        producer.flush()
        received = [consumer.receive(RECEIVE_MILLISECONDS) for _ in range(50)]
        assert [message.data() for message in received] == [b"%d" % number for number in range(50)]
        assert received[7].properties() == {"number": "7"} and received[7].partition_key() == "key"
        for message in received:
            consumer.acknowledge(message)
        consumer.close()
        subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"])
        entries = broker.call(lambda broker: len(broker.topics[TOPIC].entries))
        assert (entries == 50) is not batching
        broker.wait_until(lambda _: subscription.cursor.acknowledged_before == entries)


def test_official_client_with_a_bad_token_is_refused(
    pulsar: types.ModuleType, official: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with DevBrokerThread(token_key=secrets.token_bytes(KEY_BYTES)) as broker:
        client = official(broker.url, mint("device", secrets.token_bytes(KEY_BYTES)), seconds=1)
        # Apache's client keeps on asking until its time is over, with a real broker as well.
        with pytest.raises(pulsar.Timeout):
            client.create_producer("topic")
        assert broker.call(lambda broker: broker.topics) == {}
    assert any("InvalidSignatureError" in record.message for record in caplog.records)


def test_official_client_seeks_reads_and_unsubscribes(
    pulsar: types.ModuleType, official: Any, broker: DevBrokerThread
) -> None:
    client = official(broker.url)
    producer = client.create_producer("topic", batching_enabled=False)
    sent = [producer.send(b"%d" % number) for number in range(5)]
    consumer = client.subscribe("topic", "subscription", initial_position=pulsar.InitialPosition.Earliest)
    assert [consumer.receive(RECEIVE_MILLISECONDS).data() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    consumer.seek(sent[2])  # Apache's client goes on after the id it was given.
    assert consumer.receive(RECEIVE_MILLISECONDS).data() == b"3"
    consumer.redeliver_unacknowledged_messages()
    assert consumer.get_last_message_id() == sent[4]
    reader = client.create_reader("topic", sent[1])
    assert reader.read_next(RECEIVE_MILLISECONDS).data() == b"2"
    assert reader.has_message_available()
    consumer.unsubscribe()
    reader.close()
    broker.wait_until(lambda broker: not broker.topics[TOPIC].subscriptions)


def test_official_client_shares_a_subscription_and_rejects(
    pulsar: types.ModuleType, official: Any, broker: DevBrokerThread
) -> None:
    client = official(broker.url)
    consumers = [
        client.subscribe(
            "topic", "shared", consumer_type=pulsar.ConsumerType.Shared, negative_ack_redelivery_delay_ms=100
        )
        for _ in range(2)
    ]
    producer = client.create_producer("topic", batching_enabled=False)
    for number in range(4):
        producer.send(b"%d" % number)
    rejected = consumers[0].receive(RECEIVE_MILLISECONDS)
    consumers[0].negative_acknowledge(rejected)
    others = [consumers[0].receive(RECEIVE_MILLISECONDS)] + [
        consumers[1].receive(RECEIVE_MILLISECONDS) for _ in range(2)
    ]
    assert {message.data() for message in [rejected, *others]} == {b"0", b"1", b"2", b"3"}
    broker.wait_until(
        lambda broker: any(broker.topics[TOPIC].subscriptions["shared"].redelivery_counts.values())
    )


def test_official_client_carries_on_after_a_restart(official: Any, broker: DevBrokerThread) -> None:
    client = official(broker.url)
    producer = client.create_producer("topic")
    consumer = client.subscribe("topic", "subscription")
    producer.send(b"before")
    before = consumer.receive(RECEIVE_MILLISECONDS)
    consumer.acknowledge(before)
    broker.wait_until(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].cursor.acknowledged_before)
    broker.restart()
    producer.send(b"after")
    after = consumer.receive(RECEIVE_MILLISECONDS)
    assert after.data() == b"after"
    assert after.message_id().ledger_id() > before.message_id().ledger_id()


def test_hundred_thousand_messages_in_large_batches(official: Any, broker: DevBrokerThread) -> None:
    entry = batch_entry((b"x" * 100,) * 1000)
    with RawClient(broker.url) as sender:
        sender.open_producer(TOPIC)
        for number in range(100):
            sender.send_entry(entry, sequence_id=1000 * number, num_messages=1000)
        assert [sender.expect("SEND_RECEIPT").message_id.entryId for _ in range(100)] == list(range(100))
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 100_000
    with RawClient(broker.url) as receiver:
        receiver.subscribe(TOPIC, permits=100_000)
        assert all(frame.payload == entry for frame in receiver.messages(100))


def test_official_client_shares_by_key(pulsar: types.ModuleType, official: Any, broker: DevBrokerThread) -> None:
    client = official(broker.url)
    consumers = [
        client.subscribe("topic", "keys", consumer_type=pulsar.ConsumerType.KeyShared, consumer_name=name)
        for name in ("first", "second")
    ]
    producer = client.create_producer(
        "topic", batching_enabled=True, batching_type=pulsar.BatchingType.KeyBased, batching_max_publish_delay_ms=5
    )
    for number in range(60):
        producer.send_async(b"%d" % number, None, partition_key=f"key-{number % 6}")
    producer.flush()
    subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["keys"])
    numbers: dict[str, list[int]] = {}
    keys: list[set[str]] = [set(), set()]
    while sum(map(len, numbers.values())) < 60:
        for consumer, its_keys in zip(consumers, keys, strict=True):
            try:
                message = consumer.receive(50)
            except pulsar.Timeout:
                continue
            its_keys.add(message.partition_key())
            numbers.setdefault(message.partition_key(), []).append(int(message.data()))
            consumer.acknowledge(message)
    assert keys[0] and keys[1] and not keys[0] & keys[1]
    assert numbers == {f"key-{key}": list(range(key, 60, 6)) for key in range(6)}
    broker.wait_until(lambda broker: subscription.cursor.acknowledged_before == len(broker.topics[TOPIC].entries))


def test_official_client_on_a_partitioned_topic(
    pulsar: types.ModuleType, official: Any, broker: DevBrokerThread
) -> None:
    broker.call(lambda broker: broker.create_partitioned_topic("parted", 3))
    client = official(broker.url)
    assert client.get_topic_partitions("parted") == [f"{TOPIC[:-5]}parted-partition-{index}" for index in range(3)]
    consumer = client.subscribe("parted", "subscription")
    producer = client.create_producer("parted", schema=pulsar.schema.StringSchema())
    for number in range(9):
        producer.send(str(number), partition_key=str(number))
    received = [consumer.receive(RECEIVE_MILLISECONDS) for _ in range(9)]
    assert {message.data() for message in received} == {b"%d" % number for number in range(9)}
    assert len({message.topic_name() for message in received}) > 1
    with pytest.raises(pulsar.IncompatibleSchema):
        client.create_producer("parted", schema=pulsar.schema.JsonSchema(_record(pulsar)))


def _record(pulsar: types.ModuleType) -> Any:
    class Reading(pulsar.schema.Record):
        """A record of one field."""

        field = pulsar.schema.Integer()

    return Reading


def test_official_client_waits_for_its_turn(pulsar: types.ModuleType, official: Any, broker: DevBrokerThread) -> None:
    holder = official(broker.url).create_producer("topic", access_mode=pulsar.ProducerAccessMode.Exclusive)
    client = official(broker.url)
    with pytest.raises(pulsar.ProducerFenced):
        client.create_producer("topic", access_mode=pulsar.ProducerAccessMode.Exclusive)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            client.create_producer, "topic", access_mode=pulsar.ProducerAccessMode.WaitForExclusive
        )
        broker.wait_until(lambda broker: broker.topics[TOPIC].admission.waiting)
        holder.close()
        assert waiting.result(10).send(b"mine").entry_id() == 0


def test_official_client_on_a_topic_that_stores_nothing(official: Any, broker: DevBrokerThread) -> None:
    client = official(broker.url)
    consumer = client.subscribe("non-persistent://public/default/fleeting", "subscription")
    producer = client.create_producer("non-persistent://public/default/fleeting")
    broker.wait_until(lambda broker: any(session.consumers for session in broker.sessions))
    producer.send(b"message")
    assert consumer.receive(RECEIVE_MILLISECONDS).data() == b"message"
