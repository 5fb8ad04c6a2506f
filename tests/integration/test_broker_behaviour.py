"""What clients rely on, asked of the development broker and of a real one: both have to pass the same tests."""

from typing import Any

import pytest

from tests.integration.both_brokers import Connect, Side, expect_beside, ids
from tests.integration.raw_client import (
    LATEST,
    NO_ID,
    batch_entry,
    message_metadata,
    message_of,
    payload_of,
    single_entry,
)
from tools.devbroker.frames import ServerError, api, build_entry

SubType = api.CommandSubscribe
SINGLE_ACTIVE = [SubType.Exclusive, SubType.Failover]
ALL_TYPES = [*SINGLE_ACTIVE, SubType.Shared]


@pytest.mark.parametrize(("asked", "answered"), [(0, 0), (20, 20), (21, 21), (99, 21)])
def test_protocol_version_is_the_lower_of_both(
    connect: Connect, side: Side, asked: int, answered: int
) -> None:
    connected = connect(handshake=False).connect(side.token, protocol_version=asked)
    assert connected.protocol_version == answered
    assert connected.max_message_size == 5242880


def test_bad_token_gets_an_error_then_the_end(connect: Connect) -> None:
    client = connect(handshake=False)
    error = client.connect("rubbish")
    assert (error.request_id, error.error) == (NO_ID, ServerError.AuthenticationError)
    assert error.message == "Failed to authenticate"
    assert client.wait_closed() == []


def test_lookup_and_metadata(connect: Connect, topic: str) -> None:
    client = connect()
    found = client.look_up(topic)
    assert found.response == api.CommandLookupTopicResponse.Connect
    assert found.authoritative and found.proxy_through_service_url and found.brokerServiceUrl.startswith("pulsar://")
    metadata = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=topic)
    assert metadata.response == api.CommandPartitionedTopicMetadataResponse.Success
    assert metadata.HasField("partitions") and metadata.partitions == 0


@pytest.mark.parametrize(
    ("name", "code"),
    [("two/parts", ServerError.InvalidTopicName), ("persistent://public/absent/t", ServerError.TopicNotFound)],
)
def test_names_no_broker_serves(connect: Connect, name: str, code: int) -> None:
    client = connect()
    found = client.look_up(name)
    assert (found.response, found.error) == (api.CommandLookupTopicResponse.Failed, code)


def test_absent_topics_are_not_created_against_the_clients_will(connect: Connect, topic: str) -> None:
    client = connect()
    metadata = client.request(
        "PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=topic, metadata_auto_creation_enabled=False
    )
    assert (metadata.response, metadata.error) == (1, ServerError.TopicNotFound)
    assert client.subscribe(topic, force_topic_creation=False).error == ServerError.TopicNotFound
    schema = client.request("GET_SCHEMA", "GET_SCHEMA_RESPONSE", topic=topic)
    assert schema.error_code == ServerError.TopicNotFound


def test_receipts_echo_the_ids_of_send(connect: Connect, topic: str) -> None:
    client = connect()
    opened = client.open_producer(topic)
    assert opened.producer_name and opened.last_sequence_id == -1 and opened.producer_ready
    (first,) = client.publish(b"one", first_sequence_id=7)
    batch = client.publish_batch(b"two", b"three", b"four", first_sequence_id=8)
    assert (first.sequence_id, first.message_id.entryId) == (7, 0)
    assert first.highest_sequence_id in (0, NO_ID)  # The real broker answers either.
    assert (batch.sequence_id, batch.highest_sequence_id, batch.message_id.entryId) == (8, 10, 1)
    assert batch.message_id.ledgerId == first.message_id.ledgerId


def test_entries_come_back_as_they_were_sent(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    properties = [api.KeyValue(key="k", value="v")]
    entries = [
        single_entry(b"checked"),
        single_entry(b"unchecked", checksum=False),
        batch_entry((b"a", b"", b"c")),
        build_entry(message_metadata(partition_key="key", properties=properties, null_value=True), b""),
    ]
    for entry in entries:
        client.send_entry(entry)
        client.expect("SEND_RECEIPT")
    client.subscribe(topic)
    assert [frame.payload for frame in client.messages(4)] == entries


def test_wrong_checksum_is_refused_and_the_link_lives_on(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    broken = bytearray(batch_entry((b"a", b"b", b"c"), 4))
    broken[-1] ^= 1
    client.send_entry(bytes(broken), sequence_id=4, num_messages=3, highest_sequence_id=6)
    refusal = client.expect("SEND_ERROR", "SEND_RECEIPT")
    assert (refusal.sequence_id, refusal.error) == (6, ServerError.ChecksumError)
    assert client.publish(b"good")[0].message_id.entryId == 0


def test_send_for_an_unknown_producer_closes_the_link(connect: Connect) -> None:
    client = connect()
    client.send_entry(single_entry(b"lost"), producer_id=9)
    assert client.wait_closed() == []


def test_frame_above_the_limit_closes_the_link(connect: Connect) -> None:
    client = connect()
    client.socket.sendall((5242880 + 10240 - 3).to_bytes(4, "big"))
    assert client.wait_closed() == []


def test_names_and_exclusive_places_are_held_by_one_live_link(connect: Connect, topic: str) -> None:
    holder, newcomer = connect(), connect()
    holder.open_producer(topic, producer_name="name")
    holder.subscribe(topic)
    newcomer.look_up(topic)
    for kind, fields, code in (
        ("PRODUCER", {"producer_name": "name", "producer_id": 1}, ServerError.ProducerBusy),
        ("SUBSCRIBE", {"subscription": "subscription", "subType": 0, "consumer_id": 1}, ServerError.ConsumerBusy),
    ):
        newcomer.send(kind, topic=topic, request_id=77, **fields)
        assert expect_beside(newcomer, holder, "ERROR").error == code
    shared = holder.subscribe(topic, consumer_id=2, subType=SubType.Shared)
    assert shared.error == ServerError.ConsumerBusy


def test_closing_frees_the_name(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic, producer_name="name")
    assert client.open_producer(topic, producer_name="name", producer_id=2).error == ServerError.ProducerBusy
    assert client.request("CLOSE_PRODUCER", "SUCCESS", producer_id=1).DESCRIPTOR.name == "CommandSuccess"
    assert client.open_producer(topic, producer_name="name", producer_id=2).producer_name == "name"


def test_exclusive_producer_fences_others(connect: Connect, topic: str) -> None:
    client = connect()
    exclusive = api.ProducerAccessMode.Value("Exclusive")
    assert client.open_producer(topic, producer_access_mode=exclusive).topic_epoch == 0
    assert client.open_producer(topic, producer_id=2).error == ServerError.ProducerBusy
    second = client.open_producer(topic, producer_id=3, producer_access_mode=exclusive)
    assert second.error == ServerError.ProducerFenced


def test_flow_before_success_is_dropped(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"message")
    client.flow(1)
    client.subscribe(topic, permits=0)
    client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert not client.waiting
    client.flow(1)
    assert client.payloads(1) == [b"message"]


def test_permits_go_negative_by_whole_batches(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    for first in (0, 2, 4):
        client.publish_batch(b"a", b"b", first_sequence_id=first)
    client.subscribe(topic, permits=1)
    assert ids(client, 1)[0].entryId == 0
    client.flow(1)
    client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert not client.waiting
    client.flow(1)
    assert ids(client, 1)[0].entryId == 1


def test_permits_do_not_bound_what_comes_at_once(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    for first in range(0, 50, 10):
        client.publish_batch(*[b"x"] * 10, first_sequence_id=first)
    client.subscribe(topic, permits=3)
    assert [message_id.entryId for message_id in ids(client, 3)] == [0, 1, 2]
    client.flow(28)
    assert [message_id.entryId for message_id in ids(client, 1)] == [3]
    client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert not client.waiting


def test_new_subscription_starts_where_it_was_told(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"before")
    client.subscribe(topic, consumer_id=1, subscription="earliest")
    client.subscribe(topic, consumer_id=2, subscription="latest", initialPosition=SubType.Latest)
    client.publish(b"after")
    got = [(message_of(frame).consumer_id, payload_of(frame)) for frame in client.messages(3)]
    assert sorted(got) == [(1, b"after"), (1, b"before"), (2, b"after")]


@pytest.mark.parametrize("subscription_type", ALL_TYPES)
def test_unacknowledged_come_again_after_the_link_was_lost(
    connect: Connect, topic: str, subscription_type: int
) -> None:
    sender, first = connect(), connect()
    sender.open_producer(topic)
    sender.publish(b"0", b"1", b"2", b"3")
    first.subscribe(topic, subType=subscription_type)
    got = ids(first, 4)
    first.acknowledge(got[0], got[2])
    first.close()
    second = connect()
    second.subscribe(topic, subType=subscription_type)
    messages = [message_of(frame) for frame in second.messages(2)]
    assert [(message.message_id.entryId, message.redelivery_count) for message in messages] == [(1, 0), (3, 0)]


@pytest.mark.parametrize("subscription_type", SINGLE_ACTIVE)
def test_cumulative_acknowledgement(connect: Connect, topic: str, subscription_type: int) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1", b"2")
    client.publish_batch(b"3", b"4", b"5", first_sequence_id=3)
    client.subscribe(topic, subType=subscription_type)
    got = ids(client, 4)
    assert not client.acknowledge(got[1], cumulative=True).HasField("error")
    answer = client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert (answer.last_message_id.entryId, answer.last_message_id.batch_index) == (3, 2)
    assert answer.consumer_mark_delete_position.entryId == 1
    half = api.MessageIdData(ledgerId=got[3].ledgerId, entryId=3, ack_set=[0b100], batch_size=3)
    client.acknowledge(half, cumulative=True)
    client.request("CLOSE_CONSUMER", "SUCCESS", consumer_id=1)
    client.subscribe(topic, subType=subscription_type)
    (message,) = (message_of(frame) for frame in client.messages(1))
    assert (message.message_id.entryId, list(message.ack_set)) == (3, [0b100])


def test_messages_of_a_batch_are_acknowledged_one_by_one(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish_batch(b"a", b"b", b"c")
    client.publish(b"d", first_sequence_id=3)
    client.subscribe(topic, permits=4)
    batch, _single = ids(client, 2)
    for left in (0b110, 0b101):
        client.acknowledge(api.MessageIdData(ledgerId=batch.ledgerId, entryId=0, ack_set=[left], batch_size=3))
    client.request("CLOSE_CONSUMER", "SUCCESS", consumer_id=1)
    # One message of the batch is left and costs one permit; the other permit is for the single message.
    client.subscribe(topic, permits=2)
    messages = [message_of(frame) for frame in client.messages(2)]
    assert [(message.message_id.entryId, list(message.ack_set)) for message in messages] == [(0, [0b100]), (1, [])]
    client.acknowledge(api.MessageIdData(ledgerId=batch.ledgerId, entryId=0, ack_set=[0b011], batch_size=3))
    client.request("CLOSE_CONSUMER", "SUCCESS", consumer_id=1)
    client.subscribe(topic)
    assert [message_id.entryId for message_id in ids(client, 1)] == [1]


@pytest.mark.parametrize("subscription_type", ALL_TYPES)
def test_redelivery_of_all(connect: Connect, topic: str, subscription_type: int) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1", b"2")
    client.subscribe(topic, subType=subscription_type)
    client.acknowledge(ids(client, 3)[1])
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1)
    messages = [message_of(frame) for frame in client.messages(2)]
    count = 1 if subscription_type == SubType.Shared else 0
    assert [(message.message_id.entryId, message.redelivery_count) for message in messages] == [(0, count), (2, count)]


def test_redelivery_by_id_is_for_shared_only(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1", b"2")
    client.subscribe(topic, consumer_id=1, subscription="shared", subType=SubType.Shared)
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1, message_ids=[ids(client, 3)[1]])
    (again,) = (message_of(frame) for frame in client.messages(1))
    assert (again.message_id.entryId, again.redelivery_count) == (1, 1)
    client.subscribe(topic, consumer_id=2, subscription="exclusive")
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=2, message_ids=[ids(client, 3)[1]])
    assert [message_id.entryId for message_id in ids(client, 3)] == [0, 1, 2]


def test_redelivery_with_an_epoch_marks_what_follows(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0")
    client.subscribe(topic, consumer_epoch=4)
    assert message_of(client.messages(1)[0]).consumer_epoch == 4
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1, consumer_epoch=5)
    assert message_of(client.messages(1)[0]).consumer_epoch == 5


def test_shared_consumers_get_each_message_once(connect: Connect, topic: str) -> None:
    sender, first, second = connect(), connect(), connect()
    sender.open_producer(topic)
    first.subscribe(topic, subType=SubType.Shared, permits=2)
    second.subscribe(topic, subType=SubType.Shared, permits=2)
    sender.publish(b"0", b"1", b"2", b"3")
    assert sorted(first.payloads(2) + second.payloads(2)) == [b"0", b"1", b"2", b"3"]
    first.close()
    second.flow(10)
    assert len(second.payloads(2)) == 2


def test_failover_passes_to_the_next(connect: Connect, topic: str) -> None:
    sender, first, second = connect(), connect(), connect()
    sender.open_producer(topic)
    first.subscribe(topic, subType=SubType.Failover, consumer_name="a")
    assert first.expect("ACTIVE_CONSUMER_CHANGE").is_active
    second.subscribe(topic, subType=SubType.Failover, consumer_name="b", priority_level=1)
    assert not second.expect("ACTIVE_CONSUMER_CHANGE").is_active
    sender.publish(b"0", b"1")
    first.acknowledge(ids(first, 2)[0])
    first.close()
    assert second.payloads(1) == [b"1"]


def test_seek_closes_the_consumer_first(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1", b"2")
    client.subscribe(topic)
    got = ids(client, 3)
    client.acknowledge(got[2], cumulative=True)
    client.send("SEEK", consumer_id=1, request_id=1000, message_id=got[1])
    closed = client.expect("CLOSE_CONSUMER", "SUCCESS")
    assert (closed.DESCRIPTOR.name, closed.request_id, closed.consumer_id) == ("CommandCloseConsumer", NO_ID, 1)
    assert client.expect("SUCCESS").request_id == 1000
    client.subscribe(topic)
    assert client.payloads(2) == [b"1", b"2"]


def test_seek_into_a_batch_and_by_time(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish_batch(b"a", b"b", b"c")
    later = build_entry(message_metadata(3, publish_time=2_000_000_000_000), b"later")
    client.send_entry(later, sequence_id=3)
    client.subscribe(topic)
    batch, _later = ids(client, 2)
    target = api.MessageIdData(ledgerId=batch.ledgerId, entryId=0, ack_set=[0b110])
    client.send("SEEK", consumer_id=1, request_id=1000, message_id=target)
    assert client.expect("SUCCESS", "ERROR").request_id == 1000
    client.subscribe(topic)
    messages = [message_of(frame) for frame in client.messages(2)]
    assert [list(message.ack_set) for message in messages] == [[0b110], []]
    client.send("SEEK", consumer_id=1, request_id=1001, message_publish_time=2_000_000_000_000)
    assert client.expect("SUCCESS", "ERROR").request_id == 1001
    client.subscribe(topic)
    assert client.payloads(1) == [b"later"]


def test_last_id_of_an_empty_topic(connect: Connect, topic: str) -> None:
    client = connect()
    client.subscribe(topic)
    answer = client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    last = answer.last_message_id
    assert (last.ledgerId, last.entryId, last.partition, last.batch_index) == (NO_ID, NO_ID, -1, -1)


def test_unsubscribe_forgets_the_position(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0")
    client.subscribe(topic)
    client.acknowledge(*ids(client, 1))
    assert client.request("UNSUBSCRIBE", "SUCCESS", consumer_id=1).DESCRIPTOR.name == "CommandSuccess"
    assert client.request("UNSUBSCRIBE", "SUCCESS", consumer_id=1).error == ServerError.MetadataError
    client.subscribe(topic)
    assert client.payloads(1) == [b"0"]


def test_reader_starts_at_its_id_and_leaves_nothing_behind(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1", b"2")

    def read(start: Any, count: int, position: int = SubType.Latest) -> list[bytes]:
        client.subscribe(
            topic, subscription="reader", durable=False, start_message_id=start, initialPosition=position
        )
        got = client.payloads(count)
        client.request("CLOSE_CONSUMER", "SUCCESS", consumer_id=1)
        assert not client.waiting
        return got

    ledger_id = client.publish(b"3")[0].message_id.ledgerId
    assert read(api.MessageIdData(ledgerId=NO_ID, entryId=NO_ID), 4) == [b"0", b"1", b"2", b"3"]
    assert read(api.MessageIdData(ledgerId=ledger_id, entryId=2), 2) == [b"2", b"3"]
    assert read(api.MessageIdData(ledgerId=LATEST, entryId=LATEST), 0) == []
