"""Seeks, questions to the broker and permits by hand, without sockets."""
from mpy_pulsar.core.handle import CLOSED, IDLE, OPENING, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import AlreadyClosed, ConnectError, ProtocolError, Timeout
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.manual_flow import ManualFlow
from mpy_pulsar.features.requests import Request, Requests
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.features.start import Start
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.consumer_requests import get_last_message_id, unsubscribe
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened, permits, take_all, take_data
from tests.unit.fake_broker import Broker
from tests.unit.support import raises

UNSUBSCRIBE = 12
SEEK = 28
GET_LAST_MESSAGE_ID = 29
GET_LAST_MESSAGE_ID_RESPONSE = 30


# Seek


def _seek(core, message_id=None, time=None, start=None):
    call = Call(message_id, time, start, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    return call


def test_a_seek_is_closed_by_the_broker_and_opened_again():
    broker, core = opened(permits=4)
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
    assert take_data(core) == [b"sought"]


def test_a_seek_into_a_batch_says_what_is_left_of_it():
    broker, core = opened()
    _seek(core, MessageId(fake.message_id(1), 2, 5))
    assert broker.hear(SEEK)[3] == fake.message_id(1) + message(5, [0b11100], 6, 5)
    broker, core = opened()
    _seek(core, None, 1 << 41)
    asked = broker.hear(SEEK)
    assert asked[4] == 1 << 41 and asked.get(3) is None


def test_a_seek_whose_link_is_lost_is_made_again_before_any_message():
    broker, core = opened()
    call = _seek(core, MessageId(fake.message_id(1)))
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    open_again(other, core)
    asked = other.hear(SEEK)  # and no FLOW
    other.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    other.say(fake.SUCCESS, 1, asked[2])
    other.say(fake.SUCCESS, 1, other.hear(fake.SUBSCRIBE)[5])
    other.hear(fake.FLOW)
    assert call.done and call.error is None and core.state == READY
    core.lost(ConnectError("gone"), broker.now)
    third = Broker()
    open_again(third, core)
    third.hear(fake.FLOW)  # done is done


def test_a_seek_that_is_refused_leaves_everything_as_it_was():
    broker, core = opened(permits=1)
    broker.feed(fake.single(3, b"kept"))
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.say(fake.ERROR, 1, broker.hear(SEEK)[2], 2, 0, 3, "no seek now")
    assert call.done and "no seek now" in str(call.error) and core.state == READY
    assert take_data(core) == [b"kept"]


def test_a_seek_that_fails_behind_the_close_is_made_again_once_the_topic_has_moved():
    broker, core = opened()
    call = _seek(core, MessageId(fake.message_id(1)))
    number = broker.hear(SEEK)[2]
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.say(fake.ERROR, 1, number, 2, 0, 3, "the topic is unloaded")
    assert not call.done and core.state == IDLE and core.failure is None
    other = Broker()
    open_again(other, core)
    other.say(fake.SUCCESS, 1, other.hear(SEEK)[2])
    assert call.done and call.error is None and core.state == READY


def test_a_seek_without_a_close_goes_on_with_the_permits_of_what_was_dropped():
    broker, core = opened(permits=2)
    broker.feed(fake.single(3, b"old") + fake.single(4, b"old"))
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.say(fake.SUCCESS, 1, broker.hear(SEEK)[2])
    assert call.done and core.state == READY and core.take() is None and permits(broker) == 2


def test_a_seek_without_an_answer_ends_with_its_time():
    broker, core = opened()
    call = _seek(core, MessageId(fake.message_id(1)))
    broker.heard()
    core.sweep(ticks_add(fake.START, fake.TIMEOUT))
    assert call.done and isinstance(call.error, Timeout) and core.connection is None
    other = Broker()
    open_again(other, core)
    other.hear(fake.FLOW)


def test_what_was_before_the_place_sought_is_not_delivered():
    for index, inclusive, expected in ((1, False, [b"c"]), (1, True, [b"b", b"c"]), (-1, False, []),
                                       (-1, True, [b"a", b"b", b"c"]), (2, False, []), (0, False, [b"b", b"c"])):
        for all_before in (False, True):
            broker, core = opened(permits=1)
            core.start = Start(MessageId(fake.message_id(3), index, 3), inclusive, all_before)
            broker.feed(fake.batch(3, [b"a", b"b", b"c"]))
            assert take_data(core) == expected and permits(broker) == 3
            broker.feed(fake.single(4, b"later") + fake.single(2, b"before"))
            assert take_data(core)[:1] == [b"later"]


# Requests


def _ask(core, make=get_last_message_id, kind=GET_LAST_MESSAGE_ID_RESPONSE):
    request = Request(make, kind, "asking", ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Requests).add(request)
    return request


def test_requests_are_asked_again_on_a_new_link_until_their_deadline():
    broker, core = opened()
    request = _ask(core)
    number = broker.hear(GET_LAST_MESSAGE_ID)[2]
    core.lost(ConnectError("gone"), broker.now)
    broker.say(GET_LAST_MESSAGE_ID_RESPONSE, 1, fake.message_id(1), 2, number)
    assert not request.done
    other = Broker()
    open_again(other, core)
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
    broker, core = opened()
    _ask(core)
    number = broker.hear(GET_LAST_MESSAGE_ID)[2]
    raises(ProtocolError, broker.say, fake.SUCCESS, 1, number)


def test_unsubscribing_ends_the_consumer():
    broker, core = opened()
    request = _ask(core, unsubscribe, fake.SUCCESS)
    broker.say(fake.SUCCESS, 1, broker.hear(UNSUBSCRIBE)[2])
    assert request.done and core.state == CLOSED and core.connection is None
    raises(AlreadyClosed, core.check)


# Flow by hand


def test_the_application_gives_the_permits():
    broker, core = Broker(), fake.consumer(10)
    ManualFlow(core)
    open_again(broker, core)
    assert broker.heard() == []
    core.flow(3)
    assert permits(broker) == 3
    broker.feed(fake.single(1, b"a") + fake.single(2, b"b"))
    assert len(take_all(core)) == 2 and broker.heard() == []
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    open_again(other, core)
    assert permits(other) == 1  # three were asked for, two came
    core.flow(100)
    assert permits(other) == 9  # as many at a time as the queue holds
    other.feed(b"".join([fake.single(entry, b"x") for entry in range(10)]))
    assert len(take_all(core)) == 10 and permits(other) == 10
