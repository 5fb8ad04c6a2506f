"""A consumer: permits, entries of every shape, what cannot be read, grouped acknowledgements, the bounded window."""
import gc

import mpy_pulsar.core.consumer_core as module
from mpy_pulsar.core.handle import CLOSED, CLOSING, IDLE, READY
from mpy_pulsar.errors import AlreadyClosed, ConnectError, ProtocolError
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker, batch_entry
from tests.unit.support import raises

module.ACK_GROUP = 1000  # as on CPython; a board acknowledges at once

CHECKSUM_MISMATCH = 2
BATCH_DESERIALIZE_ERROR = 3


def _open(broker, core, queue_bytes=0):
    """Open or reopen; the SUBSCRIBE and the permits of the first FLOW. queue_bytes: what the port says, 0: the twin."""
    module.QUEUE_BYTES, kept = queue_bytes, module.QUEUE_BYTES
    try:
        core.not_before = None
        asked = broker.open(core)
    finally:
        module.QUEUE_BYTES = kept
    return asked, broker.hear(fake.FLOW)[2]


def _opened(permits=1000, **options):
    broker, core = Broker(**options), fake.consumer(permits)
    _open(broker, core)
    return broker, core


def _take_all(core):
    payloads = []
    message = core.take()
    while message:
        payloads.append(message.data())
        message = core.take()
    return payloads


def _permits(broker):
    """Permits given back since the last call; nothing else may have been sent."""
    flows = broker.heard()
    for one in flows:
        assert (one.kind, one[1]) == (fake.FLOW, 2)
    return sum([one[2] for one in flows])


def _acked(core):
    """Ids of the acknowledgements that wait, (ledger, entry) messages; sends them, and forgets all else that was."""
    core.flush()
    ids = []
    control = core.connection.control
    for frame in control:
        one = fake.Command(frame)
        if one.kind == fake.ACK:
            assert (one[1], one[2], one.get(4)) == (2, 0, None)
            ids.extend(one.all(3))
    control.clear()
    return ids


def _given_up(broker, reason):
    """The id in an ACK that says why an entry cannot be read."""
    ack = [one for one in broker.heard() if one.kind == fake.ACK][0]
    assert (ack[1], ack[2], ack[4]) == (2, 0, reason)
    return ack[3]


def test_subscribe_says_what_was_asked_for_and_flow_follows_its_success():
    broker = Broker()
    core = fake.consumer(2, 2, 1, name="me", properties={"k": "v"})
    asked = broker.attach(core)
    assert broker.heard() == []  # before SUCCESS a FLOW would be dropped
    broker.say(fake.SUCCESS, 1, asked[5])
    assert [asked[field] for field in (1, 2, 3, 4, 6, 10, 13)] == [
        fake.TOPIC.encode(), b"sub", 2, 2, b"me", b"\x0a\x01k\x12\x01v", 1]
    assert broker.hear(fake.FLOW)[2] == 2 and core.state == READY


def test_single_messages_and_batches_in_order():
    broker, core = _opened()
    broker.feed(fake.single(1, b"one") + fake.batch(2, [b"two", b"", b"three"]) + fake.batch(3, [b"four"]))
    assert core.watch.arrivals == 3
    assert _take_all(core) == [b"one", b"two", b"", b"three", b"four"] and core.take() is None


def test_bare_entries_whose_sizes_take_one_two_three_and_four_bytes():
    payloads = [b"s" * size for size in (0, 1, 127, 128, 300, 16383, 16384, 20000)]
    assert [len(batch_entry(one)) - len(one) for one in payloads] == [6, 6, 6, 7, 7, 7, 8, 8]
    broker, core = _opened(limit=0)
    broker.feed(fake.batch(1, payloads))
    assert _take_all(core) == payloads


def test_entries_as_the_official_producers_write_them():
    payloads = [b"", b"a", b"b" * 127, b"c" * 200]
    entries = b"".join([batch_entry(one, 3, len(one), 8, index) for index, one in enumerate(payloads)])
    assert entries[:8] == b"\0\0\0\x04\x18\0\x40\0"
    broker, core = _opened()
    broker.feed(fake.batch(1, entries, 4))
    assert _take_all(core) == payloads


def test_entries_with_properties_and_in_any_order_of_fields():
    entries = batch_entry(b"one", 1, (1, "k", 2, "v"), 2, "key", 3, 3) + batch_entry(b"four", 9, False, 3, 4)
    broker, core = _opened()
    broker.feed(fake.batch(1, entries, 2))
    assert _take_all(core) == [b"one", b"four"]


def test_broker_entry_metadata_and_frames_without_checksum():
    for checksum in (True, False):
        for broker_entry in (None, b"", b"\x08\x01\x10\x05"):
            broker, core = _opened()
            options = {"checksum": checksum, "broker_entry": broker_entry}
            broker.feed(fake.single(1, b"one", **options) + fake.batch(2, [b"two", b"three"], **options))
            assert _take_all(core) == [b"one", b"two", b"three"] and core.watch.errors == []


def test_a_wrong_checksum_costs_the_entry_and_not_the_link():
    broker, core = _opened(permits=2)
    broker.feed(fake.single(3, b"bad", checksum=b"\1\2\3\4", broker_entry=b"\x10\x05"))
    ack, flow = broker.heard()
    assert (ack.kind, ack[3], ack[4]) == (fake.ACK, fake.message_id(3), CHECKSUM_MISMATCH)
    assert (flow.kind, flow[2]) == (fake.FLOW, 1)
    assert core.watch.arrivals == 0 and "checksum" in str(core.watch.errors[0])
    broker.feed(fake.single(4, b"good"))
    assert _take_all(core) == [b"good"] and core.state == READY


def test_metadata_that_cannot_be_read_costs_the_entry_and_not_the_link():
    whole = message(1, "from", 2, 5, 3, fake.TIME)
    for frame in (fake.entry_frame(3, whole[:-1], b""), fake.entry_frame(3, b"\x0b", b"x"),
                  fake.entry_frame(3, b"\x0a\x7f", b"x" * 200)):
        broker, core = _opened()
        broker.feed(frame)
        assert _given_up(broker, BATCH_DESERIALIZE_ERROR) == fake.message_id(3) and len(core.watch.errors) == 1
    for rest in (b"", b"abc", b"\0\0\0\x09abc", b"\xff\xff\xff\xff", b"\x0e\x01\0\0\0\0"):
        broker, core = _opened()
        broker.feed(fake.raw_frame(rest, 1, 2, 2, fake.message_id(3)))
        _given_up(broker, BATCH_DESERIALIZE_ERROR)
        assert _take_all(core) == [] and core.state == IDLE and core.connection is None  # to be opened again


def test_broker_entry_metadata_that_does_not_fit_is_a_protocol_error():
    broker, _ = _opened()
    frame = fake.raw_frame(b"\x0e\x02\0\0\0\x0aabc", 1, 2, 2, fake.message_id(3))
    raises(ProtocolError, broker.feed, frame)


def test_malformed_entries_cost_what_is_left_of_their_batch():
    good = batch_entry(b"good")
    # Size and metadata: payload past the end (three encodings), metadata past the end, no payload_size (twice) …
    for bad in (b"\0\0\0\x02\x18\x7f", b"\0\0\0\x03\x18\xff\x01", b"\0\0\0\x04\x18\xff\xff\x01", b"\0\0\0\x7f\x18\x01",
                b"\0\0\0\x02\x40\x01", b"\0\0\0\0", b"\xff\xff\xff\xff\x18\x01", b"\0\0\0\x01\x0b", b"\0\0\0\x28"):
        bad += b"x" * 20
        broker, core = _opened(permits=6)
        broker.feed(fake.batch(3, good * 2 + bad, 3))
        assert _take_all(core) == [b"good", b"good"], bad
        assert _given_up(broker, BATCH_DESERIALIZE_ERROR) == fake.message_id(3)
        assert len(core.watch.errors) == 1 and core.state == READY
        broker.feed(fake.single(4, b"next"))
        assert _take_all(core) == [b"next"]


def test_a_count_that_claims_more_than_the_batch_holds():
    for count in (3, 100, 0, 1 << 27, -1, -1 << 31):
        broker, core = _opened(permits=6)
        broker.feed(fake.batch(3, [b"", b""], count))
        assert _given_up(broker, BATCH_DESERIALIZE_ERROR) == fake.message_id(3), count
        assert _take_all(core) == [] and len(core.watch.errors) == 1
    broker, core = _opened(permits=6)
    broker.feed(fake.batch(3, [b"a" * 20, b"b" * 20], 4))  # as far as the bytes go it could be true
    assert _take_all(core) == [b"a" * 20, b"b" * 20]
    ack = [one for one in broker.heard() if one.kind == fake.ACK][0]
    assert ack[3] == fake.message_id(3)


def test_a_count_that_claims_less_delivers_so_many():
    broker, core = _opened()
    broker.feed(fake.batch(3, [b"a", b"b", b"c"], 2))
    assert _take_all(core) == [b"a", b"b"] and core.watch.errors == []


def test_what_cannot_be_understood_is_reported_and_never_delivered():
    for pairs in ((8, 1), (8, 4), (13, (1, "key", 2, b"x")), (27, 2)):
        broker, core = _opened(permits=2)
        broker.feed(fake.single(3, b"garbage", *pairs))
        assert core.take() is None and "(7,3,-1,-1)" in str(core.watch.errors[0])
        assert _permits(broker) == 1 and _acked(core) == []
    broker, core = _opened(permits=2)
    broker.feed(fake.single(3, b"plain", 8, 0, 9, 5, 27, 1))
    assert _take_all(core) == [b"plain"]


def test_every_message_taken_gives_back_one_permit():
    broker, core = _opened(permits=1)
    broker.feed(fake.single(1, b"x") + fake.batch(2, [b"y"] * 5))
    assert _permits(broker) == 0
    for _ in range(6):
        core.take()
        assert _permits(broker) == 1


def test_permits_return_in_lumps_of_half_the_queue():
    broker, core = _opened(permits=10)
    broker.feed(fake.batch(1, [b"x"] * 12))
    given = []
    for _ in range(12):
        core.take()
        given.append(_permits(broker))
    assert given == [0, 0, 0, 0, 5] * 2 + [0, 0]


def test_permits_of_what_is_given_up_are_those_not_yet_returned():
    broker, core = _opened(permits=1)
    broker.feed(fake.batch(3, batch_entry(b"a") + batch_entry(b"b") + b"\0\0\0\x02\x40\x01" + b"x" * 20, 5))
    assert _take_all(core) == [b"a", b"b"]
    assert sum([one[2] for one in broker.heard() if one.kind == fake.FLOW]) == 5


def test_after_a_reconnect_the_count_starts_anew_and_what_was_queued_is_dropped():
    broker, core = _opened(permits=4)
    broker.feed(fake.batch(1, [b"a", b"b", b"c"]))
    assert core.take().data() == b"a"
    core.lost(ConnectError("gone"), broker.now)
    assert core.take() is None
    other = Broker()
    assert _open(other, core)[1] == 4
    other.feed(fake.batch(1, [b"a", b"b", b"c"], None, command_pairs=(3, 1)))
    assert core.take().data() == b"a" and _permits(other) == 0
    assert core.take().redelivery_count() == 1 and _permits(other) == 2
    assert broker.heard() == []


def test_the_window_of_a_board_is_bounded_by_its_bytes():
    for queue_bytes, limit, permits, window in ((16384, 4096, 1000, 4), (16384, 4096, 2, 2), (16384, 20000, 1000, 1),
                                                (16384, 2048, 6, 6), (16384, 0, 1000, 1), (0, 4096, 1000, 1000)):
        core = fake.consumer(permits)
        assert _open(Broker(limit=limit), core, queue_bytes)[1] == window
        core.lost(ConnectError("gone"), fake.START)
        assert _open(Broker(limit=limit), core, queue_bytes)[1] == window


def test_an_oversized_entry_is_reported_and_its_permits_given_back():
    for frame, permits in ((fake.single(3, b"x" * 900), 1), (fake.batch(3, [b"x" * 90] * 10), 10),
                           (fake.batch(3, [b"x" * 90] * 10, broker_entry=b"\x10\x05"), 10),
                           (fake.batch(3, [b"x" * 90] * 10, checksum=False), 10),
                           (fake.single(3, b"x", 4, (1, "k", 2, "v" * 900)), 1)):
        broker, core = _opened(permits=1, size=128, limit=128)
        broker.feed(frame)
        assert _permits(broker) == permits and core.take() is None and _acked(core) == []
        (error,) = core.watch.errors
        assert "(7,3,-1,-1)" in str(error) and str(len(frame)) in str(error) and "read_buffer_size" in str(error)
        broker.feed(fake.single(4, b"next"))
        assert _take_all(core) == [b"next"]


def test_messages_taken_in_one_go_return_their_permits_in_few_commands():
    broker, core = _opened(permits=1)
    broker.feed(fake.batch(3, [b"x"] * 100))
    assert len(_take_all(core)) == 100
    flows = broker.heard()  # the first may be half written when the others come
    assert [one.kind for one in flows] == [fake.FLOW, fake.FLOW] and [one[2] for one in flows] == [1, 99]


def _feed_without_memory(broker, data):
    def no_memory(_):
        raise MemoryError

    module.bytes = no_memory
    try:
        broker.feed(data)
    finally:
        del module.bytes


def test_an_entry_without_memory_ends_the_link_while_there_is_something_to_free():
    broker, core = _opened(permits=2)
    broker.feed(fake.single(2, b"waits"))
    error = raises(ConnectError, _feed_without_memory, broker, fake.batch(3, [b"one", b"two"]))
    assert "memory" in str(error) and core.watch.errors == []


def test_an_entry_without_memory_is_reported_where_there_is_nothing_to_free_and_the_link_lives():
    broker, core = _opened(permits=1)
    _feed_without_memory(broker, fake.batch(3, [b"one", b"two"]))
    assert _permits(broker) == 2 and core.take() is None and _acked(core) == []
    (error,) = core.watch.errors
    assert "(7,3,-1,-1)" in str(error) and "memory" in str(error)
    broker.feed(fake.single(4, b"next"))
    assert _take_all(core) == [b"next"]


def _many_messages(broker, core):
    """1001 messages, entries 0 to 1000."""
    messages = []
    for entry in range(1001):
        broker.feed(fake.single(entry, b"x"))
        messages.append(core.take())
        if entry % 50 == 0:
            gc.collect()  # else a small heap ends up in pieces
    broker.heard()
    return messages


def test_an_entry_is_acknowledged_once_all_its_messages_are():
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        broker, core = _opened()
        broker.feed(fake.batch(1, [b"a", b"b", b"c"]))
        messages = [core.take() for _ in range(3)]
        for index in order:
            assert _acked(core) == []
            core.acknowledge(messages[index])
        assert _acked(core) == [fake.message_id(1)] and _acked(core) == []


def test_acknowledging_twice_counts_once():
    broker, core = _opened()
    broker.feed(fake.batch(1, [b"a", b"b"]) + fake.single(2, b"c") + fake.batch(3, [b"d"]))
    first, second, alone, one = [core.take() for _ in range(4)]
    core.acknowledge(first)
    core.acknowledge(first)
    assert _acked(core) == []
    for done in (second, second, first, alone, alone, one, one):
        core.acknowledge(done)
    assert _acked(core) == [fake.message_id(entry) for entry in (1, 2, 3)] and _acked(core) == []


def test_acknowledgements_leave_in_groups_by_count():
    for group in (100, 1000):
        module.ACK_GROUP, kept = group, module.ACK_GROUP
        try:
            broker, core = _opened(permits=10000)
            messages = _many_messages(broker, core)
            for one in messages:
                core.acknowledge(one)
            sent = broker.heard()
            assert len(sent) == 1001 // group, (group, len(sent))
            core.flush()
            sent += broker.heard()
        finally:
            module.ACK_GROUP = kept
        ids = []
        for one in sent:
            ids += one.all(3)
        assert ids == [fake.message_id(entry) for entry in range(1001)]


def test_the_id_is_acknowledged_as_it_came():
    broker, core = _opened()
    encoded = message(1, (1 << 64) - 2, 2, 1 << 40, 3, 5)
    broker.feed(fake.single(0, b"x", command_pairs=(2, encoded)))
    core.acknowledge(core.take())
    assert _acked(core) == [encoded]


def test_pending_acknowledgements_leave_before_the_close():
    broker, core = _opened(permits=10000)
    for one in _many_messages(broker, core):
        core.acknowledge(one)
    core.start_close(broker.now)
    *acks, close = broker.heard()
    assert {one.kind for one in acks} == {fake.ACK} and close.kind == fake.CLOSE_CONSUMER
    assert sum([len(one.all(3)) for one in acks]) == 1001
    broker.feed(fake.single(5000, b"late"))
    assert core.state == CLOSING and core.take() is None and _acked(core) == []
    broker.say(fake.SUCCESS, 1, close[2])
    assert core.state == CLOSED
    raises(AlreadyClosed, core.check)


def test_what_a_producer_is_told_does_nothing_to_a_consumer():
    broker, core = _opened()
    broker.receipt(0, producer_id=2)
    broker.say(fake.SEND_ERROR, 1, 2, 2, 0, 3, 15, 4, "terminated")
    assert core.state == READY and core.watch.errors == [] and broker.heard() == []


def test_a_message_without_an_id_makes_the_link_useless():
    for pairs in ((), (2, 5)):
        raises(ProtocolError, _opened()[0].feed, fake.raw_frame(b"\0\0\0\0", 1, 2, *pairs))
