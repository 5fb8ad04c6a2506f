"""A handle that closes, and answers that come when nobody waits for them any more."""
from mpy_pulsar.core.handle import CLOSED, CLOSING, IDLE, NEVER
from mpy_pulsar.errors import AlreadyClosed, ConnectError, PulsarError
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, Broker
from tests.unit.handle_support import opened, opening
from tests.unit.support import raises


def test_a_late_success_after_the_timeout_leaves_nothing_open():
    for make in (fake.producer, fake.consumer):
        broker, core, number = opening(make)
        core.sweep(fake.START)
        core.sweep(ticks_add(fake.START, TIMEOUT))
        assert core.state == CLOSED
        assert broker.hear(core.close_kind)[1] == core.id
        broker.say(fake.PRODUCER_SUCCESS if make is fake.producer else fake.SUCCESS, 1, number, 2, "late")
        # The broker may have handled the close before the opening.
        again = broker.hear(core.close_kind)
        assert again[1] == core.id and core.state == CLOSED and broker.connection.handles == {}
        broker.say(fake.SUCCESS, 1, again[2])
        assert broker.heard() == [] and broker.connection._requests == {}


def test_a_late_answer_that_opens_nothing_is_ignored():
    for kind in (fake.ERROR, fake.SUCCESS):
        broker, core, number = opening()
        core.retry(PulsarError("not now"))
        broker.hear(fake.CLOSE_PRODUCER)
        if kind == fake.SUCCESS:
            core.not_before = None
            broker.attach(core)  # it is back: what is answered to its first opening no longer counts
        broker.say(kind, 1, number, 2, 0, 3, "late")
        assert broker.heard() == []


def test_answers_that_never_come_are_not_waited_for_in_any_number():
    broker, core = Broker(), fake.producer()
    for _ in range(30):
        core.not_before = None
        broker.attach(core)
        core.retry(PulsarError("not now"))
        broker.hear(fake.CLOSE_PRODUCER)
    for _ in range(30):
        core = fake.producer()
        broker.open(core)
        core.start_close(broker.now)
        core.sweep(ticks_add(broker.now, TIMEOUT))
        broker.hear(fake.CLOSE_PRODUCER)
    assert len(broker.connection._requests) <= 8 and core.state == CLOSED


def test_closing_asks_the_broker_and_ends_with_its_answer():
    for make in (fake.producer, fake.consumer):
        broker, core = opened(make)
        core.start_close(broker.now)
        core.start_close(broker.now)
        asked = broker.hear(core.close_kind)
        assert asked[1] == core.id and core.state == CLOSING
        raises(AlreadyClosed, core.check)
        broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)  # theirs crosses ours
        assert core.state == CLOSING
        broker.say(fake.SUCCESS, 1, asked[2])
        assert core.state == CLOSED and core.watch.states == [CLOSING, IDLE, CLOSED]
        assert broker.connection.handles == {}


def test_a_refusal_to_close_is_reported():
    for make in (fake.producer, fake.consumer):
        broker, core = opened(make)
        core.start_close(broker.now)
        number = broker.hear(core.close_kind)[2]
        broker.say(fake.ERROR, 1, number, 2, 1, 3, "no metadata")
        (error,) = core.watch.errors
        assert core.state == CLOSED and error.error() == 1
        assert "closing of %s" % core.topic in str(error) and "no metadata" in str(error)
        broker, core = opened(make)
        core.start_close(broker.now)
        number = broker.hear(core.close_kind)[2]
        broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)  # it is closed, so what we ask for may be refused
        broker.say(fake.ERROR, 1, number, 2, 0, 3, "not there")
        assert core.state == CLOSED and core.watch.errors == []


def test_a_refusal_to_close_that_nobody_waits_for_any_more_is_reported():
    for kind in (fake.ERROR, fake.SUCCESS):
        broker, core = opened()
        core.start_close(broker.now)
        number = broker.hear(core.close_kind)[2]
        core.sweep(ticks_add(broker.now, TIMEOUT))
        assert core.state == CLOSED and broker.connection.handles == {}
        broker.say(kind, 1, number, 2, 1, 3, "no metadata")
        told = [str(error) for error in core.watch.errors]
        assert ["closing of %s" % core.topic in one and "no metadata" in one for one in told] == (
            [True] if kind == fake.ERROR else []
        )
        assert broker.heard() == [] and broker.connection._requests == {}


def test_closing_ends_without_an_answer_too():
    broker, core = opened()
    core.start_close(broker.now)
    core.lost(ConnectError("gone"), broker.now)
    assert core.state == CLOSED and isinstance(core.failure, AlreadyClosed)
    broker, core = opened()
    core.start_close(broker.now)
    assert core.sweep(ticks_add(broker.now, TIMEOUT - 1)) == 1
    core.sweep(ticks_add(broker.now, TIMEOUT))
    assert core.state == CLOSED and isinstance(core.failure, AlreadyClosed)


def test_closing_at_any_stage_before_ready_ends_at_once():
    core = fake.producer()
    core.start_close(0)
    assert core.state == CLOSED
    broker, core = Broker(), fake.producer()
    core.attach(broker.connection, broker.now)
    core.start_close(broker.now)
    assert core.state == CLOSED and [one.kind for one in broker.heard()] == [fake.LOOKUP]
    broker, core, _ = opening()
    core.start_close(broker.now)
    assert core.state == CLOSED
    broker.hear(fake.CLOSE_PRODUCER)
    assert core.sweep(ticks_add(broker.now, 2 * TIMEOUT)) == NEVER and isinstance(core.failure, AlreadyClosed)
