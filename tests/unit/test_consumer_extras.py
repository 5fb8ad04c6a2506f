"""What a consumer loads on demand, without sockets: ack_set, ids, redelivery, seek, requests, flow, start, policies."""
import mpy_pulsar.core.consumer_core as module
from mpy_pulsar.core.handle import CLOSED, NEVER, OPENING, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import AlreadyClosed, ConnectError, ProtocolError, PulsarError, Timeout
from mpy_pulsar.features.batch_acks import encode_acks
from mpy_pulsar.features.by_id import acknowledge_entry
from mpy_pulsar.features.cumulative import acknowledge_cumulative
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.manual_flow import ManualFlow
from mpy_pulsar.features.redelivery import NegativeAcks, redeliver_all
from mpy_pulsar.features.requests import Request, Requests
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.features.start import Start
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.consumer_requests import get_last_message_id, unsubscribe
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker
from tests.unit.support import raises

module.ACK_GROUP = 1000  # as on CPython; a board acknowledges at once

UNSUBSCRIBE = 12
REDELIVER = 20
SEEK = 28
GET_LAST_MESSAGE_ID = 29
GET_LAST_MESSAGE_ID_RESPONSE = 30
SHARED = 1


def _opened(permits=1000, consumer_type=0, **options):
    broker, core = Broker(**options), fake.consumer(permits, consumer_type)
    _open(broker, core)
    broker.hear(fake.FLOW)
    return broker, core


def _open(broker, core):
    module.QUEUE_BYTES, kept = 0, module.QUEUE_BYTES
    try:
        core.not_before = None
        return broker.open(core)
    finally:
        module.QUEUE_BYTES = kept


def _all(core):
    """The messages that can be taken."""
    found = []
    one = core.take()
    while one:
        found.append(one)
        one = core.take()
    return found


def _data(core):
    return [one.data() for one in _all(core)]


def _heard(broker, kind):
    return [one for one in broker.heard() if one.kind == kind]


def _permits(broker):
    return sum([one[2] for one in _heard(broker, fake.FLOW)])


# ack_set


def test_messages_acknowledged_already_are_passed_over_and_cost_nothing():
    letters = [b"a", b"b", b"c", b"d"]
    for bits, expected in ((0b1111, letters), (0b0001, [b"a"]), (0b1000, [b"d"]), (0b0110, [b"b", b"c"]),
                           (0xFFFFFFFFFFFFFFFF, letters)):
        broker, core = _opened(permits=1)
        broker.feed(fake.batch(3, letters, None, command_pairs=(4, bits)))
        messages = _all(core)
        assert [one.data() for one in messages] == expected and _permits(broker) == len(expected), bits
        for one in messages:
            core.flush()
            assert broker.heard() == []
            core.acknowledge(one)
        core.flush()
        assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_an_entry_of_which_nothing_is_left_is_acknowledged():
    broker, core = _opened(permits=1)
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
        broker, core = _opened(permits=1, size=8192, limit=8192)
        broker.feed(fake.batch(3, letters, None, command_pairs=(4, value)))
        assert [int(data) for data in _data(core)] == expected and _permits(broker) == 4


def test_ack_sets_that_claim_more_than_there_is():
    for value in ([7, 99, 99], [3] + [0xFFFFFFFFFFFFFFFF] * 30, b"\x03\x63", b"\x7f" * 60):
        broker, core = _opened(permits=1)
        broker.feed(fake.batch(3, [b"a", b"b"], None, command_pairs=(4, value)))
        assert _data(core) == [b"a", b"b"] and _permits(broker) == 2
    broker, core = _opened(permits=1)
    broker.feed(fake.single(3, b"alone", command_pairs=(4, 0)))  # says nothing outside of a batch
    assert _data(core) == [b"alone"]


def test_an_ack_set_cut_short_is_a_protocol_error():
    for packed in (b"\xff", b"\x01\x80", b"\xff" * 11):
        broker, _ = _opened()
        raises(ProtocolError, broker.feed, fake.batch(3, [b"a", b"b"], None, command_pairs=(4, packed)))


def test_permits_of_what_cannot_be_read_count_the_ack_set_too():
    for pairs in ((8, 1), (13, (1, "key", 2, b"x"))):
        broker, core = _opened(permits=1)
        broker.feed(fake.batch(3, [b"a"] * 9, None, *pairs, command_pairs=(4, 0b101000001)))
        assert core.take() is None and _permits(broker) == 3
    broker, core = _opened(permits=1, size=128, limit=128)
    broker.feed(fake.batch(3, [b"x" * 90] * 10, None, command_pairs=(4, 0b11)))
    assert _permits(broker) == 2 and len(core.watch.errors) == 1


def test_entries_for_others_stay_or_are_acknowledged_as_the_application_wants():
    for pairs, reason in (((8, 2), 1), ((13, (1, "key", 2, b"x")), 4), ((27, 3), None)):
        for wanted in (False, True):
            broker, core = _opened(permits=1)
            core.acknowledges_unreadable = wanted
            broker.feed(fake.single(3, b"x", *pairs))
            commands = broker.heard()
            acks = [(one.all(3), one.get(4)) for one in commands if one.kind == fake.ACK]
            assert acks == ([([fake.message_id(3)], reason)] if wanted else []) and commands[-1][2] == 1
            (error,) = core.watch.errors
            assert "(7,3,-1,-1)" in str(error) and ("stays" in str(error)) == (not wanted)


# By id, by entry, in part, up to


def test_ids_and_messages_count_together():
    broker, core = _opened()
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    first, second, third = _all(core)
    for one in (first.message_id(), first, second, second.message_id(), second):
        core.acknowledge(one)
        core.flush()
        assert broker.heard() == []
    core.acknowledge(third.message_id())
    core.acknowledge(third)
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_ids_from_elsewhere():
    broker, core = _opened()
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
    broker, core = _opened()
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    first, second, third = _all(core)
    core.acknowledge(first)
    acknowledge_entry(core, second)
    for one in (first, second, third):
        core.acknowledge(one)
        acknowledge_entry(core, one)
        acknowledge_entry(core, one.message_id())
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_batch_index_acknowledgements():
    broker, core = _opened(size=8192, limit=8192)
    core.partial = encode_acks
    broker.feed(fake.batch(3, [b"x"] * 66) + fake.batch(4, [b"y", b"z"]))
    messages = _all(core)
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
    acks = _heard(broker, fake.ACK)
    assert [(one[2], len(one.all(3))) for one in acks] == [(1, 1)] * len(acks)
    return [one[3] for one in acks]


def test_cumulative_acknowledgements():
    broker, core = _opened()
    broker.feed(fake.single(2, b"a") + fake.batch(3, [b"b", b"c", b"d"]) + fake.single(4, b"e"))
    messages = _all(core)
    acknowledge_cumulative(core, messages[0])
    assert core.sweep(fake.START) == 100 and core.sweep(fake.START + 99) == 1 and broker.heard() == []
    acknowledge_cumulative(core, messages[1])  # in mid-batch: all before its entry, which waits to leave already
    assert core.sweep(fake.START + 100) == NEVER and _cumulated(broker, core) == [fake.message_id(2)]
    acknowledge_cumulative(core, messages[2].message_id())
    assert _cumulated(broker, core) == []  # the same again
    acknowledge_cumulative(core, messages[3])
    assert _cumulated(broker, core) == [fake.message_id(3)]
    acknowledge_cumulative(core, messages[3])
    acknowledge_cumulative(core, messages[4])
    assert _cumulated(broker, core) == [fake.message_id(4)]  # the later one stands for both
    core.partial = encode_acks
    acknowledge_cumulative(core, messages[2])
    assert _cumulated(broker, core) == [fake.message_id(3) + message(5, [4], 6, 3)]
    acknowledge_cumulative(core, messages[4])
    core.start_close(broker.now)
    assert [one.kind for one in broker.heard()] == [fake.ACK, fake.CLOSE_CONSUMER]
    for kind in (1, 3):
        raises(PulsarError, acknowledge_cumulative, _opened(consumer_type=kind)[1], messages[0])


# Redelivery


def test_negative_acknowledgements_of_shared_subscriptions_name_their_entries():
    broker, core = _opened(consumer_type=SHARED)
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
    broker, core = _opened(permits=4)
    broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
    core.acknowledge(core.take())
    extra_of(core, NegativeAcks).add(fake.message_id(3), fake.START, 10)
    core.sweep(fake.START + 10)
    asked, flow = broker.heard()
    assert (asked.kind, asked.all(2), asked[3]) == (REDELIVER, [], 1)
    assert (flow.kind, flow[2]) == (fake.FLOW, 3)  # one taken, two dropped
    assert core.take() is None
    broker.feed(fake.batch(4, [b"d", b"e"], None, command_pairs=(5, 0)))
    assert core.take() is None and _permits(broker) == 2
    broker.feed(fake.single(3, b"again", command_pairs=(5, 1)) + fake.single(5, b"none"))
    assert _data(core) == [b"again", b"none"]  # a broker may say no epoch
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    assert _open(other, core)[19] == 1


def test_redelivery_of_all_on_a_shared_subscription():
    broker, core = _opened(permits=2, consumer_type=SHARED)
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
    core.acknowledge(core.take())
    redeliver_all(core)
    taken, ack, asked, dropped = broker.heard()
    assert (taken.kind, taken[2]) == (fake.FLOW, 1) and ack.all(3) == [fake.message_id(3)]
    assert (asked.kind, asked.all(2), asked.get(3)) == (REDELIVER, [], None)
    assert (dropped.kind, dropped[2]) == (fake.FLOW, 1)
    assert core.epoch == 0 and core.take() is None


# Seek


def _seek(core, message_id=None, time=None, start=None):
    call = Call(message_id, time, start, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    return call


def test_a_seek_is_closed_by_the_broker_and_opened_again():
    broker, core = _opened(permits=4)
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
    first = core.take()
    core.acknowledge(first)
    call = _seek(core, MessageId(fake.message_id(1)))
    ack, asked = broker.heard()
    assert (ack.kind, asked.kind, asked[3]) == (fake.ACK, SEEK, fake.message_id(1))
    assert core.state == OPENING and core.take() is None
    core.acknowledge(MessageId(fake.message_id(4)))  # of before: to be dropped
    broker.feed(fake.single(5, b"late"))
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    assert core.watch.errors == [] and not call.done
    broker.say(fake.SUCCESS, 1, asked[2])
    again = broker.hear(fake.SUBSCRIBE)
    broker.say(fake.SUCCESS, 1, again[5])
    assert broker.hear(fake.FLOW)[2] == core.permits and core.state == READY and call.done and call.error is None
    core.flush()
    assert broker.heard() == [] and core.take() is None
    broker.feed(fake.single(1, b"sought"))
    assert _data(core) == [b"sought"]


def test_a_seek_into_a_batch_says_what_is_left_of_it():
    broker, core = _opened()
    _seek(core, MessageId(fake.message_id(1), 2, 5))
    assert broker.hear(SEEK)[3] == fake.message_id(1) + message(5, [0b11100], 6, 5)
    broker, core = _opened()
    _seek(core, None, 1 << 41)
    asked = broker.hear(SEEK)
    assert asked[4] == 1 << 41 and asked.get(3) is None


def test_a_seek_whose_link_is_lost_is_made_again_before_any_message():
    broker, core = _opened()
    call = _seek(core, MessageId(fake.message_id(1)))
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    _open(other, core)
    asked = other.hear(SEEK)  # and no FLOW
    other.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    other.say(fake.SUCCESS, 1, asked[2])
    other.say(fake.SUCCESS, 1, other.hear(fake.SUBSCRIBE)[5])
    other.hear(fake.FLOW)
    assert call.done and call.error is None and core.state == READY
    core.lost(ConnectError("gone"), broker.now)
    third = Broker()
    _open(third, core)
    third.hear(fake.FLOW)  # done is done


def test_a_seek_that_is_refused_leaves_everything_as_it_was():
    broker, core = _opened(permits=1)
    broker.feed(fake.single(3, b"kept"))
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.say(fake.ERROR, 1, broker.hear(SEEK)[2], 2, 0, 3, "no seek now")
    assert call.done and "no seek now" in str(call.error) and core.state == READY
    assert _data(core) == [b"kept"]
    call = _seek(core, MessageId(fake.message_id(1)))
    number = broker.heard()[-1][2]
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.say(fake.ERROR, 1, number, 2, 0, 3, "late refusal")
    broker.say(fake.SUCCESS, 1, broker.hear(fake.SUBSCRIBE)[5])
    assert "late refusal" in str(call.error) and core.state == READY and broker.hear(fake.FLOW)[2] == 1


def test_a_seek_without_a_close_goes_on_with_the_permits_of_what_was_dropped():
    broker, core = _opened(permits=2)
    broker.feed(fake.single(3, b"old") + fake.single(4, b"old"))
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.say(fake.SUCCESS, 1, broker.hear(SEEK)[2])
    assert call.done and core.state == READY and core.take() is None and _permits(broker) == 2


def test_a_seek_without_an_answer_ends_with_its_time():
    broker, core = _opened()
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.heard()
    core.sweep(ticks_add(fake.START, fake.TIMEOUT))
    assert call.done and isinstance(call.error, Timeout) and core.connection is None
    other = Broker()
    _open(other, core)
    other.hear(fake.FLOW)


def test_what_was_before_the_place_sought_is_not_delivered():
    for index, inclusive, expected in ((1, False, [b"c"]), (1, True, [b"b", b"c"]), (-1, False, []),
                                       (-1, True, [b"a", b"b", b"c"]), (2, False, []), (0, False, [b"b", b"c"])):
        for all_before in (False, True):
            broker, core = _opened(permits=1)
            core.start = Start(MessageId(fake.message_id(3), index, 3), inclusive, all_before)
            broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
            assert _data(core) == expected and _permits(broker) == 3
            broker.feed(fake.single(4, b"later") + fake.single(2, b"before"))
            assert _data(core)[:1] == [b"later"]


# Requests


def _ask(core, make=get_last_message_id, kind=GET_LAST_MESSAGE_ID_RESPONSE):
    request = Request(make, kind, "asking", ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Requests).add(request)
    return request


def test_requests_are_asked_again_on_a_new_link_until_their_deadline():
    broker, core = _opened()
    request = _ask(core)
    number = broker.hear(GET_LAST_MESSAGE_ID)[2]
    core.lost(ConnectError("gone"), broker.now)
    broker.say(GET_LAST_MESSAGE_ID_RESPONSE, 1, fake.message_id(1), 2, number)
    assert not request.done
    other = Broker()
    _open(other, core)
    asked = other.heard()[0]
    assert asked.kind == GET_LAST_MESSAGE_ID
    other.say(GET_LAST_MESSAGE_ID_RESPONSE, 1, fake.message_id(8), 2, asked[2], 3, fake.message_id(6))
    assert (request.done, request.error, request.last, request.marked) == (
        True, None, fake.message_id(8), fake.message_id(6))
    late = _ask(core)
    assert core.sweep(fake.START) == fake.TIMEOUT
    core.sweep(ticks_add(fake.START, fake.TIMEOUT))
    assert isinstance(late.error, Timeout) and core.state == READY
    refused = _ask(core)
    other.say(fake.ERROR, 1, other.heard()[-1][2], 2, 0, 3, "not today")
    assert "not today" in str(refused.error) and "asking" in str(refused.error)


def test_an_answer_of_another_kind_makes_the_link_useless():
    broker, core = _opened()
    _ask(core)
    number = broker.hear(GET_LAST_MESSAGE_ID)[2]
    raises(ProtocolError, broker.say, fake.SUCCESS, 1, number)


def test_unsubscribing_ends_the_consumer():
    broker, core = _opened()
    request = _ask(core, unsubscribe, fake.SUCCESS)
    broker.say(fake.SUCCESS, 1, broker.hear(UNSUBSCRIBE)[2])
    assert request.done and core.state == CLOSED and core.connection is None
    raises(AlreadyClosed, core.check)


# Flow by hand


def test_the_application_gives_the_permits():
    broker, core = Broker(), fake.consumer(10)
    ManualFlow(core)
    _open(broker, core)
    assert broker.heard() == []
    core.flow(3)
    assert _permits(broker) == 3
    broker.feed(fake.single(1, b"a") + fake.single(2, b"b"))
    assert len(_all(core)) == 2 and broker.heard() == []
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    _open(other, core)
    assert _permits(other) == 1  # three were asked for, two came
    core.flow(100)
    assert _permits(other) == 9  # as many at a time as the queue holds
    other.feed(b"".join([fake.single(entry, b"x") for entry in range(10)]))
    assert len(_all(core)) == 10 and _permits(other) == 10
