"""Partitioned and non-persistent topics, their creation and their schemas, asked of the development broker and of a
real one."""

from typing import Any

import pytest

from tests.integration.both_brokers import AUTO_PARTITIONS, CLOSED, PARTITIONING, Connect, Side, collect_frames
from tests.integration.raw_client import RawClient, message_of, payload_of, single_entry
from tools.devbroker.frames import ServerError, api

EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED = range(4)
SUCCESS = 0
FIRST_VERSION = bytes(8)
SECOND_VERSION = bytes(7) + b"\1"


def partitions(client: RawClient, topic: str, **fields: Any) -> Any:
    """PARTITIONED_METADATA; the number, or the error."""
    answer = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=topic, **fields)
    return answer.partitions if answer.response == SUCCESS else ServerError.Name(answer.error)


# Partitions


def test_partitioned_topic(connect: Connect, side: Side, topic: str) -> None:
    side.create_partitioned_topic(topic, 3)
    client = connect()
    assert partitions(client, topic) == partitions(client, topic, metadata_auto_creation_enabled=False) == 3
    assert partitions(client, topic + "-partition-2") == 0
    assert partitions(client, topic + "-partition-3") == "TopicNotFound"
    assert client.look_up(topic).response == api.CommandLookupTopicResponse.Connect
    assert client.open_producer(topic).error == ServerError.NotAllowedError
    assert client.subscribe(topic).error == ServerError.NotAllowedError
    assert client.open_producer(topic + "-partition-3").error == ServerError.TopicNotFound
    assert client.subscribe(topic + "-partition-3").error == ServerError.TopicNotFound
    client.open_producer(topic + "-partition-2")
    assert client.publish(b"message")[0].message_id.entryId == 0
    client.subscribe(topic + "-partition-2")
    assert message_of(client.messages(1)[0]).message_id.partition == 2


def test_partition_of_a_topic_that_is_not_partitioned(connect: Connect, topic: str) -> None:
    client = connect()
    assert partitions(client, topic + "-partition-0") == 0
    absent = partitions(client, topic + "-partition-0", metadata_auto_creation_enabled=False)
    assert absent == "TopicNotFound"
    assert client.open_producer(topic + "-partition-0").error == ServerError.NotAllowedError
    assert client.subscribe(topic + "-partition-0").error == ServerError.NotAllowedError


def test_topics_are_not_made_where_that_is_off(connect: Connect, topic: str) -> None:
    client, absent = connect(), topic.replace("public/default", CLOSED)
    assert partitions(client, absent) == "TopicNotFound"
    assert client.look_up(absent).response == api.CommandLookupTopicResponse.Connect
    for name in (absent, absent + "-partition-0"):
        assert client.open_producer(name).error == ServerError.TopicNotFound
        assert client.subscribe(name).error == ServerError.TopicNotFound


def test_asking_for_metadata_makes_partitions_where_that_is_on(connect: Connect, topic: str) -> None:
    client, made = connect(), topic.replace("public/default", PARTITIONING)
    assert partitions(client, made, metadata_auto_creation_enabled=False) == "TopicNotFound"
    assert partitions(client, made) == AUTO_PARTITIONS
    assert client.open_producer(made).error == ServerError.NotAllowedError
    client.open_producer(f"{made}-partition-{AUTO_PARTITIONS - 1}")
    assert client.publish(b"message")[0].message_id.entryId == 0
    other = made + "-other"
    client.open_producer(other, producer_id=2)
    assert partitions(client, other) == 0


# Non-persistent topics


@pytest.fixture
def fleeting(topic: str) -> str:
    """A non-persistent topic."""
    return topic.replace("persistent://", "non-persistent://")


def test_messages_nobody_is_ready_for_are_lost(connect: Connect, fleeting: str) -> None:
    sender, receiver = connect(), connect()
    assert partitions(sender, fleeting) == 0
    assert sender.open_producer(fleeting).last_sequence_id == -1
    receipts = sender.publish(b"nobody there")
    receiver.subscribe(fleeting, permits=2)
    receiver.round_trip()
    receipts += sender.publish(b"0", b"1", b"no permit")
    assert receiver.payloads(2) == [b"0", b"1"]
    receiver.flow(1)
    receiver.round_trip()
    receipts += sender.publish(b"2")
    frame = receiver.messages(1)[0]
    message_id = message_of(frame).message_id
    assert (payload_of(frame), message_id.ledgerId, message_id.entryId, message_id.partition) == (b"2", 0, 0, -1)
    # Lost or not, the producer never hears of it.
    assert {(receipt.message_id.ledgerId, receipt.message_id.entryId) for receipt in receipts} == {(0, 0)}


def test_batches_overdraw_permits_there_too(connect: Connect, fleeting: str) -> None:
    sender, receiver = connect(), connect()
    sender.open_producer(fleeting)
    receiver.subscribe(fleeting, permits=2)
    receiver.round_trip()
    sender.publish_batch(b"a", b"b", b"c")
    receiver.flow(1)
    receiver.round_trip()
    sender.publish(b"lost")
    receiver.flow(1)
    receiver.round_trip()
    sender.publish(b"got")
    assert receiver.payloads(2)[1] == b"got"


def test_nothing_can_be_done_about_what_is_past(connect: Connect, fleeting: str) -> None:
    client = connect()
    client.open_producer(fleeting)
    client.subscribe(fleeting)
    client.round_trip()
    client.publish(b"message")
    message_id = message_of(client.messages(1)[0]).message_id
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1)
    assert not client.acknowledge(message_id).HasField("error")
    assert client.request("SEEK", "SUCCESS", consumer_id=1, message_id=message_id).DESCRIPTOR.name == "CommandSuccess"
    last = client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert last.error == ServerError.UnknownError
    assert not client.waiting
    assert client.subscribe(fleeting, consumer_id=2).error == ServerError.ConsumerBusy
    assert client.subscribe(fleeting, consumer_id=3, subType=SHARED).error == ServerError.ConsumerBusy


def test_all_types_there(connect: Connect, fleeting: str) -> None:
    sender, first, second = connect(), connect(), connect()
    sender.open_producer(fleeting)
    for subscription_type in (SHARED, FAILOVER, KEY_SHARED):
        for client in (first, second):
            client.subscribe(
                fleeting,
                consumer_id=subscription_type,
                subscription=f"type-{subscription_type}",
                subType=subscription_type,
                consumer_name="first" if client is first else "second",
            )
    for client in (first, second):
        client.round_trip()
    for number in range(20):
        key = f"key-{number % 10}"
        sender.send_entry(single_entry(key.encode(), number, partition_key=key), sequence_id=number)
        sender.expect("SEND_RECEIPT")
    got: dict[int, list[list[bytes]]] = {SHARED: [[], []], FAILOVER: [[], []], KEY_SHARED: [[], []]}
    for place, frames in enumerate(collect_frames([first, second], 60)):
        for frame in frames:
            got[message_of(frame).consumer_id][place].append(payload_of(frame))
    assert sorted(map(len, got[SHARED])) == [10, 10]
    assert sorted(map(len, got[FAILOVER])) == [0, 20]
    assert not set(got[KEY_SHARED][0]) & set(got[KEY_SHARED][1])


def test_topics_are_listed_by_kind(connect: Connect, topic: str, fleeting: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.open_producer(fleeting, producer_id=2)
    listed = [
        set(
            client.request(
                "GET_TOPICS_OF_NAMESPACE", "GET_TOPICS_OF_NAMESPACE_RESPONSE", namespace="public/default", mode=mode
            ).topics
        )
        & {topic, fleeting}
        for mode in (0, 1, 2)
    ]
    assert listed == [{topic}, {fleeting}, {topic, fleeting}]


# Schemas


def schema(kind: str, data: bytes = b"", name: str = "s") -> Any:
    """A Schema."""
    return api.Schema(name=name, schema_data=data, type=api.Schema.Type.Value(kind))


def record(*names: str) -> bytes:
    """An Avro record of optional integers."""
    fields = ",".join('{"name":"%s","type":["null","int"],"default":null}' % name for name in names)
    return b'{"type":"record","name":"R","fields":[%s]}' % fields.encode()


def get_schema(client: RawClient, topic: str, **fields: Any) -> Any:
    """GET_SCHEMA."""
    return client.request("GET_SCHEMA", "GET_SCHEMA_RESPONSE", topic=topic, **fields)


def test_schema_of_a_producer(connect: Connect, topic: str) -> None:
    client = connect()
    assert client.open_producer(topic, schema=schema("String")).schema_version == FIRST_VERSION
    assert client.open_producer(topic, producer_id=2, schema=schema("String", name="x")).schema_version == FIRST_VERSION
    other = client.open_producer(topic, producer_id=3, schema=schema("Int32"))
    assert other.error == ServerError.IncompatibleSchema
    assert client.open_producer(topic, producer_id=4).schema_version == b""
    repeated = client.request("PRODUCER", "PRODUCER_SUCCESS", topic=topic, producer_id=1)
    assert repeated.schema_version == FIRST_VERSION
    for fields in ({}, {"schema_version": FIRST_VERSION}):
        got = get_schema(client, topic, **fields)
        assert (got.schema.type, got.schema_version) == (api.Schema.Type.Value("String"), FIRST_VERSION)
        assert got.schema.name == topic.removeprefix("persistent://")
    assert get_schema(client, topic, schema_version=SECOND_VERSION).error_code == ServerError.TopicNotFound


def test_definitions_have_versions(connect: Connect, topic: str) -> None:
    client = connect()
    versions = [
        client.open_producer(topic, producer_id=number, schema=schema("Avro", record(*names))).schema_version
        for number, names in enumerate(("a", "ab", "a"))
    ]
    assert versions == [FIRST_VERSION, SECOND_VERSION, FIRST_VERSION]
    assert get_schema(client, topic).schema.schema_data == record("a", "b")
    assert get_schema(client, topic, schema_version=FIRST_VERSION).schema.schema_data == record("a")
    other = client.open_producer(topic, producer_id=9, schema=schema("Json", record("a")))
    assert other.error == ServerError.IncompatibleSchema


def test_get_or_create_schema(connect: Connect, topic: str) -> None:
    client = connect()
    ask = ("GET_OR_CREATE_SCHEMA", "GET_OR_CREATE_SCHEMA_RESPONSE")
    absent = client.request(*ask, topic=topic, schema=schema("String"))
    assert absent.error_code == ServerError.TopicNotFound
    client.open_producer(topic)
    made = client.request(*ask, topic=topic, schema=schema("String"))
    assert (made.HasField("error_code"), made.schema_version) == (False, FIRST_VERSION)
    assert client.request(*ask, topic=topic, schema=schema("String")).schema_version == FIRST_VERSION
    other = client.request(*ask, topic=topic, schema=schema("Int32"))
    assert other.error_code == ServerError.IncompatibleSchema


def test_schema_of_a_consumer(connect: Connect, topic: str) -> None:
    client = connect()
    # The first to use a topic gives it its schema.
    assert client.subscribe(topic, schema=schema("String")).DESCRIPTOR.name == "CommandSuccess"
    assert get_schema(client, topic).schema_version == FIRST_VERSION
    other = client.subscribe(topic, consumer_id=2, subscription="other", schema=schema("Int32"))
    assert other.error == ServerError.IncompatibleSchema
    for consumer_id, kind in ((3, "String"), (4, "AutoConsume")):
        same = client.subscribe(topic, consumer_id=consumer_id, subscription=kind, schema=schema(kind))
        assert same.DESCRIPTOR.name == "CommandSuccess"
    used = topic + "-used"
    client.open_producer(used)
    late = client.subscribe(used, consumer_id=5, schema=schema("String"))
    assert late.error == ServerError.IncompatibleSchema


def test_partitions_share_a_schema(connect: Connect, side: Side, topic: str) -> None:
    side.create_partitioned_topic(topic, 2)
    client = connect()
    client.open_producer(f"{topic}-partition-0", schema=schema("String"))
    other = client.open_producer(f"{topic}-partition-1", producer_id=2, schema=schema("Int32"))
    assert other.error == ServerError.IncompatibleSchema
    assert get_schema(client, topic).schema_version == FIRST_VERSION


def test_names_are_unique_without_being_told(connect: Connect, fleeting: str) -> None:
    client = connect()
    names = {client.open_producer(fleeting, producer_id=number).producer_name for number in range(3)}
    assert len(names) == 3
    held = client.open_producer(fleeting, producer_id=9, producer_name=names.pop())
    assert held.error == ServerError.ProducerBusy
