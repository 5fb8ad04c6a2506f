"""The development broker's topics: writes that come late or fail, what restarts keep, what an administrator can do."""

import collections.abc

import pytest

from tests.integration.both_brokers import is_answered
from tests.integration.raw_client import NO_ID, RawClient, message_metadata, message_of, single_entry
from tools.devbroker import DevBroker, DevBrokerThread, DispatchLimits
from tools.devbroker.frames import ServerError, api, build_entry
from tools.devbroker.nonpersistent import MOST_WRITES_PENDING
from tools.devbroker.sticky import murmur3_32, slot_of
from tools.devbroker.store import Write

TOPIC = "persistent://public/default/topic"
FLEETING = "non-persistent://public/default/topic"
SHARED, KEY_SHARED = 1, 3


@pytest.fixture
def deduplicating() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker with deduplication."""
    with DevBrokerThread(deduplication=True) as running:
        yield running


def hold_writes(broker: DevBrokerThread) -> list[Write]:
    """From now on no SEND is stored by itself: they come into this list."""
    held: list[Write] = []

    def hold(broker: DevBroker) -> None:
        broker.store.writer = held.append

    broker.call(hold)
    return held


def send(client: RawClient, *sequence_ids: int) -> None:
    """SEND messages of the producer "name", without waiting for receipts."""
    for sequence_id in sequence_ids:
        metadata = message_metadata(sequence_id, producer_name="name")
        client.send_entry(build_entry(metadata, b"%d" % sequence_id), sequence_id=sequence_id)
    client.round_trip()


# Writes


def test_writes_are_stored_in_order_whichever_is_decided_first(broker: DevBrokerThread) -> None:
    held = hold_writes(broker)
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        send(client, 0, 1, 2)
        assert not client.waiting
        broker.call(lambda _: held[2].complete())
        client.round_trip()
        assert not client.waiting
        assert broker.call(lambda broker: broker.topics[TOPIC].writes_pending) == 3
        broker.call(lambda _: (held[0].complete(), held[1].complete()))
        receipts = [client.expect("SEND_RECEIPT") for _ in range(3)]
        assert [(r.sequence_id, r.message_id.entryId) for r in receipts] == [(0, 0), (1, 1), (2, 2)]
        # What is decided is decided.
        broker.call(lambda _: held[1].fail())
        client.round_trip()
        assert not client.waiting


def test_failed_write_closes_all_producers_and_is_reported(broker: DevBrokerThread) -> None:
    held = hold_writes(broker)
    with RawClient(broker.url) as client, RawClient(broker.url) as other:
        client.open_producer(TOPIC)
        other.open_producer(TOPIC)
        send(client, 0, 1, 2)
        broker.call(lambda _: (held[0].complete(), held[1].fail("no bookie")))
        assert client.expect("SEND_RECEIPT").sequence_id == 0
        assert client.expect("CLOSE_PRODUCER", "SEND_ERROR").DESCRIPTOR.name == "CommandCloseProducer"
        failed = client.expect("SEND_ERROR")
        assert (failed.sequence_id, failed.error, failed.message) == (1, ServerError.PersistenceError, "no bookie")
        assert other.expect("CLOSE_PRODUCER").producer_id == 1
        # Until the last write is decided nobody comes in; the SENDs of those that were closed are ignored.
        assert client.open_producer(TOPIC).error == ServerError.ServiceNotReady
        send(client, 3)
        broker.call(lambda _: held[2].complete())
        assert client.expect("SEND_RECEIPT", "SEND_ERROR").message_id.entryId == 1
        assert client.open_producer(TOPIC).DESCRIPTOR.name == "CommandProducerSuccess"
        assert len(held) == 3


def test_pushed_ids_count_until_their_write_fails(deduplicating: DevBrokerThread) -> None:
    with RawClient(deduplicating.url) as client:
        client.open_producer(TOPIC, producer_name="name")
        send(client, 4)
        client.expect("SEND_RECEIPT")
        held = hold_writes(deduplicating)
        send(client, 5)
        client.request("CLOSE_PRODUCER", "SUCCESS", producer_id=1)
        # Pushed, though nobody knows yet whether it will be stored.
        assert client.open_producer(TOPIC, producer_name="name").last_sequence_id == 5
        send(client, 5, 4)
        unknown = client.expect("SEND_ERROR", "SEND_RECEIPT")
        assert (unknown.sequence_id, unknown.error) == (5, ServerError.PersistenceError)
        assert "Cannot determine whether the message is a duplicate" in unknown.message
        assert client.expect("SEND_ERROR", "SEND_RECEIPT").message_id.entryId == NO_ID
        deduplicating.call(lambda _: held[0].fail())
        client.expect("CLOSE_PRODUCER")
        assert client.expect("SEND_ERROR").sequence_id == 5
        assert client.open_producer(TOPIC, producer_name="name").last_sequence_id == 4
        send(client, 5)
        deduplicating.call(lambda _: held[1].complete())
        assert client.expect("SEND_RECEIPT").message_id.entryId == 1


def test_ids_survive_a_restart_by_the_messages(deduplicating: DevBrokerThread) -> None:
    with RawClient(deduplicating.url) as client:
        client.open_producer(TOPIC, producer_name="name")
        send(client, 0, 1)
        held = hold_writes(deduplicating)
        send(client, 2)
        deduplicating.restart()
    deduplicating.call(lambda _: held[0].complete())  # Too late: that broker is gone.
    with RawClient(deduplicating.url) as client:
        assert client.open_producer(TOPIC, producer_name="name").last_sequence_id == 1
        assert deduplicating.call(lambda broker: len(broker.topics[TOPIC].entries)) == 2


def test_deduplication_knows_nothing_of_before_it_was_put_on(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC, producer_name="name")
        send(client, 0)
        broker.call(lambda broker: broker.set_policy("topic", deduplication=True))
        send(client, 0, 0)
        assert [client.expect("SEND_RECEIPT").message_id.entryId for _ in range(3)] == [0, 1, NO_ID]
        broker.call(lambda broker: broker.set_policy("topic", deduplication=False))
        send(client, 0)
        assert client.expect("SEND_RECEIPT").message_id.entryId == 2


def test_too_many_undecided_writes_of_a_non_persistent_topic_are_dropped(broker: DevBrokerThread) -> None:
    held = hold_writes(broker)
    with RawClient(broker.url) as client:
        client.open_producer(FLEETING)
        send(client, *range(MOST_WRITES_PENDING + 1))
        dropped = client.expect("SEND_RECEIPT")
        assert (dropped.sequence_id, dropped.message_id.ledgerId) == (MOST_WRITES_PENDING, NO_ID)
        broker.call(lambda _: [write.complete() for write in held])
        first = client.expect("SEND_RECEIPT")
        assert (first.sequence_id, first.message_id.ledgerId, first.message_id.entryId) == (0, 0, 0)


def test_undecided_writes_of_a_terminated_topic_are_refused(broker: DevBrokerThread) -> None:
    held = hold_writes(broker)
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        send(client, 0)
        assert broker.call(lambda broker: broker.terminate_topic("topic"))[1] == -1
        client.expect("CLOSE_PRODUCER")
        broker.call(lambda _: held[0].complete())
        refused = client.expect("SEND_ERROR", "SEND_RECEIPT")
        assert (refused.sequence_id, refused.error) == (0, ServerError.TopicTerminatedError)


# Administration


def test_unloaded_topic_has_to_be_looked_up(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        client.publish(b"kept")
        client.subscribe(TOPIC)
        broker.call(lambda broker: broker.unload_topic("topic"))
        client.expect("CLOSE_PRODUCER")
        client.expect("CLOSE_CONSUMER")
        refused = client.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=2)
        assert refused.error == ServerError.ServiceNotReady
        client.subscribe(TOPIC)
        assert client.payloads(2) == [b"kept", b"kept"]
    with pytest.raises(KeyError):
        broker.call(lambda broker: broker.unload_topic("absent"))


def test_waiting_producers_are_refused_when_the_topic_is_unloaded(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        client.send("PRODUCER", topic=TOPIC, producer_id=2, request_id=9, producer_access_mode=2)
        assert not client.expect("PRODUCER_SUCCESS").producer_ready
        broker.call(lambda broker: broker.unload_topic("topic", lookup_needed=False))
        refused = client.expect("ERROR")
        assert (refused.request_id, refused.error) == (9, ServerError.ServiceNotReady)
        assert client.open_producer(TOPIC, producer_id=2).producer_ready


def test_nearest_policy_wins(broker: DevBrokerThread) -> None:
    def sizes(broker: DevBroker) -> list[int | None]:
        return [broker.topics[name].policy.max_message_size for name in (TOPIC, TOPIC + "2")]

    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        client.open_producer(TOPIC + "2", producer_id=2)
    broker.call(lambda broker: broker.set_policy("public/default", max_message_size=2))
    assert broker.call(sizes) == [2, 2]
    broker.call(lambda broker: broker.set_policy("topic", max_message_size=3))
    broker.call(lambda broker: broker.set_policy(None, max_message_size=1))
    assert broker.call(sizes) == [3, 2]
    with pytest.raises(TypeError):
        broker.call(lambda broker: broker.set_policy("topic", max_messages=3))


def test_partitioned_topics_from_the_start() -> None:
    with DevBrokerThread(partitioned={"topic": 2}) as broker, RawClient(broker.url) as client:
        metadata = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=TOPIC)
        assert metadata.partitions == 2
        broker.call(lambda broker: broker.create_partitioned_topic("topic", 4))
        client.open_producer(TOPIC + "-partition-3")
        client.open_producer(TOPIC + "-plain", producer_id=2)
        for name, count in (("topic", 3), ("topic-plain", 2), ("topic-partition-1", 2), ("new", 0)):
            with pytest.raises(ValueError, match=name):
                broker.call(lambda broker, name=name, count=count: broker.create_partitioned_topic(name, count))


def test_schema_can_be_demanded(broker: DevBrokerThread) -> None:
    broker.call(lambda broker: broker.set_policy(None, schema_validation=True))
    text = api.Schema(name="s", schema_data=b"", type=api.Schema.Type.Value("String"))
    with RawClient(broker.url) as client:
        assert client.open_producer(TOPIC).producer_ready
        client.open_producer(TOPIC, producer_id=2, schema=text)
        assert client.open_producer(TOPIC, producer_id=3).error == ServerError.IncompatibleSchema


# Dispatch


def test_place_of_a_dead_link_goes_to_the_newcomer_for_fixed_ranges() -> None:
    mode = api.KeySharedMode.Value("STICKY")
    meta = api.KeySharedMeta(keySharedMode=mode, hashRanges=[api.IntRange(start=0, end=65535)])
    with (
        DevBrokerThread(liveness_check_seconds=0.1) as broker,
        RawClient(broker.url) as dead,
        RawClient(broker.url) as newcomer,
    ):
        dead.subscribe(TOPIC, subType=KEY_SHARED, keySharedMeta=meta)
        dead.open_producer(TOPIC)
        dead.publish(b"message")
        taken = newcomer.subscribe(TOPIC, subType=KEY_SHARED, keySharedMeta=meta)
        assert taken.DESCRIPTOR.name == "CommandSuccess"
        assert newcomer.payloads(1) == [b"message"]


def test_blocked_keys_are_set_aside_up_to_a_limit() -> None:
    with (
        DevBrokerThread(dispatch_limits=DispatchLimits(look_ahead_per_consumer=5)) as broker,
        RawClient(broker.url) as client,
    ):
        mode = api.KeySharedMode.Value("STICKY")
        slot = slot_of(b"key")
        meta = api.KeySharedMeta(keySharedMode=mode, hashRanges=[api.IntRange(start=slot, end=slot)])
        client.subscribe(TOPIC, subType=KEY_SHARED, keySharedMeta=meta)
        client.open_producer(TOPIC)
        client.send_entry(single_entry(b"first", partition_key="key"))
        client.publish(*[b"nobody's"] * 5)
        client.send_entry(single_entry(b"behind", partition_key="key"))
        assert client.payloads(1) == [b"first"]
        client.round_trip()
        assert not any(frame.command.HasField("message") for frame in client.waiting)
        subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"])
        assert subscription.cursor.read_index == 6


def test_delayed_messages_are_forgotten_with_their_consumers() -> None:
    limits = DispatchLimits(delayed_delivery_tick_seconds=0)
    with DevBrokerThread(dispatch_limits=limits) as broker, RawClient(broker.url) as sender:
        sender.open_producer(TOPIC)
        for number, delay in enumerate((3000, 2000, 1000)):
            metadata = message_metadata(number)
            metadata.deliver_at_time = metadata.publish_time + delay
            sender.send_entry(build_entry(metadata, b"%d" % number), sequence_id=number)
            sender.expect("SEND_RECEIPT")
        with RawClient(broker.url) as gone:
            gone.subscribe(TOPIC, subType=SHARED)
            broker.wait_until(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].dispatcher.held_back)
        subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"])
        broker.wait_until(lambda _: not subscription.consumers and not subscription.dispatcher.held_back)
        sender.subscribe(TOPIC, subType=SHARED)
        frames = sender.messages(3)
        assert sorted(message_of(frame).message_id.entryId for frame in frames) == [0, 1, 2]
        assert not is_answered(sender)


@pytest.mark.parametrize(
    ("key", "expected"),
    [(b"", 0), (b"a", 1009084850), (b"hello", 613153351), (b"key1", 462881061), (b"sensor-42/temperature", 1467764338)],
)
def test_hash_of_keys(key: bytes, expected: int) -> None:
    assert murmur3_32(key) & 0x7FFFFFFF == expected
    assert slot_of(key) == (expected % 65536 or 1)
