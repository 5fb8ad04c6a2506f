"""Faults of single commands of the development broker: wrong answers, none at all, closes, failed writes."""

import collections.abc
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, RawClient, message_of, single_entry
from tools.devbroker import DevBrokerThread
from tools.devbroker.frames import ServerError, api, checksum_matches, split_entry

TOPIC = "persistent://public/default/topic"
OTHER = "persistent://public/default/other"


@pytest.fixture
def broker() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker without faults."""
    with DevBrokerThread() as running:
        yield running


@pytest.fixture
def client(broker: DevBrokerThread) -> collections.abc.Iterator[RawClient]:
    """A link to it."""
    with RawClient(broker.url) as link:
        yield link


ANSWERS = {
    "LOOKUP": "LOOKUP_RESPONSE",
    "PARTITIONED_METADATA": "PARTITIONED_METADATA_RESPONSE",
    "PRODUCER": "ERROR",
    "GET_TOPICS_OF_NAMESPACE": "ERROR",
}


@pytest.mark.parametrize(("request_kind", "answer"), ANSWERS.items())
def test_error_in_the_form_the_request_wants(
    broker: DevBrokerThread, client: RawClient, request_kind: str, answer: str
) -> None:
    broker.fault(f"error on={request_kind} code=PersistenceError text='not now' times=1")
    fields: dict[str, Any] = {"topic": TOPIC}
    if request_kind == "PRODUCER":
        fields["producer_id"] = 1
    elif request_kind == "GET_TOPICS_OF_NAMESPACE":
        fields = {"namespace": "public/default"}
    refused = client.request(request_kind, answer, **fields)
    assert (refused.error, refused.message) == (ServerError.PersistenceError, "not now")
    assert client.look_up(TOPIC).brokerServiceUrl == broker.url


def test_error_for_send_ack_and_connect(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    broker.fault("error", on="SEND", code="TopicTerminatedError", after=1, times=1)
    client.send_entry(single_entry(b"0"), sequence_id=0)
    client.send_entry(single_entry(b"1"), sequence_id=1, highest_sequence_id=4)
    client.send_entry(single_entry(b"2"), sequence_id=5)
    assert client.expect("SEND_RECEIPT").sequence_id == 0
    error = client.expect("SEND_ERROR")
    assert (error.sequence_id, error.error, error.producer_id) == (4, ServerError.TopicTerminatedError, 1)
    assert client.expect("SEND_RECEIPT").sequence_id == 5
    first, second = client.messages(2)
    broker.fault("error", on="ACK", code=ServerError.MetadataError)
    assert client.acknowledge(message_of(first).message_id).error == ServerError.MetadataError
    client.send("ACK", consumer_id=1, ack_type=api.CommandAck.Individual, message_id=[message_of(second).message_id])
    client.round_trip()
    assert not client.waiting
    broker.fault("error", on="CONNECT", code="ServiceNotReady")
    with RawClient(broker.url, connect=False) as newcomer:
        refused = newcomer.connect()
        assert (refused.error, refused.request_id) == (ServerError.ServiceNotReady, NO_ID)
        assert newcomer.wait_closed() == []


def test_faults_aimed_at_one_topic_leave_others_alone(broker: DevBrokerThread, client: RawClient) -> None:
    for producer_id, topic in enumerate((TOPIC, OTHER)):
        client.open_producer(topic, producer_id=producer_id)
    broker.fault("swallow", on="SEND", topic=TOPIC)
    broker.fault("wrong_id", on="PRODUCER_SUCCESS", topic="other", shift=100)
    client.send_entry(single_entry(b"payload"), producer_id=0)
    client.send_entry(single_entry(b"payload"), producer_id=1)
    client.round_trip()
    assert [message.command.send_receipt.producer_id for message in client.waiting] == [1]
    client.waiting.clear()
    client.send("PRODUCER", request_id=50, producer_id=2, topic=TOPIC)
    client.send("PRODUCER", request_id=60, producer_id=3, topic=OTHER)
    assert [client.expect("PRODUCER_SUCCESS").request_id for _ in range(2)] == [50, 160]


def test_swallowed_acks_and_receipts(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    swallowed = broker.fault("swallow", on="SEND_RECEIPT", times=1)
    client.send_entry(single_entry(b"payload"))
    message = client.messages(1)[0]
    assert swallowed.hits == 1
    broker.fault("swallow", on="ACK")
    client.send("ACK", request_id=9, consumer_id=1, ack_type=0, message_id=[message_of(message).message_id])
    client.round_trip()
    assert not client.waiting
    cursor = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].cursor)
    assert cursor.acknowledged_before == 0


def test_sends_of_a_closed_producer_are_ignored(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    broker.fault("close_producer", url="pulsar://there:1", tls_url="pulsar+ssl://there:2")
    closed = client.expect("CLOSE_PRODUCER")
    assert (closed.producer_id, closed.request_id) == (1, NO_ID)
    assert closed.assignedBrokerServiceUrl == "pulsar://there:1"
    assert closed.assignedBrokerServiceUrlTls == "pulsar+ssl://there:2"
    client.send_entry(single_entry(b"ignored"))
    client.round_trip()
    assert not client.waiting
    client.open_producer(TOPIC, epoch=1)
    client.publish(b"stored")
    broker.fault("close_producer")
    assert not client.expect("CLOSE_PRODUCER").HasField("assignedBrokerServiceUrl")
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1


def test_sends_of_a_closed_producer_cost_the_link_after_one_keep_alive_interval() -> None:
    with DevBrokerThread(keep_alive_seconds=0.3) as broker, RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        broker.fault("close_producer")
        client.expect("CLOSE_PRODUCER")
        client.send_until_closed()
        assert not client.waiting
        assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 0


def test_close_at_a_command(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    broker.fault("close_producer", on="SEND", after=1, times=1)
    broker.fault("close_consumer", on="MESSAGE", times=1)
    for sequence_id in range(3):
        client.send_entry(single_entry(b"payload"), sequence_id=sequence_id)
    client.expect("CLOSE_PRODUCER")
    closed = client.expect("CLOSE_CONSUMER")
    assert closed.consumer_id == 1 and not closed.HasField("assignedBrokerServiceUrl")
    client.round_trip()
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1
    client.waiting.clear()
    client.subscribe(TOPIC)
    assert client.payloads(1) == [b"payload"]


def test_bad_checksum(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.publish(b"payload", b"payload")
    broker.fault("bad_checksum", times=1)
    client.subscribe(TOPIC)
    bad, good = (frame.payload for frame in client.messages(2))
    assert not checksum_matches(bad, split_entry(bad)) and checksum_matches(good, split_entry(good))
    assert bad[6 : 6 + 4] == good[6 : 6 + 4]


@pytest.mark.parametrize(("shift", "wrong"), [(1, 8), (-1, 6), (-8, 2**64 - 1)])
def test_receipt_with_a_wrong_sequence_id(broker: DevBrokerThread, client: RawClient, shift: int, wrong: int) -> None:
    client.open_producer(TOPIC)
    broker.fault("wrong_id", on="SEND_RECEIPT", shift=shift, times=1)
    assert client.publish(b"payload", first_sequence_id=7)[0].sequence_id == wrong
    assert client.publish(b"payload", first_sequence_id=8)[0].sequence_id == 8


def test_message_for_an_unknown_consumer(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.publish(b"payload")
    broker.fault("wrong_id", on="MESSAGE", shift=1000, extra=True)
    client.subscribe(TOPIC)
    assert [message_of(frame).consumer_id for frame in client.messages(2)] == [1001, 1]


def test_failed_write_takes_back_what_was_pushed() -> None:
    with DevBrokerThread(deduplication=True) as broker, RawClient(broker.url) as client:
        client.open_producer(TOPIC, producer_name="name")
        fault = broker.fault("failed_write", seconds=1000, times=1)
        client.send_entry(single_entry(b"payload"), sequence_id=5, highest_sequence_id=7)
        client.round_trip()
        client.send("CLOSE_PRODUCER", request_id=90, producer_id=1)
        client.expect("SUCCESS")
        assert client.open_producer(TOPIC, producer_name="name", epoch=1).last_sequence_id == 7
        client.send_entry(single_entry(b"payload"), sequence_id=5, highest_sequence_id=7)
        unknown = client.expect("SEND_ERROR")
        assert (unknown.sequence_id, unknown.error) == (7, ServerError.PersistenceError)
        assert "duplicate" in unknown.message
        client.send_entry(single_entry(b"behind"), sequence_id=8)
        client.round_trip()
        assert broker.clear_faults() == 1
        assert client.expect("CLOSE_PRODUCER").producer_id == 1
        assert [client.expect("SEND_ERROR").sequence_id for _ in range(2)] == [7, 8]
        assert fault.hits == 1
        assert client.open_producer(TOPIC, producer_name="name", epoch=2).last_sequence_id == -1
        assert client.publish(b"payload", first_sequence_id=5)[0].sequence_id == 5
        broker.fault("failed_write", times=1)
        client.send_entry(single_entry(b"payload"), sequence_id=6)
        client.expect("CLOSE_PRODUCER")
        assert client.expect("SEND_ERROR").error == ServerError.PersistenceError
        assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1


def test_redirect_loop_and_a_place_that_refuses(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("redirect authoritative=yes")
    for _ in range(3):
        answer = client.look_up(TOPIC)
        assert answer.response == api.CommandLookupTopicResponse.Redirect
        assert answer.brokerServiceUrl == broker.url and answer.authoritative
    broker.clear_faults()
    broker.fault("misplace")
    answer = client.look_up(TOPIC)
    assert answer.response == api.CommandLookupTopicResponse.Connect
    with pytest.raises(ConnectionRefusedError):
        RawClient(answer.brokerServiceUrl)
