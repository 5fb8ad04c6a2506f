"""Key_Shared, delays, priorities, epochs and counts, asked of the development broker and of a real one."""

import time
from typing import Any

import pytest

from tests.integration.both_brokers import Connect, DevelopmentSide, Side, collect, expect_beside, ids
from tests.integration.raw_client import RawClient, message_metadata, message_of, payload_of, single_entry
from tools.devbroker.frames import ServerError, api, build_entry
from tools.devbroker.sticky import place_on_ring, slot_of

SubType = api.CommandSubscribe
EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED = range(4)
KEYS = [f"key-{number}" for number in range(20)]
MIDDLE = 32768
_TICK_SECONDS = 1


def publish_keyed(client: RawClient, *keys: str, first: int = 0) -> None:
    """A message for each key, with `key:number` in it."""
    for number, key in enumerate(keys, first):
        client.send_entry(single_entry(f"{key}:{number}".encode(), number, partition_key=key), sequence_id=number)
        client.expect("SEND_RECEIPT")


def key_of(payload: bytes) -> str:
    """The key that `publish_keyed` wrote in a message."""
    return payload.decode().partition(":")[0]


def ranges(*pairs: tuple[int, int], **fields: Any) -> Any:
    """KeySharedMeta with fixed ranges."""
    wanted = [api.IntRange(start=start, end=end) for start, end in pairs]
    return api.KeySharedMeta(keySharedMode=api.KeySharedMode.Value("STICKY"), hashRanges=wanted, **fields)


def auto(**fields: Any) -> Any:
    """KeySharedMeta for ranges that the broker chooses."""
    return api.KeySharedMeta(keySharedMode=api.KeySharedMode.Value("AUTO_SPLIT"), **fields)


# Key_Shared


def test_fixed_ranges_get_the_keys_of_their_slots(connect: Connect, topic: str) -> None:
    sender, low, high = connect(), connect(), connect()
    sender.open_producer(topic)
    low.subscribe(topic, subType=KEY_SHARED, keySharedMeta=ranges((0, 999), (1000, MIDDLE - 1)))
    high.subscribe(topic, subType=KEY_SHARED, keySharedMeta=ranges((MIDDLE, 65535)))
    publish_keyed(sender, *KEYS)
    expected = [[key for key in KEYS if (slot_of(key.encode()) < MIDDLE) is is_low] for is_low in (True, False)]
    got = collect([low, high], len(KEYS))
    assert [[key_of(payload) for payload in payloads] for payloads in got] == expected


def test_what_counts_as_the_key(connect: Connect, topic: str) -> None:
    sender = connect()
    sender.open_producer(topic)
    keyless = message_metadata(7, producer_name="name")
    batch = message_metadata(8, partition_key="first-of-batch", num_messages_in_batch=1)
    single = api.SingleMessageMetadata(payload_size=1, partition_key="in-the-batch").SerializeToString()
    entries = {
        b"ordering": single_entry(b"a", partition_key="not-this", ordering_key=b"ordering"),
        b"\x00\xff\x01": single_entry(b"b", partition_key="AP8B", partition_key_b64_encoded=True),
        "sch\u00f6n".encode(): single_entry(b"c", partition_key="sch\u00f6n"),
        b"name-7": build_entry(keyless, b"d"),
        b"first-of-batch": build_entry(batch, len(single).to_bytes(4, "big") + single + b"e"),
    }
    for number, entry in enumerate(entries.values()):
        sender.send_entry(entry, sequence_id=number)
        sender.expect("SEND_RECEIPT")
    # A consumer for each key's slot alone, so an entry that comes has the slot expected.
    receiver = connect()
    for number, key in enumerate(entries, 1):
        slot = slot_of(key)
        receiver.subscribe(
            topic, consumer_id=number, subType=KEY_SHARED, keySharedMeta=ranges((slot, slot)), permits=10
        )
    got = {message_of(frame).consumer_id: frame.payload for frame in receiver.messages(len(entries))}
    assert got == dict(enumerate(entries.values(), 1))


def test_ranges_that_nobody_can_have(connect: Connect, topic: str) -> None:
    holder, newcomer = connect(), connect()
    for consumer_id, meta in ((1, ranges()), (2, ranges((60000, 50000)))):
        refused = holder.subscribe(topic, consumer_id=consumer_id, subType=KEY_SHARED, keySharedMeta=meta)
        assert refused.error == ServerError.ConsumerAssignError
    holder.subscribe(topic, subType=KEY_SHARED, keySharedMeta=ranges((0, MIDDLE)))
    overlap = {"consumer_id": 1, "subType": KEY_SHARED, "keySharedMeta": ranges((MIDDLE, 65535))}
    newcomer.look_up(topic)
    newcomer.send("SUBSCRIBE", topic=topic, subscription="subscription", request_id=77, **overlap)
    assert expect_beside(newcomer, holder, "ERROR").error == ServerError.ConsumerAssignError
    beside = newcomer.subscribe(topic, subType=KEY_SHARED, keySharedMeta=ranges((MIDDLE + 1, 65535)))
    assert beside.DESCRIPTOR.name == "CommandSuccess"


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (ranges((0, 9)), auto()),
        (auto(), ranges((0, 9))),
        (auto(), auto(allowOutOfOrderDelivery=True)),
        (auto(allowOutOfOrderDelivery=True), auto()),
    ],
)
def test_consumers_of_one_subscription_share_its_mode(connect: Connect, topic: str, held: Any, asked: Any) -> None:
    client = connect()
    client.subscribe(topic, subType=KEY_SHARED, keySharedMeta=held)
    other = client.subscribe(topic, consumer_id=2, subType=KEY_SHARED, keySharedMeta=asked)
    assert other.error == ServerError.ConsumerBusy
    for consumer_id, subscription_type in ((3, EXCLUSIVE), (4, SHARED), (5, FAILOVER)):
        other = client.subscribe(topic, consumer_id=consumer_id, subType=subscription_type)
        assert other.error == ServerError.ConsumerBusy


def test_each_key_has_one_consumer(connect: Connect, topic: str) -> None:
    sender, first, second = connect(), connect(), connect()
    sender.open_producer(topic)
    first.subscribe(topic, subType=KEY_SHARED, consumer_name="first")
    second.subscribe(topic, subType=KEY_SHARED, consumer_name="second")
    publish_keyed(sender, *KEYS * 3)
    got = collect([first, second], 3 * len(KEYS))
    keys = [{key_of(payload) for payload in payloads} for payloads in got]
    assert keys[0] and keys[1] and not keys[0] & keys[1]
    for payloads in got:
        for key in KEYS:
            numbers = [int(payload.split(b":")[1]) for payload in payloads if key_of(payload) == key]
            assert numbers == sorted(numbers)


def test_keys_wait_until_their_old_consumer_has_acknowledged(connect: Connect, topic: str) -> None:
    sender, old, new = connect(), connect(), connect()
    sender.open_producer(topic)
    old.subscribe(topic, subType=KEY_SHARED, consumer_name="old")
    publish_keyed(sender, *KEYS)
    held = ids(old, len(KEYS))
    new.subscribe(topic, subType=KEY_SHARED, consumer_name="new")
    publish_keyed(sender, *KEYS, first=len(KEYS))
    for client in (old, new):
        client.round_trip()
    assert not new.waiting
    old.acknowledge(*held)
    got = collect([old, new], len(KEYS))
    keys = [{key_of(payload) for payload in payloads} for payloads in got]
    assert keys[1] and keys[0] | keys[1] == set(KEYS) and not keys[0] & keys[1]


def test_keys_go_to_others_when_their_consumer_leaves(connect: Connect, topic: str) -> None:
    sender, first, second = connect(), connect(), connect()
    sender.open_producer(topic)
    first.subscribe(topic, subType=KEY_SHARED, consumer_name="first")
    second.subscribe(topic, subType=KEY_SHARED, consumer_name="second")
    publish_keyed(sender, *KEYS, *KEYS)
    got = collect([first, second], 2 * len(KEYS))
    second.close()
    again = first.messages(len(got[1]))
    assert [payload_of(frame) for frame in again] == got[1]
    assert {message_of(frame).redelivery_count for frame in again} == {0}


def test_key_shared_redelivers_by_id_in_order(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    publish_keyed(client, "a", "a", "a")
    client.subscribe(topic, subType=KEY_SHARED)
    got = ids(client, 3)
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1, message_ids=[got[1], got[0]])
    again = [message_of(frame) for frame in client.messages(2)]
    assert [(message.message_id.entryId, message.redelivery_count) for message in again] == [(0, 1), (1, 1)]
    # Cumulative acknowledgements are answered, and ignored.
    client.acknowledge(got[2], cumulative=True)
    client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1)
    counts = [message_of(frame).redelivery_count for frame in client.messages(3)]
    assert counts == [2, 2, 1]


# Delays


def test_delays_are_for_shared_types_only(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    for subscription_type in (EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED):
        client.subscribe(
            topic,
            consumer_id=subscription_type,
            subscription=f"type-{subscription_type}",
            subType=subscription_type,
        )
    deliver_at = time.time() + 3
    client.send_entry(single_entry(b"later", 0, deliver_at_time=int(deliver_at * 1000)))
    client.send_entry(single_entry(b"now", 1), sequence_id=1)
    at_once = [(message_of(frame).consumer_id, payload_of(frame)) for frame in client.messages(6)]
    assert sorted(at_once) == [
        (EXCLUSIVE, b"later"),
        (EXCLUSIVE, b"now"),
        (SHARED, b"now"),
        (FAILOVER, b"later"),
        (FAILOVER, b"now"),
        (KEY_SHARED, b"now"),
    ]
    held = [(message_of(frame).consumer_id, payload_of(frame)) for frame in client.messages(2)]
    assert sorted(held) == [(SHARED, b"later"), (KEY_SHARED, b"later")]
    # The real broker may be early by one tick of its clock.
    assert time.time() >= deliver_at - _TICK_SECONDS


def test_delays_shorter_than_a_tick_are_none(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.subscribe(topic, subType=SHARED)
    for number, delay in enumerate((0.5, -10)):
        deliver_at = int((time.time() + delay) * 1000)
        client.send_entry(single_entry(b"%d" % number, number, deliver_at_time=deliver_at), sequence_id=number)
    assert client.payloads(2) == [b"0", b"1"]


# Who comes first


def test_priority_decides_among_shared_consumers(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic)
    client.subscribe(topic, consumer_id=1, subType=SHARED, priority_level=1, permits=10)
    client.subscribe(topic, consumer_id=2, subType=SHARED, priority_level=0, permits=2)
    got = []
    for number in range(4):
        client.publish(b"%d" % number)
        got += [message_of(frame).consumer_id for frame in client.messages(1)]
    assert got == [2, 2, 1, 1]


@pytest.mark.parametrize("subscription_type", range(4))
def test_unloading_forgets_what_is_acknowledged_inside_of_batches(
    connect: Connect, side: Side, topic: str, subscription_type: int
) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish_batch(b"a", b"b", b"c")
    client.publish(b"d", first_sequence_id=3)
    client.publish_batch(b"e", b"f", first_sequence_id=4)
    client.subscribe(topic, subType=subscription_type)
    batch, single, other = ids(client, 3)
    client.acknowledge(api.MessageIdData(ledgerId=batch.ledgerId, entryId=0, ack_set=[0b101], batch_size=3))
    client.acknowledge(single)
    client.acknowledge(api.MessageIdData(ledgerId=batch.ledgerId, entryId=2, ack_set=[0b10], batch_size=2))
    client.round_trip()
    side.unload(topic)
    client.expect("CLOSE_PRODUCER")
    client.expect("CLOSE_CONSUMER")
    client.subscribe(topic, consumer_id=2, subType=subscription_type)
    messages = [message_of(frame) for frame in client.messages(2)]
    # Pulsar itself keeps it once in a while, when its cursor was written just before.
    kept = [[(0, []), (2, [])], [(0, [0b101]), (2, [0b10])]]
    found = [(message.message_id.entryId, list(message.ack_set)) for message in messages]
    assert found == kept[0] or (found == kept[1] and not isinstance(side, DevelopmentSide))


def test_partitions_are_dealt_out_to_failover_consumers(connect: Connect, side: Side, topic: str) -> None:
    side.create_partitioned_topic(topic, 3)
    client = connect()
    for partition in range(3):
        for consumer_id, name in ((1, "b"), (2, "a")):
            client.subscribe(
                f"{topic}-partition-{partition}",
                consumer_id=10 * partition + consumer_id,
                consumer_name=name,
                subType=FAILOVER,
            )
    for partition in range(3):
        client.open_producer(f"{topic}-partition-{partition}", producer_id=partition)
        client.publish(b"%d" % partition, producer_id=partition)
    got = sorted(message_of(frame).consumer_id for frame in client.messages(3))
    assert got == [2, 11, 22]


def test_other_topics_are_dealt_out_by_a_ring(connect: Connect, topic: str) -> None:
    topics = [f"{topic}-{number}" for number in range(8)]
    sender = connect()
    for number, name in enumerate(topics):
        for place, consumer_name in enumerate("ab"):
            sender.subscribe(name, consumer_id=2 * number + place, consumer_name=consumer_name, subType=FAILOVER)
    for number, name in enumerate(topics):
        sender.open_producer(name, producer_id=number)
        sender.send_entry(single_entry(b"x"), producer_id=number)
    got = sorted(message_of(frame).consumer_id for frame in sender.messages(len(topics)))
    assert got == [2 * number + place_on_ring(name, ["a", "b"]) for number, name in enumerate(topics)]


# Where a subscription begins


def test_producer_can_make_a_subscription(connect: Connect, topic: str) -> None:
    client = connect()
    client.open_producer(topic, initial_subscription_name="initial")
    client.publish(b"before anybody came")
    client.subscribe(topic, subscription="initial", initialPosition=SubType.Latest)
    assert client.payloads(1) == [b"before anybody came"]


@pytest.mark.parametrize("durable", [False, True])
def test_beginning_so_long_ago(connect: Connect, topic: str, durable: bool) -> None:
    client = connect()
    client.open_producer(topic)
    now = time.time_ns() // 1_000_000
    for number, hours in enumerate((3, 2, 0)):
        metadata = message_metadata(number, publish_time=now - hours * 3_600_000)
        client.send_entry(build_entry(metadata, b"%d" % number), sequence_id=number)
        client.expect("SEND_RECEIPT")
    client.subscribe(topic, durable=durable, start_message_rollback_duration_sec=3600)
    first = client.payloads(1)[0]
    assert first == b"2"


def test_subscriptions_that_are_refused(connect: Connect, topic: str) -> None:
    client = connect()
    assert client.subscribe(topic, subscription="").error == ServerError.ProducerBusy
    for consumer_id, subscription_type in ((1, SHARED), (2, KEY_SHARED)):
        compacted = client.subscribe(topic, consumer_id=consumer_id, subType=subscription_type, read_compacted=True)
        assert compacted.error == ServerError.NotAllowedError
    fleeting = topic.replace("persistent://", "non-persistent://")
    assert client.subscribe(fleeting, consumer_id=3, read_compacted=True).error == ServerError.NotAllowedError
    assert client.subscribe(topic, consumer_id=4, read_compacted=True).DESCRIPTOR.name == "CommandSuccess"


# Epochs, and subscriptions of one name


@pytest.mark.parametrize("subscription_type", [EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED])
def test_epochs_and_counts_by_type(connect: Connect, topic: str, subscription_type: int) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0")
    client.subscribe(topic, subType=subscription_type, consumer_epoch=4)
    got = [message_of(client.messages(1)[0])]
    for asked in (6, 5, None):
        epoch = {} if asked is None else {"consumer_epoch": asked}
        client.send("REDELIVER_UNACKNOWLEDGED_MESSAGES", consumer_id=1, **epoch)
        got.append(message_of(client.messages(1)[0]))
    marks = [message.consumer_epoch if message.HasField("consumer_epoch") else None for message in got]
    counts = [message.redelivery_count for message in got]
    if subscription_type in (SHARED, KEY_SHARED):
        assert (marks, counts) == ([None] * 4, [0, 1, 2, 3])
    else:
        assert (marks, counts) == ([4, 6, 6, 6], [0] * 4)


def test_readers_and_subscriptions_do_not_share_a_name(connect: Connect, topic: str) -> None:
    client = connect()
    for held, asked in ((True, False), (False, True)):
        name = f"held-{held}"
        client.subscribe(topic, consumer_id=1 + held, subscription=name, durable=held, subType=SHARED)
        other = client.subscribe(topic, consumer_id=9, subscription=name, durable=asked, subType=SHARED)
        assert other.error == ServerError.NotAllowedError


@pytest.mark.parametrize("subscription_type", [EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED])
def test_end_of_a_terminated_topic(connect: Connect, side: Side, topic: str, subscription_type: int) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0", b"1")
    client.subscribe(topic, consumer_id=1, subscription="done", subType=subscription_type)
    client.acknowledge(*ids(client, 2))
    client.subscribe(topic, consumer_id=2, subscription="behind", subType=subscription_type)
    behind = ids(client, 2)
    side.terminate(topic)
    assert client.expect("REACHED_END_OF_TOPIC").consumer_id == 1
    client.acknowledge(behind[0], consumer_id=2)
    client.acknowledge(behind[1], consumer_id=2)
    while client.expect("REACHED_END_OF_TOPIC").consumer_id != 2:
        pass


# Not for Failover: a real broker tells it or not, by whether FLOW comes within its second of delay.
@pytest.mark.parametrize("subscription_type", [EXCLUSIVE, SHARED, KEY_SHARED])
def test_who_comes_late_to_a_terminated_topic_is_told(
    connect: Connect, side: Side, topic: str, subscription_type: int
) -> None:
    client = connect()
    client.open_producer(topic)
    client.publish(b"0")
    client.subscribe(topic, subType=subscription_type)
    client.acknowledge(*ids(client, 1))
    client.request("CLOSE_CONSUMER", "SUCCESS", consumer_id=1)
    side.terminate(topic)
    client.subscribe(topic, consumer_id=2, subType=subscription_type)
    assert client.expect("REACHED_END_OF_TOPIC").consumer_id == 2
