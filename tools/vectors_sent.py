"""The project's own vectors, part 1: every command that a producer, consumer or reader sends."""
from __future__ import annotations

from typing import Any

from tools import pulsar_api

Entry = dict[str, Any]

TOPIC = "persistent://plant/line-7/press"
READER_TOPIC = "non-persistent://plant/line-7/events-partition-12"
MAX = 2**64 - 1
EARLIEST = {"ledgerId": MAX, "entryId": MAX}
LATEST = {"ledgerId": 2**63 - 1, "entryId": 2**63 - 1}
CLIENT = "mpy_pulsar-0.1"
FLAGS = {"supports_auth_refresh": True}


def base_command(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of the BaseCommand of a type, such as "PING"."""
    number = pulsar_api.enum_values("BaseCommand.Type")[kind]
    table = pulsar_api.table()["messages"]["BaseCommand"]["fields"]
    return {"type": kind, next(field["name"] for field in table if field["number"] == number): fields}


def command(name: str, kind: str, **fields: Any) -> Entry:
    """An entry that is a command without its frame."""
    return {"name": name, "message": "BaseCommand", "fields": base_command(kind, fields)}


def key_values(**pairs: str) -> list[dict[str, str]]:
    """A list of KeyValue."""
    return [{"key": key, "value": value} for key, value in pairs.items()]


def connecting() -> list[Entry]:
    """CONNECT, AUTH_RESPONSE, PING, PONG."""
    connect = {"client_version": CLIENT, "protocol_version": 21, "feature_flags": FLAGS}
    return [
        command("connect-plain", "CONNECT", **connect, auth_method_name="none"),
        command("connect-token", "CONNECT", **connect, auth_method_name="token",
                auth_data=b"eyJhbGciOiJub25lIn0.e30.".hex()),
        command("connect-token-empty", "CONNECT", **connect, auth_method_name="token", auth_data=""),
        command("connect-token-127-bytes", "CONNECT", **connect, auth_method_name="token", auth_data="2a" * 127),
        command("connect-token-128-bytes", "CONNECT", **connect, auth_method_name="token", auth_data="2b" * 128),
        command("connect-token-900-bytes", "CONNECT", **connect, auth_method_name="token", auth_data="00ff80" * 300),
        command("connect-behind-proxy", "CONNECT", **connect, auth_method_name="basic",
                auth_data=b"anna:pass:word".hex(), proxy_to_broker_url="broker-3.plant.example:6650"),
        command("connect-old-server", "CONNECT", client_version="x", protocol_version=0),
        command("auth-answer", "AUTH_RESPONSE", client_version=CLIENT, protocol_version=21,
                response={"auth_method_name": "token", "auth_data": b"second.token.here".hex()}),
        command("auth-answer-empty", "AUTH_RESPONSE", client_version=CLIENT, protocol_version=21,
                response={"auth_method_name": "tls", "auth_data": ""}),
        command("ping", "PING"),
        command("pong", "PONG"),
    ]


def finding() -> list[Entry]:
    """PARTITIONED_METADATA, LOOKUP, GET_TOPICS_OF_NAMESPACE."""
    return [
        command("partitions-of-topic", "PARTITIONED_METADATA", topic=TOPIC, request_id=1),
        command("partitions-without-creating", "PARTITIONED_METADATA", topic=TOPIC, request_id=127,
                metadata_auto_creation_enabled=False),
        command("partitions-creating", "PARTITIONED_METADATA", topic="persistent://é/中/😀", request_id=128,
                metadata_auto_creation_enabled=True),
        command("lookup-first", "LOOKUP", topic=TOPIC, request_id=2, authoritative=False),
        command("lookup-redirected", "LOOKUP", topic=READER_TOPIC, request_id=16384, authoritative=True),
        command("lookup-of-listener", "LOOKUP", topic=TOPIC, request_id=2**21, authoritative=False,
                advertised_listener_name="außen"),
        command("topics-persistent", "GET_TOPICS_OF_NAMESPACE", request_id=3, namespace="plant/line-7",
                mode="PERSISTENT"),
        command("topics-of-all-kinds", "GET_TOPICS_OF_NAMESPACE", request_id=4, namespace="plant/line-7", mode="ALL"),
        command("topics-by-default", "GET_TOPICS_OF_NAMESPACE", request_id=5, namespace="plant/line-7"),
    ]


def producing() -> list[Entry]:
    """PRODUCER, SEND without payload, CLOSE_PRODUCER, schemas."""
    opened = {"topic": TOPIC, "producer_id": 1, "request_id": 3, "epoch": 0}
    schema = {"name": "reading", "schema_data": b'{"type":"record","name":"R","fields":[]}'.hex(), "type": "Json",
              "properties": key_values(unit="K", origin="")}
    return [
        command("producer-unnamed", "PRODUCER", **opened, user_provided_producer_name=False,
                producer_access_mode="Shared"),
        command("producer-named", "PRODUCER", **{**opened, "epoch": 1}, producer_name="press-17",
                user_provided_producer_name=True, producer_access_mode="Shared"),
        command("producer-name-of-64-bytes", "PRODUCER", **opened, producer_name="é中😀é-" * 5 + "1234",
                user_provided_producer_name=True, producer_access_mode="Exclusive"),
        command("producer-waits-with-properties", "PRODUCER", **{**opened, "epoch": 300},
                metadata=key_values(firmware="1.25", Ort="Süd"), user_provided_producer_name=False,
                producer_access_mode="WaitForExclusive"),
        command("producer-reopened-with-epoch", "PRODUCER", **opened, producer_name="p", topic_epoch=2**56,
                user_provided_producer_name=True, producer_access_mode="ExclusiveWithFencing",
                initial_subscription_name="keeper", schema=schema),
        *[command(f"producer-fences-in-epoch-{epoch}", "PRODUCER", **{**opened, "epoch": 2}, producer_name="press-17",
                  user_provided_producer_name=False, producer_access_mode="ExclusiveWithFencing", topic_epoch=epoch)
          for epoch in (0, 1, 2**28, 2**56)],
        command("send-one", "SEND", producer_id=0, sequence_id=0),
        command("send-of-batch", "SEND", producer_id=129, sequence_id=2**28 - 1, num_messages=200,
                highest_sequence_id=2**28 + 198),
        command("send-last-chunk", "SEND", producer_id=3, sequence_id=2**56, is_chunk=True),
        command("close-producer", "CLOSE_PRODUCER", producer_id=1, request_id=2**28),
        command("get-newest-schema", "GET_SCHEMA", request_id=6, topic=TOPIC),
        command("get-schema-of-version", "GET_SCHEMA", request_id=7, topic=TOPIC, schema_version="00000000000000ff"),
        command("register-schema", "GET_OR_CREATE_SCHEMA", request_id=8, topic=TOPIC, schema=schema),
        command("register-primitive-schema", "GET_OR_CREATE_SCHEMA", request_id=9, topic=TOPIC,
                schema={"name": "", "schema_data": "", "type": "Int64"}),
    ]


def consuming() -> list[Entry]:
    """SUBSCRIBE, FLOW, UNSUBSCRIBE, CLOSE_CONSUMER."""
    opened = {"topic": TOPIC, "subscription": "audit", "consumer_id": 2, "request_id": 4}
    ranges = [{"start": 0, "end": 0}, {"start": 127, "end": 128}, {"start": 16383, "end": 65535}]
    return [
        command("subscribe-exclusive", "SUBSCRIBE", **opened, subType="Exclusive", initialPosition="Latest"),
        command("subscribe-shared-earliest", "SUBSCRIBE", **opened, subType="Shared", consumer_name="c-0",
                durable=True, initialPosition="Earliest", metadata=key_values(site="B", empty="")),
        command("subscribe-failover-epoch", "SUBSCRIBE", **opened, subType="Failover", initialPosition="Latest",
                consumer_epoch=2**28),
        command("subscribe-sticky", "SUBSCRIBE", **opened, subType="Key_Shared", initialPosition="Latest",
                keySharedMeta={"keySharedMode": "STICKY", "hashRanges": ranges}),
        command("subscribe-auto-split", "SUBSCRIBE", **opened, subType="Key_Shared", initialPosition="Latest",
                keySharedMeta={"keySharedMode": "AUTO_SPLIT", "allowOutOfOrderDelivery": True}),
        command("subscribe-reader-from-start", "SUBSCRIBE", **{**opened, "subscription": "reader-9f86d08188"},
                subType="Exclusive", durable=False, start_message_id=EARLIEST, initialPosition="Latest"),
        command("subscribe-reader-from-id", "SUBSCRIBE", **{**opened, "subscription": "reader-4c7d659a2f"},
                subType="Exclusive", consumer_name="", durable=False, initialPosition="Latest",
                start_message_id={"ledgerId": 2**28, "entryId": 2**56, "partition": 12, "batch_index": 3}),
        command("subscribe-with-all-else", "SUBSCRIBE", **opened, subType="Shared", priority_level=-1, durable=True,
                read_compacted=True, schema={"name": "s", "schema_data": "", "type": "String"},
                initialPosition="Earliest", replicate_subscription_state=True, force_topic_creation=False,
                start_message_rollback_duration_sec=3600, subscription_properties=key_values(a="b", c="d")),
        command("flow-one", "FLOW", consumer_id=2, messagePermits=1),
        command("flow-many", "FLOW", consumer_id=200, messagePermits=2**31),
        command("flow-all", "FLOW", consumer_id=2, messagePermits=2**32 - 1),
        command("unsubscribe", "UNSUBSCRIBE", consumer_id=2, request_id=300),
        command("close-consumer", "CLOSE_CONSUMER", consumer_id=2, request_id=301),
    ]


def acknowledging() -> list[Entry]:
    """ACK, REDELIVER_UNACKNOWLEDGED_MESSAGES, SEEK, GET_LAST_MESSAGE_ID."""
    one = {"ledgerId": 71, "entryId": 5}
    two = {"ledgerId": 2**31, "entryId": 2**32, "partition": 12}
    return [
        command("ack-one", "ACK", consumer_id=2, ack_type="Individual", message_id=[one]),
        command("ack-of-three-with-answer", "ACK", consumer_id=2, ack_type="Individual",
                message_id=[one, two, {"ledgerId": 0, "entryId": 0, "partition": -1}], request_id=10),
        command("ack-up-to", "ACK", consumer_id=2, ack_type="Cumulative", message_id=[two]),
        command("ack-part-of-batch", "ACK", consumer_id=2, ack_type="Individual", request_id=2**28 + 1,
                message_id=[{**one, "ack_set": [-1, 2**63 - 1, -(2**63), 1], "batch_size": 200}]),
        command("ack-up-to-part-of-batch", "ACK", consumer_id=2, ack_type="Cumulative",
                message_id=[{**two, "ack_set": [6]}]),
        *[command(f"ack-given-up-{number}", "ACK", consumer_id=2, ack_type="Individual", message_id=[one],
                  validation_error=error)
          for number, error in enumerate(pulsar_api.enum_values("CommandAck.ValidationError"))],
        command("redeliver-three", "REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=2,
                message_ids=[one, two, {"ledgerId": MAX, "entryId": 0}]),
        command("redeliver-all", "REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=2),
        command("redeliver-all-next-epoch", "REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=2, consumer_epoch=4),
        command("seek-to-id", "SEEK", consumer_id=2, request_id=11, message_id=two),
        command("seek-into-batch", "SEEK", consumer_id=2, request_id=12,
                message_id={**one, "batch_index": 1, "ack_set": [-2], "batch_size": 64}),
        command("seek-to-latest", "SEEK", consumer_id=2, request_id=13, message_id=LATEST),
        command("seek-to-time", "SEEK", consumer_id=2, request_id=14, message_publish_time=1767225600123),
        command("last-message-id", "GET_LAST_MESSAGE_ID", consumer_id=2, request_id=15),
    ]


def entries() -> list[Entry]:
    """All of them."""
    return connecting() + finding() + producing() + consuming() + acknowledging()
