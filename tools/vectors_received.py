"""The project's own vectors, part 2: every command that a producer, consumer or reader gets."""
from __future__ import annotations

from tools.vectors_sent import MAX, TOPIC, Entry, base_command, command, key_values

SERVER = "Pulsar Server4.2.4"
NONE = {"ledgerId": MAX, "entryId": MAX, "partition": -1, "batch_index": -1}


def connecting() -> list[Entry]:
    """CONNECTED, AUTH_CHALLENGE, ERROR, SUCCESS."""
    return [
        command("connected", "CONNECTED", server_version=SERVER, protocol_version=21, max_message_size=5242880,
                feature_flags={"supports_topic_watchers": True,
                               "supports_get_partitioned_metadata_without_auto_creation": True}),
        command("connected-by-proxy", "CONNECTED", server_version="Pulsar Proxy", protocol_version=19),
        command("connected-with-large-messages", "CONNECTED", server_version=SERVER, protocol_version=20,
                max_message_size=2**27),
        command("auth-refresh-wanted", "AUTH_CHALLENGE", server_version=SERVER, protocol_version=21,
                challenge={"auth_method_name": "token", "auth_data": b"PulsarAuthRefresh".hex()}),
        command("auth-challenge-bare", "AUTH_CHALLENGE"),
        command("refused-before-connected", "ERROR", request_id=MAX, error="AuthenticationError",
                message="Failed to authenticate: token expired"),
        command("refused-with-unicode", "ERROR", request_id=17, error="UnknownError",
                message="schön – 失败 😀\nline 2 \\"),
        command("error-without-text", "ERROR", request_id=2**28, error="ProducerFenced", message=""),
        command("success", "SUCCESS", request_id=14),
        command("success-with-schema", "SUCCESS", request_id=2**21,
                schema={"name": "s", "schema_data": "00", "type": "Avro"}),
        {"name": "success-read-past-fields-of-the-future", "message": "CommandSuccess", "fields": {"request_id": 14},
         "hex": "a00602" "080e" "aa0603616263" "b50601020304" "b9060102030405060708" "80ffffff0f7f",
         "decode_only": True},
        {"name": "success-last-value-wins", "message": "CommandSuccess", "fields": {"request_id": 300},
         "hex": "0801" "08ac02", "decode_only": True},
        {"name": "success-message-before-type", "message": "BaseCommand",
         "fields": base_command("SUCCESS", {"request_id": 14}), "hex": "6a02080e" "080d", "decode_only": True},
        {"name": "success-long-form-of-a-number", "message": "CommandSuccess", "fields": {"request_id": 1},
         "hex": "08818080808000", "decode_only": True},
    ]


def finding() -> list[Entry]:
    """Answers to PARTITIONED_METADATA, LOOKUP, GET_TOPICS_OF_NAMESPACE."""
    return [
        command("partitions-none", "PARTITIONED_METADATA_RESPONSE", partitions=0, request_id=1, response="Success"),
        command("partitions-many", "PARTITIONED_METADATA_RESPONSE", partitions=16384, request_id=127,
                response="Success"),
        command("partitions-refused", "PARTITIONED_METADATA_RESPONSE", request_id=128, response="Failed",
                error="TopicNotFound", message="no such topic"),
        command("lookup-connects", "LOOKUP_RESPONSE", brokerServiceUrl="pulsar://b-1.plant.example:6650",
                brokerServiceUrlTls="pulsar+ssl://b-1.plant.example:6651", response="Connect", request_id=2,
                authoritative=True, proxy_through_service_url=False),
        command("lookup-connects-through-proxy", "LOOKUP_RESPONSE", brokerServiceUrl="pulsar://10.0.0.9:6650",
                response="Connect", request_id=300, authoritative=True, proxy_through_service_url=True),
        command("lookup-redirects", "LOOKUP_RESPONSE", brokerServiceUrlTls="pulsar+ssl://[2001:db8::7]:6651",
                response="Redirect", request_id=2, authoritative=False),
        command("lookup-refused", "LOOKUP_RESPONSE", response="Failed", request_id=2, error="ServiceNotReady",
                message="The namespace bundle is not owned; try again"),
        command("topics-none", "GET_TOPICS_OF_NAMESPACE_RESPONSE", request_id=3),
        command("topics-three", "GET_TOPICS_OF_NAMESPACE_RESPONSE", request_id=4, topics=[TOPIC, "", "persistent://é/中/😀"],
                filtered=True, topics_hash="5f2c", changed=False),
    ]


def producing() -> list[Entry]:
    """Answers to PRODUCER and SEND; CLOSE_PRODUCER and TOPIC_MIGRATED of the broker; schemas."""
    stored = {"ledgerId": 71, "entryId": 5}
    receipt = {"producer_id": 1, "highest_sequence_id": MAX}
    return [
        command("producer-new", "PRODUCER_SUCCESS", request_id=3, producer_name="cluster-a-12-3", last_sequence_id=-1,
                schema_version="", producer_ready=True),
        command("producer-known", "PRODUCER_SUCCESS", request_id=3, producer_name="press-17",
                last_sequence_id=2**56 - 1, schema_version="0000000000000007", topic_epoch=2, producer_ready=True),
        command("producer-queued", "PRODUCER_SUCCESS", request_id=3, producer_name="press-17", last_sequence_id=2**28,
                producer_ready=False),
        command("producer-bare", "PRODUCER_SUCCESS", request_id=128, producer_name="x"),
        command("receipt-first", "SEND_RECEIPT", **receipt, sequence_id=0, message_id=stored),
        command("receipt-high", "SEND_RECEIPT", producer_id=1, sequence_id=2**28, highest_sequence_id=2**28 + 199,
                message_id={"ledgerId": 2**56, "entryId": 2**28}),
        command("receipt-repeated", "SEND_RECEIPT", **receipt, sequence_id=2**56,
                message_id={"ledgerId": MAX, "entryId": MAX}),
        command("receipt-largest", "SEND_RECEIPT", **receipt, sequence_id=MAX,
                message_id={"ledgerId": 2**63, "entryId": 0}),
        command("receipt-bare", "SEND_RECEIPT", producer_id=127, sequence_id=128),
        command("send-refused-checksum", "SEND_ERROR", producer_id=1, sequence_id=209, error="ChecksumError",
                message="Checksum failed on the broker"),
        command("send-refused-text-missing", "SEND_ERROR", producer_id=1, sequence_id=2**28 + 5,
                error="NotAllowedError", message=""),
        command("producer-closed", "CLOSE_PRODUCER", producer_id=1, request_id=MAX),
        command("producer-moved", "CLOSE_PRODUCER", producer_id=1, request_id=MAX,
                assignedBrokerServiceUrl="pulsar://b-2.plant.example:6650",
                assignedBrokerServiceUrlTls="pulsar+ssl://b-2.plant.example:6651"),
        command("producer-migrated", "TOPIC_MIGRATED", resource_id=1, resource_type="Producer",
                brokerServiceUrl="pulsar://other.example:6650", brokerServiceUrlTls="pulsar+ssl://other.example:6651"),
        command("schema-registered", "GET_OR_CREATE_SCHEMA_RESPONSE", request_id=8, schema_version="0000000000000001"),
        command("schema-refused", "GET_OR_CREATE_SCHEMA_RESPONSE", request_id=9, error_code="IncompatibleSchema",
                error_message="type of field x"),
        command("schema-given", "GET_SCHEMA_RESPONSE", request_id=6, schema_version="0000000000000001",
                schema={"name": "reading", "schema_data": "7b7d", "type": "Json",
                        "properties": key_values(unit="K", origin="")}),
        command("schema-none", "GET_SCHEMA_RESPONSE", request_id=7, error_code="TopicNotFound", error_message="none"),
    ]


def consuming() -> list[Entry]:
    """MESSAGE without payload, answers to consumers and events."""
    return [
        command("message-plain", "MESSAGE", consumer_id=2, message_id={"ledgerId": 71, "entryId": 0}),
        command("message-of-partition", "MESSAGE", consumer_id=2,
                message_id={"ledgerId": 2**28, "entryId": 2**56, "partition": 12}, redelivery_count=0),
        command("message-again-half-acknowledged", "MESSAGE", consumer_id=2, redelivery_count=129,
                message_id={"ledgerId": 71, "entryId": 1, "partition": -1}, ack_set=[-2, 2**63 - 1, 1],
                consumer_epoch=2**28),
        {"name": "message-packed-ack-set", "message": "CommandMessage",
         "fields": {"consumer_id": 2, "message_id": {"ledgerId": 71, "entryId": 1}, "ack_set": [-1, 0, 127]},
         "hex": "0802" "120408471001" "220c" "ffffffffffffffffff01" "00" "7f", "decode_only": True},
        {"name": "message-fields-from-last-to-first", "message": "CommandMessage", "decode_only": True,
         "fields": {"consumer_id": 2, "message_id": {"ledgerId": 71, "entryId": 1}, "redelivery_count": 3},
         "hex": "1803" "120410010847" "0802"},
        command("ack-done", "ACK_RESPONSE", consumer_id=2, request_id=10),
        command("ack-failed", "ACK_RESPONSE", consumer_id=2, error="MetadataError", message="cursor",
                request_id=2**28 + 1),
        command("consumer-closed", "CLOSE_CONSUMER", consumer_id=2, request_id=MAX),
        command("consumer-moved", "CLOSE_CONSUMER", consumer_id=2, request_id=MAX,
                assignedBrokerServiceUrl="pulsar://b-2.plant.example:6650"),
        command("consumer-migrated", "TOPIC_MIGRATED", resource_id=2, resource_type="Consumer",
                brokerServiceUrl="pulsar://other.example:6650"),
        command("consumer-active", "ACTIVE_CONSUMER_CHANGE", consumer_id=2, is_active=True),
        command("consumer-passive", "ACTIVE_CONSUMER_CHANGE", consumer_id=2, is_active=False),
        command("topic-ended", "REACHED_END_OF_TOPIC", consumer_id=2),
        command("last-id-in-batch", "GET_LAST_MESSAGE_ID_RESPONSE", request_id=15,
                last_message_id={"ledgerId": 71, "entryId": 9, "partition": 12, "batch_index": 199},
                consumer_mark_delete_position={"ledgerId": 71, "entryId": 2**32}),
        command("last-id-of-empty-topic", "GET_LAST_MESSAGE_ID_RESPONSE", request_id=16, last_message_id=NONE),
        command("statistics", "CONSUMER_STATS_RESPONSE", request_id=18, msgRateOut=0.0, msgThroughputOut=-2.5,
                msgRateRedeliver=1e300, consumerName="c-0", availablePermits=2**28, unackedMessages=0,
                blockedConsumerOnUnackedMsgs=True, address="10.0.0.7:51234", type="Exclusive", msgRateExpired=1 / 3),
    ]


def ids_and_metadata() -> list[Entry]:
    """Message ids and metadata on their own."""
    def message_id(name: str, **fields: int) -> Entry:
        return {"name": f"id-{name}", "message": "MessageIdData", "fields": {"ledgerId": 71, "entryId": 5, **fields}}

    chunk = {"ledgerId": 71, "entryId": 3, "partition": 12}
    return [
        message_id("zero", ledgerId=0, entryId=0),
        message_id("plain"),
        message_id("at-2-to-28", ledgerId=2**28, entryId=2**28 - 1),
        message_id("at-2-to-56", ledgerId=2**56, entryId=2**56 - 1),
        message_id("largest", ledgerId=MAX, entryId=MAX),
        message_id("latest", ledgerId=2**63 - 1, entryId=2**63 - 1),
        message_id("of-partition", partition=12),
        message_id("in-batch", partition=0, batch_index=0),
        message_id("last-of-batch", batch_index=199, batch_size=200),
        {"name": "id-without-partition-or-index", "message": "MessageIdData", "decode_only": True,
         "fields": {"ledgerId": 71, "entryId": 5, "partition": -1, "batch_index": -1, "batch_size": 0},
         "hex": "0847" "1005" "18ffffffffffffffffff01" "20ffffffffffffffffff01" "3000"},
        {"name": "id-of-java", "message": "MessageIdData", "decode_only": True,
         "fields": {"ledgerId": 71, "entryId": 5, "batch_size": 0}, "hex": "084710053000"},
        {"name": "id-of-chunks", "message": "MessageIdData",
         "fields": {**chunk, "entryId": 5, "first_chunk_message_id": chunk}},
        {"name": "metadata-of-all-kinds", "message": "MessageMetadata", "fields": {
            "producer_name": "é中😀", "sequence_id": 2**56, "publish_time": 1767225600123,
            "properties": key_values(a="", Ä="😀", a2="x" * 130), "replicated_from": "cluster-b",
            "partition_key": "AP8=", "replicate_to": ["cluster-c"], "event_time": 2**41,
            "schema_version": "0000000000000007",
            "partition_key_b64_encoded": True, "ordering_key": "00ff", "deliver_at_time": 1767225660000,
            "null_value": False}},
        {"name": "metadata-of-second-chunk", "message": "MessageMetadata", "fields": {
            "producer_name": "press-17", "sequence_id": 9, "publish_time": 1767225600123, "uuid": "press-17-9",
            "num_chunks_from_msg": 3, "total_chunk_msg_size": 2**21, "chunk_id": 1}},
        {"name": "metadata-of-one-in-a-batch", "message": "SingleMessageMetadata", "fields": {
            "properties": key_values(k="v"), "partition_key": "line", "payload_size": 2**21 - 1, "compacted_out": True,
            "event_time": 1767225600123, "partition_key_b64_encoded": False, "ordering_key": "", "sequence_id": 2**28,
            "null_value": True}},
        {"name": "broker-entry", "message": "BrokerEntryMetadata",
         "fields": {"broker_timestamp": 1767225600124, "index": 2**32}},
    ]


def entries() -> list[Entry]:
    """The commands."""
    return connecting() + finding() + producing() + consuming()
