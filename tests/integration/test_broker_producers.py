"""Producers' access modes, deduplication and refusals, asked of the development broker and of a real one."""

import time
from typing import Any

import pytest

from tests.integration.both_brokers import DEDUPLICATING, Connect, Side, expect_beside, ids
from tests.integration.raw_client import (
    NO_ID,
    Closed,
    RawClient,
    batch_entry,
    message_metadata,
    single_entry,
)
from tools.devbroker.frames import ServerError, build_entry

SHARED, EXCLUSIVE, WAIT, FENCE = range(4)
REQUEST = 777


def queue_up(client: RawClient, topic: str, **fields: Any) -> Any:
    """PRODUCER with id 7 that waits for the topic to itself; the first answer."""
    client.look_up(topic)
    settings = {"topic": topic, "producer_id": 7, "request_id": REQUEST, "producer_access_mode": WAIT} | fields
    client.send("PRODUCER", **settings)
    return client.expect("PRODUCER_SUCCESS", "ERROR")


def close(client: RawClient, producer_id: int) -> None:
    """CLOSE_PRODUCER."""
    assert client.request("CLOSE_PRODUCER", "SUCCESS", producer_id=producer_id).DESCRIPTOR.name == "CommandSuccess"


@pytest.fixture
def deduplicated(topic: str) -> str:
    """A topic with deduplication."""
    return topic.replace("public/default", DEDUPLICATING)


# Access modes


def test_who_waits_gets_a_second_answer(connect: Connect, topic: str) -> None:
    holder, first, second = connect(), connect(), connect()
    assert holder.open_producer(topic, producer_access_mode=EXCLUSIVE).topic_epoch == 0
    for client in (first, second):
        queued = queue_up(client, topic)
        assert queued.HasField("producer_ready") and not queued.producer_ready and queued.producer_name
        assert (queued.HasField("topic_epoch"), queued.last_sequence_id) == (False, -1)
    assert holder.open_producer(topic, producer_id=8).error == ServerError.ProducerBusy
    fenced = holder.open_producer(topic, producer_id=9, producer_access_mode=EXCLUSIVE)
    assert fenced.error == ServerError.ProducerFenced
    assert queue_up(first, topic, request_id=778).error == ServerError.ServiceNotReady
    close(holder, 1)
    ready = first.expect("PRODUCER_SUCCESS", "ERROR")
    assert (ready.request_id, ready.producer_ready, ready.topic_epoch) == (REQUEST, True, 1)
    assert first.publish(b"mine", producer_id=7)[0].message_id.entryId == 0
    second.round_trip()
    assert not second.waiting
    first.close()
    ready = second.expect("PRODUCER_SUCCESS", "ERROR")
    assert (ready.request_id, ready.producer_ready, ready.topic_epoch) == (REQUEST, True, 2)


def test_who_waits_behind_shared_producers_comes_after_the_last(connect: Connect, topic: str) -> None:
    client, waiting = connect(), connect()
    for producer_id in (1, 2):
        assert not client.open_producer(topic, producer_id=producer_id).HasField("topic_epoch")
    assert not queue_up(waiting, topic, topic_epoch=5).producer_ready
    assert client.open_producer(topic, producer_id=3).error == ServerError.ProducerBusy
    close(client, 1)
    waiting.round_trip()
    assert not waiting.waiting
    close(client, 2)
    ready = waiting.expect("PRODUCER_SUCCESS")
    assert (ready.producer_ready, ready.topic_epoch) == (True, 5)


def test_who_leaves_the_queue_is_passed_over_and_still_costs_an_epoch(connect: Connect, topic: str) -> None:
    holder, leaving, staying = connect(), connect(), connect()
    holder.open_producer(topic, producer_access_mode=EXCLUSIVE)
    queue_up(leaving, topic)
    queue_up(staying, topic)
    close(leaving, 7)
    close(holder, 1)
    assert staying.expect("PRODUCER_SUCCESS").topic_epoch == 2
    leaving.round_trip()
    assert not leaving.waiting


def test_send_of_a_producer_that_waits_costs_the_link(connect: Connect, topic: str) -> None:
    holder, waiting = connect(), connect()
    holder.open_producer(topic)
    queue_up(waiting, topic)
    waiting.send_entry(single_entry(b"early"), producer_id=7)
    assert waiting.wait_closed() == []


def test_fencing_takes_the_topic_without_a_word_to_the_others(connect: Connect, topic: str) -> None:
    holder, waiting, fencing = connect(), connect(), connect()
    epoch = holder.open_producer(topic, producer_access_mode=EXCLUSIVE).topic_epoch
    queue_up(waiting, topic)
    assert fencing.open_producer(topic, producer_access_mode=FENCE).topic_epoch == epoch + 1
    refused = waiting.expect("ERROR", "PRODUCER_SUCCESS")
    assert (refused.request_id, refused.error) == (REQUEST, ServerError.ProducerFenced)
    holder.round_trip()
    assert not holder.waiting
    holder.send_entry(single_entry(b"late"))
    try:  # The real broker answers so for a moment.
        assert holder.expect("SEND_ERROR", "SEND_RECEIPT").error == ServerError.PersistenceError
    except Closed:
        pass
    again = connect()
    for mode in (EXCLUSIVE, FENCE):
        fenced = again.open_producer(topic, producer_id=mode, producer_access_mode=mode, topic_epoch=epoch)
        assert fenced.error == ServerError.ProducerFenced
    # The second one has fenced the holder all the same, before it was told that its epoch is over.
    assert again.open_producer(topic, producer_access_mode=EXCLUSIVE).topic_epoch == epoch + 2


def test_fencing_over_shared_producers(connect: Connect, topic: str) -> None:
    client, fencing = connect(), connect()
    client.open_producer(topic, producer_name="name")
    taken = fencing.open_producer(topic, producer_name="name", producer_access_mode=FENCE)
    assert (taken.producer_name, taken.topic_epoch) == ("name", 0)
    assert fencing.publish(b"mine")[0].message_id.entryId == 0
    assert client.open_producer(topic, producer_id=2).error == ServerError.ProducerBusy


def test_epochs_of_topics_only_grow(connect: Connect, topic: str) -> None:
    client = connect()
    for expected in (0, 1):
        assert client.open_producer(topic, producer_access_mode=EXCLUSIVE).topic_epoch == expected
        close(client, 1)
    for mode in (EXCLUSIVE, WAIT, FENCE):
        old = client.open_producer(topic, producer_access_mode=mode, topic_epoch=0)
        assert old.error == ServerError.ProducerFenced
    assert client.open_producer(topic, producer_access_mode=EXCLUSIVE, topic_epoch=10).topic_epoch == 10
    close(client, 1)
    assert client.open_producer(topic).topic_epoch == 10
    over_shared = client.open_producer(topic, producer_id=2, producer_access_mode=EXCLUSIVE)
    assert over_shared.error == ServerError.ProducerFenced


def test_access_is_looked_at_before_the_name(connect: Connect, topic: str) -> None:
    holder, newcomer = connect(), connect()
    holder.open_producer(topic, producer_name="name", producer_access_mode=EXCLUSIVE)
    # No PING to the holder, who would not answer it here.
    assert newcomer.open_producer(topic, producer_name="name").error == ServerError.ProducerBusy
    exclusive = newcomer.open_producer(topic, producer_name="name", producer_access_mode=EXCLUSIVE)
    assert exclusive.error == ServerError.ProducerFenced


# Deduplication


def test_repeated_ids_are_confirmed_and_not_stored(connect: Connect, deduplicated: str) -> None:
    client = connect()
    assert client.open_producer(deduplicated, producer_name="name").last_sequence_id == -1
    client.publish(b"0", b"1")
    again = client.publish(b"0", b"1")
    assert [(r.sequence_id, r.message_id.ledgerId, r.message_id.entryId) for r in again] == [
        (0, NO_ID, NO_ID),
        (1, NO_ID, NO_ID),
    ]
    assert client.publish_batch(b"a", b"b", b"c", first_sequence_id=2).message_id.entryId == 2
    # Of a batch the first id counts: it is dropped whole, or stored whole.
    dropped = client.publish_batch(b"c", b"d", first_sequence_id=4)
    assert (dropped.message_id.entryId, dropped.highest_sequence_id) == (NO_ID, 5)
    assert client.publish_batch(b"d", b"e", first_sequence_id=5).message_id.entryId == 3
    other = client.open_producer(deduplicated, producer_name="other", producer_id=2)
    assert other.last_sequence_id == -1
    assert client.publish(b"0", producer_id=2)[0].message_id.entryId == 4
    client.subscribe(deduplicated)
    assert [message_id.entryId for message_id in ids(client, 5)] == [0, 1, 2, 3, 4]


def test_last_id_is_the_highest_of_the_name(connect: Connect, deduplicated: str) -> None:
    client = connect()
    client.open_producer(deduplicated, producer_name="name")
    client.publish_batch(b"a", b"b", b"c", first_sequence_id=2)
    repeated = client.request(
        "PRODUCER", "PRODUCER_SUCCESS", topic=deduplicated, producer_id=1, producer_name="name"
    )
    assert (repeated.producer_name, repeated.last_sequence_id) == ("name", -1)
    close(client, 1)
    assert client.open_producer(deduplicated, producer_name="name").last_sequence_id == 4
    # Without highest_sequence_id the first id of a batch is all the broker has.
    client.send_entry(batch_entry((b"d", b"e"), 10), sequence_id=10, num_messages=2)
    client.expect("SEND_RECEIPT")
    close(client, 1)
    assert client.open_producer(deduplicated, producer_name="name").last_sequence_id == 10


def test_after_a_reload_the_messages_tell_the_last_id(connect: Connect, side: Side, deduplicated: str) -> None:
    client = connect()
    client.open_producer(deduplicated, producer_name="name")
    metadata = message_metadata(3, producer_name="name", highest_sequence_id=7)
    client.send_entry(build_entry(metadata, b"x"), sequence_id=3, highest_sequence_id=5)
    client.expect("SEND_RECEIPT")
    close(client, 1)
    assert client.open_producer(deduplicated, producer_name="name").last_sequence_id == 5
    side.unload(deduplicated)
    client.expect("CLOSE_PRODUCER")
    assert client.open_producer(deduplicated, producer_name="name", producer_id=2).last_sequence_id == 7


# Refusals and closing


def test_message_above_the_topics_own_limit_is_refused(connect: Connect, side: Side, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"before")
    side.set_max_message_size(topic, 1000)
    size = 1000 - len(single_entry(b"", 100))
    client.send_entry(single_entry(b"x" * size, 100), sequence_id=100)
    assert client.expect("SEND_RECEIPT", "SEND_ERROR").DESCRIPTOR.name == "CommandSendReceipt"
    client.send_entry(single_entry(b"x" * (size + 1), 101), sequence_id=101, highest_sequence_id=105)
    refused = client.expect("SEND_RECEIPT", "SEND_ERROR")
    assert (refused.sequence_id, refused.error) == (105, ServerError.NotAllowedError)
    assert client.publish(b"after", first_sequence_id=106)[0].message_id.entryId == 2


def test_delay_above_the_limit_is_refused(connect: Connect, side: Side, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    side.set_max_delivery_delay(topic, 60_000)
    now = time.time_ns() // 1_000_000
    for delay, kind in ((60_000, "CommandSendReceipt"), (60_001, "CommandSendError")):
        client.send_entry(single_entry(b"later", publish_time=now, deliver_at_time=now + delay))
        assert client.expect("SEND_RECEIPT", "SEND_ERROR").DESCRIPTOR.name == kind


def test_unloading_closes_all_and_loses_nothing(connect: Connect, side: Side, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    first = client.publish(b"first")[0].message_id
    client.subscribe(topic)
    client.messages(1)
    side.unload(topic)
    closed = client.expect("CLOSE_PRODUCER")
    assert (closed.producer_id, closed.request_id) == (1, NO_ID)
    closed = client.expect("CLOSE_CONSUMER")
    assert (closed.consumer_id, closed.request_id) == (1, NO_ID)
    # For a while the broker ignores what was still on its way.
    client.send_entry(single_entry(b"on its way"))
    client.send("ACK", consumer_id=1, ack_type=0, message_id=[first], request_id=REQUEST)
    client.round_trip()
    assert not client.waiting
    assert client.open_producer(topic, producer_id=2).DESCRIPTOR.name == "CommandProducerSuccess"
    second = client.publish(b"second", producer_id=2)[0].message_id
    assert second.ledgerId > first.ledgerId
    client.subscribe(topic)
    assert client.payloads(2) == [b"first", b"second"]


@pytest.mark.parametrize("ended", [False, True])
def test_who_waits_is_refused_when_the_topic_goes(connect: Connect, side: Side, topic: str, ended: bool) -> None:
    holder, waiting = connect(), connect()
    holder.open_producer(topic)
    queue_up(waiting, topic)
    (side.terminate if ended else side.unload)(topic)
    refused = waiting.expect("ERROR", "PRODUCER_SUCCESS")
    code = ServerError.TopicTerminatedError if ended else ServerError.ServiceNotReady
    assert (refused.request_id, refused.error) == (REQUEST, code)


def test_terminated_topic_takes_no_more(connect: Connect, side: Side, topic: str) -> None:
    client, waiting = connect(), connect()
    client.open_producer(topic)
    client.publish(b"last")
    side.terminate(topic)
    assert client.expect("CLOSE_PRODUCER").producer_id == 1
    for mode in (SHARED, EXCLUSIVE, FENCE):
        refused = client.open_producer(topic, producer_id=2, producer_access_mode=mode)
        assert refused.error == ServerError.TopicTerminatedError
    client.subscribe(topic)
    assert client.payloads(1) == [b"last"]
    assert waiting.subscribe(topic, subscription="other").DESCRIPTOR.name == "CommandSuccess"
    last = client.request("GET_LAST_MESSAGE_ID", "GET_LAST_MESSAGE_ID_RESPONSE", consumer_id=1)
    assert last.last_message_id.entryId == 0


def test_name_of_a_live_link_is_refused_on_every_link(connect: Connect, topic: str) -> None:
    holder, newcomer = connect(), connect()
    holder.open_producer(topic, producer_name="name")
    assert holder.open_producer(topic, producer_name="name", producer_id=2).error == ServerError.ProducerBusy
    newcomer.look_up(topic)
    newcomer.send("PRODUCER", topic=topic, producer_id=1, request_id=REQUEST, producer_name="name")
    refused = expect_beside(newcomer, holder, "ERROR")
    assert (refused.request_id, refused.error) == (REQUEST, ServerError.ProducerBusy)
