"""Every function that makes a command: Google's protobuf reads from its frame what was meant."""
from __future__ import annotations

import inspect
from typing import Any

import pytest

from mpy_pulsar.wire import commands, consumer_commands, consumer_requests
from mpy_pulsar.wire.writer import message
from tools.pulsar_api import classes

API = classes()
ID = message(1, 1 << 40, 2, 7)
ID_READ = API.MessageIdData(ledgerId=1 << 40, entryId=7)
PROPERTY = (1, "k", 2, "ü")
PROPERTY_READ = API.KeyValue(key="k", value="ü")
VERSION = commands.CLIENT_VERSION
TOPIC = "persistent://public/default/tür"
BIG = (1 << 64) - 1

# What is called, and what BaseCommand's one sub-message must hold.
CASES: list[tuple[bytes, str, Any]] = [
    (commands.connect("none"), "connect", API.CommandConnect(
        client_version=VERSION, protocol_version=21, auth_method_name="none",
        feature_flags=API.FeatureFlags(supports_auth_refresh=True))),
    (commands.connect("token", b"\0secret", "broker:6650"), "connect", API.CommandConnect(
        client_version=VERSION, auth_data=b"\0secret", protocol_version=21, auth_method_name="token",
        proxy_to_broker_url="broker:6650", feature_flags=API.FeatureFlags(supports_auth_refresh=True))),
    (commands.auth_response("token", b""), "authResponse", API.CommandAuthResponse(
        client_version=VERSION, response=API.AuthData(auth_method_name="token", auth_data=b""), protocol_version=21)),
    (commands.partitioned_metadata(TOPIC, BIG), "partitionMetadata", API.CommandPartitionedTopicMetadata(
        topic=TOPIC, request_id=BIG)),
    (commands.partitioned_metadata(TOPIC, 3, False), "partitionMetadata", API.CommandPartitionedTopicMetadata(
        topic=TOPIC, request_id=3, metadata_auto_creation_enabled=False)),
    (commands.lookup(TOPIC, 4), "lookupTopic", API.CommandLookupTopic(
        topic=TOPIC, request_id=4, authoritative=False)),
    (commands.lookup(TOPIC, 4, True, "inner"), "lookupTopic", API.CommandLookupTopic(
        topic=TOPIC, request_id=4, authoritative=True, advertised_listener_name="inner")),
    (commands.producer(TOPIC, 1, 2, None, 0, False), "producer", API.CommandProducer(
        topic=TOPIC, producer_id=1, request_id=2, epoch=0, user_provided_producer_name=False,
        producer_access_mode=API.ProducerAccessMode.Value("Shared"))),
    (commands.producer(TOPIC, 1, 2, "name", 3, True, 2, [PROPERTY, PROPERTY]), "producer", API.CommandProducer(
        topic=TOPIC, producer_id=1, request_id=2, producer_name="name", metadata=[PROPERTY_READ] * 2, epoch=3,
        user_provided_producer_name=True, producer_access_mode=API.ProducerAccessMode.Value("WaitForExclusive"))),
    (commands.producer(TOPIC, 1, 2, "name", 4, False, 3, None, 1 << 40), "producer", API.CommandProducer(
        topic=TOPIC, producer_id=1, request_id=2, producer_name="name", epoch=4, user_provided_producer_name=False,
        producer_access_mode=API.ProducerAccessMode.Value("ExclusiveWithFencing"), topic_epoch=1 << 40)),
    (commands.close(15, 6, 7), "close_producer", API.CommandCloseProducer(producer_id=6, request_id=7)),
    (commands.close(16, 6, 7), "close_consumer", API.CommandCloseConsumer(consumer_id=6, request_id=7)),
    (commands.PING_FRAME, "ping", API.CommandPing()),
    (commands.PONG_FRAME, "pong", API.CommandPong()),
    (consumer_commands.subscribe(TOPIC, "s", 3, 4, 5, initial_position=1, key_shared=(1, 0, 4, True)), "subscribe",
     API.CommandSubscribe(
         topic=TOPIC, subscription="s", subType=API.CommandSubscribe.Key_Shared, consumer_id=4, request_id=5,
         initialPosition=API.CommandSubscribe.Earliest,
         keySharedMeta=API.KeySharedMeta(keySharedMode=API.KeySharedMode.Value("AUTO_SPLIT"),
                                         allowOutOfOrderDelivery=True))),
    (consumer_commands.subscribe(TOPIC, "r", 0, 4, 5, "name", False, ID, [PROPERTY], epoch=9), "subscribe",
     API.CommandSubscribe(
         topic=TOPIC, subscription="r", subType=API.CommandSubscribe.Exclusive, consumer_id=4, request_id=5,
         consumer_name="name", durable=False, start_message_id=ID_READ, metadata=[PROPERTY_READ],
         initialPosition=API.CommandSubscribe.Latest, consumer_epoch=9)),
    (consumer_commands.flow(4, 1000), "flow", API.CommandFlow(consumer_id=4, messagePermits=1000)),
    (consumer_commands.ack(4, [ID, ID], request_id=8), "ack", API.CommandAck(
        consumer_id=4, ack_type=API.CommandAck.Individual, message_id=[ID_READ] * 2, request_id=8)),
    (consumer_commands.ack(4, [ID], True, 3), "ack", API.CommandAck(
        consumer_id=4, ack_type=API.CommandAck.Cumulative, message_id=[ID_READ],
        validation_error=API.CommandAck.BatchDeSerializeError)),
    (consumer_requests.redeliver(4), "redeliverUnacknowledgedMessages",
     API.CommandRedeliverUnacknowledgedMessages(consumer_id=4)),
    (consumer_requests.redeliver(4, [ID, ID], 3), "redeliverUnacknowledgedMessages",
     API.CommandRedeliverUnacknowledgedMessages(consumer_id=4, message_ids=[ID_READ] * 2, consumer_epoch=3)),
    (consumer_requests.seek(4, 5, ID), "seek", API.CommandSeek(consumer_id=4, request_id=5, message_id=ID_READ)),
    (consumer_requests.seek(4, 5, publish_time=1 << 41), "seek", API.CommandSeek(
        consumer_id=4, request_id=5, message_publish_time=1 << 41)),
    (consumer_requests.get_last_message_id(4, 5), "getLastMessageId", API.CommandGetLastMessageId(
        consumer_id=4, request_id=5)),
    (consumer_requests.unsubscribe(4, 5), "unsubscribe", API.CommandUnsubscribe(consumer_id=4, request_id=5)),
    (consumer_requests.get_topics_of_namespace(5, "public/default", 2), "getTopicsOfNamespace",
     API.CommandGetTopicsOfNamespace(request_id=5, namespace="public/default",
                                     mode=API.CommandGetTopicsOfNamespace.ALL)),
    (consumer_requests.get_schema(5, TOPIC), "getSchema", API.CommandGetSchema(request_id=5, topic=TOPIC)),
    (consumer_requests.get_schema(5, TOPIC, bytes(8)), "getSchema", API.CommandGetSchema(
        request_id=5, topic=TOPIC, schema_version=bytes(8))),
    (consumer_requests.get_or_create_schema(5, TOPIC, (1, "s", 3, b"{}", 4, 2, 5, [PROPERTY])), "getOrCreateSchema",
     API.CommandGetOrCreateSchema(request_id=5, topic=TOPIC, schema=API.Schema(
         name="s", schema_data=b"{}", type=API.Schema.Json, properties=[PROPERTY_READ]))),
]


@pytest.mark.parametrize(("frame", "field", "want"), CASES, ids=[f"{case[1]}-{n}" for n, case in enumerate(CASES)])
def test_a_command_is_read_as_it_was_meant(frame: bytes, field: str, want: Any) -> None:
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert int.from_bytes(frame[4:8], "big") == len(frame) - 8
    found = API.BaseCommand.FromString(frame[8:])
    assert [name.name for name, _ in found.ListFields()] == ["type", field]
    assert found.type == API.BaseCommand.DESCRIPTOR.fields_by_name[field].number
    assert getattr(found, field) == want
    assert found.IsInitialized()
    assert frame[8:] == found.SerializeToString(deterministic=True)


def test_every_function_that_makes_a_command_has_its_case() -> None:
    """A new one must be added above: the functions' names stand in this file."""
    text = inspect.getsource(inspect.getmodule(test_every_function_that_makes_a_command_has_its_case))  # type: ignore[arg-type]
    for module in (commands, consumer_commands, consumer_requests):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name not in ("command", "wrap", "key_values"):
                assert f"{module.__name__.rpartition('.')[2]}.{name}(" in text, name
