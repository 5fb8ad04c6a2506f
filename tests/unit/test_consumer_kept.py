"""What a consumer must not lose in silence: permits that a false count has cost, messages that come while a seek fails;
and what it must not deliver: messages of before a redelivery."""
import mpy_pulsar.core.consumer_core as module
from mpy_pulsar.core.handle import CLOSED, IDLE, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.redelivery import redeliver_all
from mpy_pulsar.features.requests import Request, Requests
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.consumer_requests import unsubscribe
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import START, TIMEOUT, Broker

_UNSUBSCRIBE = 12
_SEEK = 28
_REDELIVER = 20
_UNKNOWN_ERROR = 0


def _opened(permits, consumer_type=0):
    """A broker, an open consumer and its SUBSCRIBE."""
    broker, core = Broker(), fake.consumer(permits, consumer_type)
    module.QUEUE_BYTES, kept = 0, module.QUEUE_BYTES
    try:
        asked = broker.open(core)
    finally:
        module.QUEUE_BYTES = kept
    assert broker.hear(fake.FLOW)[2] == permits
    return broker, core, asked


def _take_all(core):
    contents = []
    message = core.take()
    while message:
        contents.append(message.data())
        message = core.take()
    return contents


def _permits(broker):
    return sum([one[2] for one in broker.heard() if one.kind == fake.FLOW])


def test_a_batch_that_claims_too_much_gives_back_what_the_broker_took_for_it():
    for count in (7, 100, 1 << 27):
        broker, core, _ = _opened(4)
        broker.feed(fake.batch(3, [b"", b""], count))
        assert len(core.watch.errors) == 1 and _permits(broker) == count
    for count in (0, -1 << 31):  # its low bits are all that the scanner keeps
        broker, core, _ = _opened(2)
        broker.feed(fake.batch(3, [b"", b""], count))
        assert len(core.watch.errors) == 1 and _permits(broker) == 1
    for count in (-1, (1 << 31) - 1):  # what no broker can have counted
        broker, core, _ = _opened(2)
        broker.feed(fake.batch(3, [b"", b""], count))
        assert len(core.watch.errors) == 1 and core.state == IDLE, count
        assert broker.heard()[-1].kind == fake.CLOSE_CONSUMER  # its permits are counted anew


def test_what_was_on_its_way_before_the_first_redelivery_is_void():
    for consumer_type in (0, 2):
        broker, core, asked = _opened(4, consumer_type)
        assert asked[19] == 0  # else no MESSAGE would bear a number before that redelivery
        redeliver_all(core)
        assert broker.hear(_REDELIVER)[3] == 1
        broker.feed(fake.single(1, b"void", command_pairs=(5, 0)) + fake.single(2, b"void", command_pairs=(5, 0)))
        assert core.take() is None and _permits(broker) == 2
        broker.feed(fake.single(1, b"a", command_pairs=(5, 1)) + fake.single(2, b"b", command_pairs=(5, 1)))
        assert _take_all(core) == [b"a", b"b"]
    for consumer_type in (1, 3):
        assert _opened(4, consumer_type)[2].get(19) is None


def _seek(core):
    call = Call(MessageId(fake.message_id(1)), None, None, ticks_add(START, TIMEOUT))
    extra_of(core, Seek).begin(call, START)
    return call


def test_messages_that_come_while_a_seek_fails_are_delivered():
    broker, core, _ = _opened(2)
    broker.feed(fake.single(4, b"before"))
    call = _seek(core)
    asked = broker.hear(_SEEK)
    broker.feed(fake.single(5, b"meanwhile"))
    assert core.take() is None
    broker.say(fake.ERROR, 1, asked[2], 2, _UNKNOWN_ERROR, 3, "another one is under way")
    assert core.state == READY and call.error is not None
    assert _take_all(core) == [b"before", b"meanwhile"] and _permits(broker) == 2


def test_messages_that_come_while_a_seek_succeeds_give_their_permits_back():
    broker, core, _ = _opened(2)
    call = _seek(core)
    asked = broker.hear(_SEEK)
    broker.feed(fake.single(5, b"meanwhile"))
    broker.say(fake.SUCCESS, 1, asked[2])  # without closing the consumer
    assert core.state == READY and call.done and call.error is None
    assert core.take() is None and _permits(broker) == 1


def test_a_late_success_of_unsubscribing_ends_the_consumer():
    broker, core, _ = _opened(2)
    requests = extra_of(core, Requests)
    request = Request(unsubscribe, fake.SUCCESS, "unsubscribing", ticks_add(START, TIMEOUT))
    requests.add(request)
    asked = broker.hear(_UNSUBSCRIBE)
    core.sweep(ticks_add(START, TIMEOUT))
    assert request.done and core.state == READY
    broker.say(fake.SUCCESS, 1, asked[2])
    assert core.state == CLOSED and "unsubscribed" in str(core.failure)  # at the broker it is gone


def test_a_late_refusal_to_unsubscribe_is_reported():
    broker, core, _ = _opened(2)
    requests = extra_of(core, Requests)
    request = Request(unsubscribe, fake.SUCCESS, "unsubscribing", ticks_add(START, TIMEOUT))
    requests.add(request)
    asked = broker.hear(_UNSUBSCRIBE)
    requests.leave(request)  # its caller was cancelled
    broker.say(fake.ERROR, 1, asked[2], 2, 1, 3, "no metadata")
    (error,) = core.watch.errors
    assert "unsubscribing" in str(error) and "no metadata" in str(error) and error.error() == 1
    assert core.state == READY and request.error is None
