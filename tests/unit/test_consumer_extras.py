"""What a consumer loads on demand, without sockets: ack_set, ids, entries, parts of batches, redelivery, policies."""
from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError, ProtocolError, PulsarError
from mpy_pulsar.features.batch_acks import encode_acks
from mpy_pulsar.features.by_id import acknowledge_entry
from mpy_pulsar.features.cumulative import acknowledge_cumulative
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.redelivery import NegativeAcks, redeliver_all
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import heard_of, open_again, opened, permits, take_all, take_data
from tests.unit.fake_broker import Broker
from tests.unit.support import raises

REDELIVER = 20
SHARED = 1


# ack_set


def test_messages_acknowledged_already_are_passed_over_and_cost_nothing():
    letters = [b"a", b"b", b"c", b"d"]
    for bits, expected in ((0b1111, letters), (0b0001, [b"a"]), (0b1000, [b"d"]), (0b0110, [b"b", b"c"]),
                           (0xFFFFFFFFFFFFFFFF, letters)):
        broker, core = opened(permits=1)
        broker.feed(fake.batch(3, letters, None, command_pairs=(4, bits)))
        messages = take_all(core)
        assert [one.data() for one in messages] == expected and permits(broker) == len(expected), bits
        for one in messages:
            core.flush()
            assert broker.heard() == []
            core.acknowledge(one)
        core.flush()
        assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_an_entry_of_which_nothing_is_left_is_acknowledged():
    broker, core = opened(permits=1)
    broker.feed(fake.batch(3, [b"a", b"b"], None, command_pairs=(4, 0)))
    assert core.take() is None and core.watch.arrivals == 0 and broker.heard() == []
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_ack_sets_of_several_words_each_by_itself_or_packed():
    letters = [b"%d" % number for number in range(130)]
    words = [1 << 63, 5, 2]
    expected = [63, 64, 66, 129]
    packed = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x05\x02"
    for value in (words, packed, [1 << 63, b"\x05\x02"]):
        broker, core = opened(permits=1, size=8192, limit=8192)
        broker.feed(fake.batch(3, letters, None, command_pairs=(4, value)))
        assert [int(data) for data in take_data(core)] == expected and permits(broker) == 4


def test_ack_sets_that_claim_more_than_there_is():
    for value in ([7, 99, 99], [3] + [0xFFFFFFFFFFFFFFFF] * 30, b"\x03\x63", b"\x7f" * 60):
        broker, core = opened(permits=1)
        broker.feed(fake.batch(3, [b"a", b"b"], None, command_pairs=(4, value)))
        assert take_data(core) == [b"a", b"b"] and permits(broker) == 2
    broker, core = opened(permits=1)
    broker.feed(fake.single(3, b"alone", command_pairs=(4, 0)))  # says nothing outside of a batch
    assert take_data(core) == [b"alone"]


def test_an_ack_set_cut_short_is_a_protocol_error():
    for packed in (b"\xff", b"\x01\x80", b"\xff" * 11):
        broker, _ = opened()
        raises(ProtocolError, broker.feed, fake.batch(3, [b"a", b"b"], None, command_pairs=(4, packed)))


def test_permits_of_what_cannot_be_read_count_the_ack_set_too():
    for pairs in ((8, 1), (13, (1, "key", 2, b"x"))):
        broker, core = opened(permits=1)
        broker.feed(fake.batch(3, [b"a"] * 9, None, *pairs, command_pairs=(4, 0b101000001)))
        assert core.take() is None and permits(broker) == 3
    broker, core = opened(permits=1, size=128, limit=128)
    broker.feed(fake.batch(3, [b"x" * 90] * 10, None, command_pairs=(4, 0b11)))
    assert permits(broker) == 2 and len(core.watch.errors) == 1


def test_entries_for_others_stay_or_are_acknowledged_as_the_application_wants():
    for pairs, reason in (((8, 2), 1), ((13, (1, "key", 2, b"x")), 4), ((27, 3), None)):
        for wanted in (False, True):
            broker, core = opened(permits=1)
            core.acknowledges_unreadable = wanted
            broker.feed(fake.single(3, b"x", *pairs))
            commands = broker.heard()
            acks = [(one.all(3), one.get(4)) for one in commands if one.kind == fake.ACK]
            assert acks == ([([fake.message_id(3)], reason)] if wanted else []) and commands[-1][2] == 1
            (error,) = core.watch.errors
            assert "(7,3,-1,-1)" in str(error) and ("stays" in str(error)) == (not wanted)


# By id, by entry, in part, up to


def test_acknowledgements_leave_after_a_time():
    broker, core = opened()
    broker.feed(fake.single(1, b"a") + fake.single(2, b"b"))
    first, second = core.take(), core.take()
    assert core.sweep(fake.START) == NEVER
    attended = core.watch.attended
    core.acknowledge(first)
    assert core.watch.attended == attended + 1 and core.sweep(fake.START + 10) == 100
    core.acknowledge(second)
    assert core.sweep(fake.START + 109) == 1 and broker.heard() == []
    assert core.sweep(fake.START + 110) == NEVER
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(1), fake.message_id(2)]
    assert core.sweep(fake.START + 1000) == NEVER and broker.heard() == []


def test_ids_and_messages_count_together():
    broker, core = opened()
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    first, second, third = take_all(core)
    for one in (first.message_id(), first, second, second.message_id(), second):
        core.acknowledge(one)
        core.flush()
        assert broker.heard() == []
    core.acknowledge(third.message_id())
    core.acknowledge(third)
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_ids_from_elsewhere():
    broker, core = opened()
    inside = [MessageId(fake.message_id(9), index, 2) for index in range(2)]
    core.acknowledge(MessageId.deserialize(inside[1].serialize()))
    core.acknowledge(MessageId.deserialize(inside[1].serialize()))
    core.flush()
    assert broker.heard() == []
    core.acknowledge(MessageId.deserialize(inside[0].serialize()))
    core.acknowledge(MessageId.deserialize(fake.message_id(4)))
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(9), fake.message_id(4)]
    raises(PulsarError, core.acknowledge, MessageId(fake.message_id(9), 1, 0))  # of a batch of unknown size
    raises(PulsarError, core.acknowledge, MessageId(fake.message_id(9), 5, 5))
    acknowledge_entry(core, MessageId(fake.message_id(9), 5, 0))
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(9)]


def test_a_whole_entry_at_once_and_only_once():
    broker, core = opened()
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    first, second, third = take_all(core)
    core.acknowledge(first)
    acknowledge_entry(core, second)
    for one in (first, second, third):
        core.acknowledge(one)
        acknowledge_entry(core, one)
        acknowledge_entry(core, one.message_id())
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_batch_index_acknowledgements():
    broker, core = opened(size=8192, limit=8192)
    core.partial = encode_acks
    broker.feed(fake.batch(3, [b"x"] * 66) + fake.batch(4, [b"y", b"z"]))
    messages = take_all(core)
    core.acknowledge(messages[0])
    core.acknowledge(messages[65])
    core.acknowledge(messages[66])
    core.flush()
    rest = (1 << 64) - 2
    assert broker.hear(fake.ACK).all(3) == [
        fake.message_id(3) + message(5, [rest, 1], 6, 66), fake.message_id(4) + message(5, [2], 6, 2)]
    core.acknowledge(messages[67])
    core.acknowledge(messages[64])
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(4), fake.message_id(3) + message(5, [rest], 6, 66)]
    for one in messages[1:64]:
        core.acknowledge(one)
    core.flush()
    acks = broker.heard()  # one or several, by the size of a group
    assert acks[-1].all(3) == [fake.message_id(3)] and {one.kind for one in acks} == {fake.ACK}


def _cumulated(broker, core):
    core.flush()
    acks = heard_of(broker, fake.ACK)
    assert [(one[2], len(one.all(3))) for one in acks] == [(1, 1)] * len(acks)
    return [one[3] for one in acks]


def test_cumulative_acknowledgements():
    broker, core = opened()
    broker.feed(fake.single(2, b"a") + fake.batch(3, [b"b", b"c", b"d"]) + fake.single(4, b"e"))
    messages = take_all(core)
    acknowledge_cumulative(core, messages[0])
    assert core.sweep(fake.START) == 100 and core.sweep(fake.START + 99) == 1 and broker.heard() == []
    acknowledge_cumulative(core, messages[1])  # in mid-batch: all before its entry, which waits to leave already
    assert core.sweep(fake.START + 100) == NEVER and _cumulated(broker, core) == [fake.message_id(2)]
    acknowledge_cumulative(core, messages[2].message_id())
    assert _cumulated(broker, core) == []  # the same again
    core.partial = encode_acks
    acknowledge_cumulative(core, messages[2])
    assert _cumulated(broker, core) == [fake.message_id(3) + message(5, [4], 6, 3)]
    core.partial = None
    acknowledge_cumulative(core, messages[3])
    assert _cumulated(broker, core) == [fake.message_id(3)]
    acknowledge_cumulative(core, messages[3])
    acknowledge_cumulative(core, messages[4])
    assert _cumulated(broker, core) == [fake.message_id(4)]  # the later one stands for both
    broker.feed(fake.single(5, b"f"))
    acknowledge_cumulative(core, core.take())
    core.start_close(broker.now)
    assert [one.kind for one in broker.heard()] == [fake.ACK, fake.CLOSE_CONSUMER]
    for kind in (1, 3):
        raises(PulsarError, acknowledge_cumulative, opened(consumer_type=kind)[1], messages[0])


# Redelivery


def test_negative_acknowledgements_of_shared_subscriptions_name_their_entries():
    broker, core = opened(consumer_type=SHARED)
    nacks = extra_of(core, NegativeAcks)
    for entry, tick in ((1, 0), (2, 5), (1, 7), (3, 300)):
        nacks.add(fake.message_id(entry), ticks_add(fake.START, tick), 100)
    assert core.sweep(fake.START) == 100 and broker.heard() == []
    assert core.sweep(fake.START + 107) == 293
    asked = broker.hear(REDELIVER)
    assert sorted(asked.all(2)) == [fake.message_id(1), fake.message_id(2)] and asked.get(3) is None
    core.lost(ConnectError("gone"), broker.now)
    assert core.sweep(fake.START + 1000) == NEVER  # all of it comes again anyway


def test_redelivery_to_an_only_consumer_raises_the_epoch_and_voids_what_is_under_way():
    broker, core = opened(permits=4)
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    core.acknowledge(core.take())
    extra_of(core, NegativeAcks).add(fake.message_id(3), fake.START, 10)
    core.sweep(fake.START + 10)
    asked, flow = broker.heard()
    assert (asked.kind, asked.all(2), asked[3]) == (REDELIVER, [], 1)
    assert (flow.kind, flow[2]) == (fake.FLOW, 3)  # one taken, two dropped
    assert core.take() is None
    broker.feed(fake.batch(4, [b"d", b"e"], None, command_pairs=(5, 0)))
    assert core.take() is None and permits(broker) == 2
    broker.feed(fake.single(3, b"again", command_pairs=(5, 1)) + fake.single(5, b"none"))
    assert take_data(core) == [b"again", b"none"]  # a broker may say no epoch
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    assert open_again(other, core)[19] == 1


def test_redelivery_of_all_on_a_shared_subscription():
    broker, core = opened(permits=2, consumer_type=SHARED)
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
    core.acknowledge(core.take())
    redeliver_all(core)
    taken, ack, asked, dropped = broker.heard()
    assert (taken.kind, taken[2]) == (fake.FLOW, 1) and ack.all(3) == [fake.message_id(3)]
    assert (asked.kind, asked.all(2), asked.get(3)) == (REDELIVER, [], None)
    assert (dropped.kind, dropped[2]) == (fake.FLOW, 1)
    assert core.epoch == 0 and core.take() is None
