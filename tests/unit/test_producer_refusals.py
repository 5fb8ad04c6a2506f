"""SEND_ERROR: which refusals cost one batch, which the place at the broker, and which the producer."""
from mpy_pulsar.core.handle import CLOSED, IDLE, READY
from mpy_pulsar.errors import ConnectError, PulsarError
from mpy_pulsar.features.entries import add_entry
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Ticket, opened_producer, producer_in_flight, reopen
from tests.unit.support import is_like, raises


def _refuse(broker, sequence, code, text="why not"):
    broker.say(fake.SEND_ERROR, 1, 1, 2, sequence, 3, code, 4, text)


def test_a_refusal_of_the_message_alone_fails_exactly_its_batch():
    for code in (22,):
        broker, core = opened_producer(messages=2)
        tickets = [Ticket(), Ticket()]
        for payload in (b"a", b"b", b"c", b"d"):
            core.ring.add(payload)
        core.tickets[0], core.tickets[1] = tickets
        broker.sent(core)
        _refuse(broker, 1, code)  # the batch's last id
        ((encoded, size, error),) = tickets[0].calls
        assert (encoded, size, error.code) == (None, 2, code) and "why not" in str(error)
        assert "not stored" in str(error) and core.watch.errors == [error] and core.watch.rooms == 1
        assert core.state == READY and core.failure is None and tickets[1].calls == []
        broker.receipt(2, entry=8)
        assert tickets[1].calls == [(fake.message_id(8), 2, None)] and core.ring.idle()


def test_a_refusal_may_overtake_the_receipts_of_older_batches():
    broker, core, _, tickets = producer_in_flight(4)
    _refuse(broker, 2, 22)
    _refuse(broker, 1, 22)
    assert [len(ticket.calls) for ticket in tickets] == [0, 1, 1, 0]
    broker.receipt(0)
    assert [ticket.calls[0][2] and ticket.calls[0][2].code for ticket in tickets[:3]] == [None, 22, 22]
    broker.receipt(3)
    assert core.ring.idle() and tickets[3].calls[0][2] is None


def test_refusals_of_what_is_not_in_flight_are_ignored():
    broker, core, frames, tickets = producer_in_flight()
    for _ in range(100):
        for sequence in (3, 50, fake.NO_REQUEST):
            _refuse(broker, sequence, 22)
    for number in range(3):
        broker.receipt(number)
    assert [ticket.calls[0][2] for ticket in tickets] == [None, None, None]
    core.ring.add(b"with the id that was named before it was sent")
    ticket = core.tickets[core.ring.last_batch()] = Ticket()
    broker.sent(core)
    broker.receipt(3)
    assert ticket.calls[0][2] is None


def test_a_refused_frame_is_not_sent_again_after_a_lost_link():
    broker, core, frames, tickets = producer_in_flight()
    _refuse(broker, 1, 22)
    assert tickets[1].calls[0][2].code == 22 and not tickets[0].calls
    core.lost(ConnectError("gone"), broker.now)
    reopen(broker, core)
    assert broker.sent(core) == [frames[0], frames[2]]
    broker.receipt(0)
    broker.receipt(2)
    assert [ticket.calls[0][2] for ticket in tickets[::2]] == [None, None] and core.ring.idle()


def test_other_refusals_open_the_producer_again_and_resend():
    for code in (0, 2, 6, 14):
        broker, core, frames, tickets = producer_in_flight()
        _refuse(broker, 0, code)
        assert core.state == IDLE and core.watch.errors[0].code == code and core.failure is None
        assert reopen(broker, core)[8] == 1
        assert broker.sent(core) == frames and tickets[0].calls == []


def test_a_broker_that_refuses_every_frame_is_tried_ever_more_seldom():
    broker, core, frames, tickets = producer_in_flight(2)
    # 2: PersistenceError, up to 30 s; 3: of those that only somebody's hand mends, up to 10 minutes.
    for code, failures, most in ((2, 18, 30000), (3, 14, 600000)):
        for _ in range(failures):
            _refuse(broker, 0, code)
            wait = core.wait_before(broker.now)
            broker.heard()
            reopen(broker, core)
            assert broker.sent(core) == frames
        assert most // 2 <= wait <= most, (code, wait)
    broker.receipt(0)
    _refuse(broker, 1, 2)
    assert 50 <= core.wait_before(broker.now) <= 100


def test_a_terminated_topic_fails_every_waiter_and_every_later_add():
    for code in (15, 25):
        broker, core, _, tickets = producer_in_flight()
        _refuse(broker, 0, code)
        assert core.state == CLOSED and core.failure.code == code and core.watch.rooms == 1
        for ticket in tickets:
            ((encoded, size, error),) = ticket.calls
            assert (encoded, size) == (None, 1) and is_like(error, core.failure) and "fate is unknown" in error.text
        assert core.tickets == {}
        assert is_like(raises(PulsarError, core.ring.add, b"later"), core.failure)
        assert is_like(raises(PulsarError, add_entry, core.ring, b"later", b""), core.failure)
        assert not core.ring.has_room(1) and is_like(raises(PulsarError, core.check), core.failure)
        assert broker.connection.handles == {} and broker.sent(core) == []
