"""A producer: names and first ids, receipts and refusals, what is resent after a move, delay, and how waits end."""
from mpy_pulsar.core.handle import IDLE, NEVER, OPENING, READY
from mpy_pulsar.errors import AlreadyClosed, ConnectError, MessageTooBig, ProtocolError, PulsarError
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, Broker, Ticket, opened_producer, producer_in_flight, reopen
from tests.unit.support import is_like, raises
from tests.unit.wire_support import crc32c, read_batch, read_send


def _first_id(frame):
    return read_send(frame)[0][2]


def test_a_transmitted_batch_bears_name_ids_and_time():
    broker, core = opened_producer(last=41)
    core.ring.add(b"one")
    core.ring.add(b"two")
    (frame,) = broker.sent(core)
    command, metadata, checksum, covered, payload = read_send(frame)
    assert command == {1: 1, 2: 42, 3: 2, 6: 43}
    assert metadata == {1: b"made", 2: 42, 3: TIME, 11: 2, 24: 43} and checksum == crc32c(covered)
    assert [one for _, one in read_batch(payload)] == [b"one", b"two"]
    assert broker.sent(core) == [] and core.due == NEVER


def test_nothing_is_transmitted_before_the_broker_has_accepted_it():
    broker, core = Broker(), fake.producer()
    core.ring.add(b"early")
    assert broker.sent(core) == [] and core.due == NEVER
    asked = broker.attach(core)
    assert broker.sent(core) == []
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    assert len(broker.sent(core)) == 1


def test_a_name_of_its_own_is_asked_for_and_kept():
    broker, core = Broker(), fake.producer(name="mine", access_mode=1, properties={"where": "cellar"})
    asked = broker.open(core, name="another")
    assert (asked[4], asked[9], asked[10], asked.all(6)) == (b"mine", 1, 1, [b"\x0a\x05where\x12\x06cellar"])
    assert core.name == "mine"
    core.ring.add(b"x")
    assert read_send(broker.sent(core)[0])[1][1] == b"mine"


def test_a_name_that_the_broker_made_is_kept_across_moves():
    broker, core = opened_producer()
    for epoch in (1, 2):
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        asked = reopen(broker, core, name="another")
        assert (asked[4], asked[8], asked[9], core.name) == (b"made", epoch, 0, "made")


def test_names_that_no_frame_has_room_for_are_refused():
    for name in ("", "n" * 65, "\xe9" * 33):
        raises(ValueError, fake.producer, name=name)
        broker, core = Broker(), fake.producer()
        asked = broker.attach(core)
        raises(ProtocolError, broker.say, fake.PRODUCER_SUCCESS, 1, asked[3], 2, name)
    fake.producer(name="n" * 64)


def test_the_first_id_follows_what_the_topic_remembers():
    for last, first in ((None, 0), (-1, 0), (0, 1), ((1 << 28) - 2, (1 << 28) - 1), ((1 << 28) - 1, 1 << 28),
                        (1 << 60, (1 << 60) + 1)):
        broker, core = opened_producer(last=last)
        for add in (0, 1):
            core.ring.add(b"x")
            assert _first_id(broker.sent(core)[0]) == first + add


def test_last_sequence_id_confirms_nothing_that_isproducer_in_flight():
    broker, core, frames, tickets = producer_in_flight()
    broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
    reopen(broker, core, last=50)
    assert [ticket.calls for ticket in tickets] == [[], [], []]
    assert broker.sent(core) == frames
    core.ring.add(b"next")
    assert _first_id(broker.sent(core)[0]) == 3


def test_a_producer_that_has_to_queue_is_ready_with_the_second_success():
    broker, core = Broker(), fake.producer(access_mode=2)
    core.ring.add(b"x")
    asked = broker.attach(core)
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, -1, 6, False)
    assert core.state == OPENING and not core.established and broker.sent(core) == []
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made", 3, 4, 6, True)
    assert core.state == READY and _first_id(broker.sent(core)[0]) == 5


def test_receipts_in_order_finish_one_batch_each():
    broker, core, _, tickets = producer_in_flight()
    for number in range(3):
        assert not core.ring.idle()
        broker.receipt(number, entry=10 + number)
        assert [len(ticket.calls) for ticket in tickets] == [1] * (number + 1) + [0] * (2 - number)
        assert tickets[number].calls == [(fake.message_id(10 + number), 1, None)]
        assert core.watch.rooms == number + 1
    assert core.ring.idle() and core.tickets == {}


def test_a_batch_is_confirmed_by_its_first_id():
    broker, core = opened_producer(messages=3)
    for payload in (b"a", b"b", b"c", b"d"):
        core.ring.add(payload)
    ticket = core.tickets[0] = Ticket()
    assert [_first_id(frame) for frame in broker.sent(core)] == [0, 3]
    broker.receipt(0, entry=5)
    assert ticket.calls == [(fake.message_id(5), 3, None)]
    broker.receipt(3)
    assert core.ring.idle()


def test_late_receipts_and_those_for_nothing_sent_are_ignored():
    broker, core = opened_producer()
    broker.receipt(0)
    core.ring.add(b"not transmitted yet")
    broker.receipt(0)
    assert not core.ring.idle() and core.watch.rooms == 0
    broker, core, _, tickets = producer_in_flight()
    broker.receipt(0)
    broker.receipt(0)
    broker.receipt(fake.NO_REQUEST)
    assert tickets[1].calls == []
    broker.receipt(1)
    assert [len(ticket.calls) for ticket in tickets] == [1, 1, 0]


def test_receipts_out_of_step_make_the_link_useless():
    broker, core, frames, tickets = producer_in_flight()
    error = raises(ProtocolError, broker.receipt, 1)
    core.lost(error, broker.now)
    assert [ticket.calls for ticket in tickets] == [[], [], []]
    other = Broker()
    reopen(other, core)
    assert other.sent(core) == frames


def test_a_receipt_with_a_number_for_an_id_loses_no_waiter():
    broker, core, frames, tickets = producer_in_flight()
    error = raises(ProtocolError, broker.say, fake.SEND_RECEIPT, 1, 1, 2, 0, 3, 7)
    core.lost(error, broker.now)
    reopen(broker, core)
    assert broker.sent(core) == frames
    broker.receipt(0)
    assert len(tickets[0].calls) == 1


def test_a_receipt_wakes_the_writer_for_a_batch_that_waited_for_a_slot():
    broker, core = opened_producer(slots=3)
    for sent in (1, 1, 0):
        core.ring.add(b"x")
        assert len(broker.sent(core)) == sent
    woken = broker.wakes
    broker.receipt(0)
    assert broker.wakes == woken + 1 and len(broker.sent(core)) == 1


def test_what_is_unconfirmed_is_resent_byte_for_byte_after_a_move():
    broker, core, frames, tickets = producer_in_flight()
    broker.receipt(0)
    broker.now = ticks_add(broker.now, 5000)
    broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
    assert core.state == IDLE and broker.sent(core) == [] and core.watch.attended
    core.ring.add(b"meanwhile")
    asked = reopen(broker, core)
    assert (asked[8], asked[4]) == (1, b"made")
    broker.clock.update(broker.now)
    resent = broker.sent(core)
    assert resent[:2] == frames[1:] and len(resent) == 3
    assert read_send(resent[2])[0][2] == 3 and read_send(resent[2])[1][3] == TIME + 5000
    for number in (1, 2, 3):
        broker.receipt(number)
    assert core.ring.idle() and [len(ticket.calls) for ticket in tickets] == [1, 1, 1]


def test_what_is_unconfirmed_is_resent_byte_for_byte_after_a_lost_link():
    broker, core, frames, tickets = producer_in_flight()
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    asked = reopen(other, core)
    assert (asked[8], asked[4]) == (1, b"made")
    assert other.sent(core) == frames
    broker.receipt(0)  # the old link's last words
    assert tickets[0].calls == []
    other.receipt(0)
    assert len(tickets[0].calls) == 1


def test_every_attempt_has_an_epoch_of_its_own():
    broker, core = Broker(), fake.producer()
    for epoch in (0, 1, 2):
        asked = broker.attach(core)
        assert asked[8] == epoch
        broker.say(fake.ERROR, 1, asked[3], 2, 2, 3, "storage")


def test_receipts_of_before_a_move_confirm_nothing_until_resent():
    broker, core, frames, tickets = producer_in_flight()
    broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
    broker.receipt(0)
    asked = broker.attach(core)
    broker.receipt(0)
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    broker.receipt(0)
    assert [ticket.calls for ticket in tickets] == [[], [], []]
    assert broker.sent(core) == frames


def test_a_final_refusal_while_opening_fails_every_waiter():
    broker, core = Broker(), fake.producer()
    core.ring.add(b"early")
    ticket = core.tickets[0] = Ticket()
    asked = broker.attach(core)
    broker.say(fake.ERROR, 1, asked[3], 2, 11, 3, "no such topic")
    assert is_like(ticket.calls[0][2], core.failure) and "not sent" in str(ticket.calls[0][2]) and core.watch.rooms == 1
    raises(PulsarError, core.ring.add, b"later")


def test_closing_ends_every_wait():
    broker, core, _, tickets = producer_in_flight()
    core.start_close(broker.now)
    broker.hear(fake.CLOSE_PRODUCER)
    for ticket in tickets:
        assert len(ticket.calls) == 1 and isinstance(ticket.calls[0][2], AlreadyClosed)
    assert core.watch.rooms == 1
    raises(AlreadyClosed, core.ring.add, b"later")
    broker.receipt(0)
    core.start_close(broker.now)
    assert [len(ticket.calls) for ticket in tickets] == [1, 1, 1] and broker.sent(core) == []


def test_a_batch_with_a_delay_waits_until_it_is_due():
    for start in (fake.START, ticks_add(0, -30)):
        broker, core = Broker(now=start), fake.producer(messages=3, delay=50)
        broker.open(core)
        assert broker.sent(core) == [] and core.due == NEVER
        core.ring.add(b"a")
        for passed, due in ((0, 50), (20, 30), (49, 1)):
            broker.now = ticks_add(start, passed)
            assert broker.sent(core) == [] and core.due == due
            core.ring.add(b"b") if passed == 20 else None
        broker.now = ticks_add(start, 50)
        assert len(broker.sent(core)) == 1
        core.ring.add(b"c")
        assert broker.sent(core) == [] and core.due == 50  # the next one has a delay of its own


def test_what_was_queued_before_the_broker_s_success_wakes_the_writer():
    broker, core = Broker(), fake.producer()
    core.ring.add(b"early")
    asked = broker.attach(core)
    wakes = broker.wakes
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    assert broker.wakes > wakes and len(broker.sent(core)) == 1


def test_a_full_batch_does_not_wait_for_its_delay():
    broker, core = opened_producer(messages=2, delay=50)
    for payload in (b"a", b"b", b"c"):
        core.ring.add(payload)
    assert len(broker.sent(core)) == 1 and core.due == 50
    core.ring.add(b"d")
    assert len(broker.sent(core)) == 1


def test_neither_a_payload_nor_a_batch_is_larger_than_the_broker_takes():
    broker, core = Broker(), fake.producer()
    broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 1000)
    broker.open(core)
    ring = core.ring
    most = 1000 - 48 - len("made")  # metadata counts
    assert ring.has_room(most - 9) and not ring.has_room(most - 8)
    assert str(most) in str(raises(MessageTooBig, ring.add, bytes(most - 8)))
    raises(MessageTooBig, ring.refuse_unfit, most + 1)
    ring.add(bytes(most - 9))
    for _ in range(20):
        ring.add(bytes(100))
    frames = broker.sent(core)
    assert len(frames) == 4 and max([len(frame) for frame in frames]) < 1100


def test_a_message_for_a_producer_s_id_is_ignored():
    broker, core, _, tickets = producer_in_flight()
    broker.feed(fake.single(1, b"x", consumer_id=1))
    broker.say(27, 1, 1)
    assert core.state == READY and [ticket.calls for ticket in tickets] == [[], [], []]
