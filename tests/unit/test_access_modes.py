"""Access modes: waiting for one's turn beyond any deadline, the topic's epoch, and being fenced."""
from mpy_pulsar import ProducerAccessMode
from mpy_pulsar.core.handle import CLOSED, NEVER, OPENING, READY
from mpy_pulsar.errors import ConnectError, ProtocolError, PulsarError, Timeout
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, Broker
from tests.unit.support import is_like, raises


def _queued():
    broker, core = Broker(), fake.producer(access_mode=ProducerAccessMode.WaitForExclusive)
    core.sweep(broker.now)
    asked = broker.attach(core)
    assert asked[10] == 2
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 6, False)
    return broker, core, asked


def test_a_queued_producer_waits_beyond_every_deadline():
    broker, core, asked = _queued()
    for _ in range(5):
        broker.now += 10 * TIMEOUT
        assert core.sweep(broker.now) == NEVER and core.state == OPENING and core.failure is None
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 5, 7, 6, True)
    assert core.state == READY and core.sweep(broker.now) == NEVER


def test_a_queued_producer_that_loses_its_link_queues_again():
    broker, core, asked = _queued()
    broker.now += 10 * TIMEOUT
    core.sweep(broker.now)
    core.lost(ConnectError("gone"), broker.now)
    core.not_before = None
    core.sweep(broker.now)
    assert core.failure is None
    asked = broker.attach(core)
    # Until it is queued again the usual deadlines hold.
    assert 0 < core.sweep(broker.now) <= TIMEOUT
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 6, False)
    broker.now += 10 * TIMEOUT
    assert core.sweep(broker.now) == NEVER and core.state == OPENING


def test_one_that_is_not_even_queued_times_out():
    broker, core = Broker(), fake.producer(access_mode=2)
    core.sweep(broker.now)
    broker.attach(core)
    broker.now += TIMEOUT
    core.sweep(broker.now)
    assert isinstance(core.failure, Timeout)


def test_only_who_asked_to_wait_for_its_turn_is_told_to():
    for mode in (0, 1, 3):
        broker, core = Broker(), fake.producer(access_mode=mode)
        asked = broker.attach(core)
        raises(ProtocolError, broker.say, fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 6, False)
        assert not core.queued


def test_giving_up_in_the_queue_closes_it_at_the_broker():
    broker, core, _ = _queued()
    core.start_close(broker.now)
    assert broker.hear(fake.CLOSE_PRODUCER)[1] == 1 and core.state == CLOSED


def test_the_topic_s_epoch_goes_back_on_reconnect():
    for epoch in (0, 7, 1 << 40):
        broker, core = Broker(), fake.producer(access_mode=1)
        asked = broker.attach(core)
        assert asked.get(11) is None
        broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 5, epoch)
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        core.not_before = None
        assert broker.attach(core).get(11) == epoch


def test_a_fenced_producer_ends_and_says_so():
    for access_mode in (1, 3):
        broker, core = Broker(), fake.producer(access_mode=access_mode)
        broker.open(core)
        core.ring.add(b"x")
        ticket = core.tickets[0] = fake.Ticket()
        broker.sent(core)
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        core.not_before = None
        asked = broker.attach(core)
        broker.say(fake.ERROR, 1, asked[3], 2, 25, 3, "Fenced by another")
        assert core.state == CLOSED and core.failure.code == 25
        assert "fate is unknown" in str(ticket.calls[0][2])
        assert is_like(raises(PulsarError, core.ring.add, b"later"), core.failure)
