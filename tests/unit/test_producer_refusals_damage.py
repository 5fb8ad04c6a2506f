"""ChecksumError: what was damaged on the way is sent again, once, behind all else; what was damaged here fails."""
from mpy_pulsar.core.handle import READY
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.features.own_frames import add_large
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, Ticket, opened_producer, producer_in_flight, reopen
from tests.unit.wire_support import crc32c, read_batch, read_send

_NOWHERE = (1 << 64) - 1


def _refuse(broker, sequence, code=9, text="why not"):
    broker.say(fake.SEND_ERROR, 1, 1, 2, sequence, 3, code, 4, text)


def _errors(tickets):
    return [ticket.calls[0][2] if ticket.calls else "waiting" for ticket in tickets]


def test_a_sound_frame_goes_again_with_new_ids_behind_what_is_unsent():
    broker, core, frames, tickets = producer_in_flight(3)
    core.ring.add(b"open")
    _refuse(broker, 1)
    assert tickets[1].calls == [] and core.state == READY
    (error,) = core.watch.errors
    assert error.code == 9 and "behind" in str(error)
    again = broker.sent(core)
    assert [read_send(frame)[0][2] for frame in again] == [3, 4]
    command, metadata, checksum, covered, payload = read_send(again[1])
    assert checksum == crc32c(covered) and command == {1: 1, 2: 4, 3: 1, 6: 4}
    assert metadata == {1: b"made", 2: 4, 3: TIME, 11: 1, 24: 4}
    assert read_batch(payload) == [({3: 9}, b"message 1")]
    for number, sequence in enumerate((0, 2, 3, 4)):
        assert not core.ring.idle()
        broker.receipt(sequence, entry=number)
    assert core.ring.idle() and tickets[1].calls == [(fake.message_id(3), 1, None)]
    assert core.ring.own == {} and core.ring.pending == 0


def test_the_second_refusal_is_the_last():
    broker, core, frames, tickets = producer_in_flight(1)
    _refuse(broker, 0)
    assert len(broker.sent(core)) == 1
    _refuse(broker, 1)
    ((encoded, size, error),) = tickets[0].calls
    assert (encoded, size, error.code) == (None, 1, 9) and "not stored" in str(error)
    assert core.ring.idle() and broker.sent(core) == [] and core.state == READY
    core.ring.add(b"the producer lives")
    assert read_send(broker.sent(core)[0])[0][2] == 2


def test_what_was_damaged_in_memory_fails_and_is_reported():
    broker, core, frames, tickets = producer_in_flight(2)
    ring = core.ring
    ring.buffer[ring.frame_end(0) - 1] ^= 1
    _refuse(broker, 0)
    error = tickets[0].calls[0][2]
    assert error.code == 9 and "memory" in str(error) and core.watch.errors == [error] and broker.sent(core) == []
    broker.receipt(1)
    assert ring.idle() and _errors(tickets) == [error, None]


def test_with_all_slots_in_use_it_waits_for_the_next_receipt():
    for damaged in ((1,), (1, 2), (2, 1), (0, 1), (0, 1, 2, 3)):
        broker, core, frames, tickets = producer_in_flight(4, slots=4)
        for sequence in damaged:
            _refuse(broker, sequence)
        again = broker.sent(core)
        left = [number for number in range(4) if number not in damaged]
        for number in left:
            broker.receipt(number)
            again += broker.sent(core)
        assert len(again) == len(damaged)
        assert sorted([read_batch(read_send(frame)[4])[0][1] for frame in again]) == [
            b"message %d" % number for number in sorted(damaged)
        ]
        for frame in again:
            broker.receipt(read_send(frame)[0][2])
        assert core.ring.idle() and _errors(tickets) == [None] * 4


def test_a_link_lost_before_there_was_a_slot_resends_it_and_does_not_take_a_duplicate_for_stored():
    broker, core, frames, tickets = producer_in_flight(3, slots=3)
    _refuse(broker, 1)
    assert broker.sent(core) == []
    core.lost(ConnectError("gone"), broker.now)
    reopen(broker, core)
    assert broker.sent(core) == frames
    # Stored now or taken for a duplicate: the one is confirmed, the other a loss, and nothing is sent a third time.
    broker.receipt(0)
    assert broker.sent(core) == []
    broker.receipt(1, entry=_NOWHERE, ledger=_NOWHERE)
    broker.receipt(2)
    assert core.ring.idle() and [error is None for error in _errors(tickets)] == [True, False, True]


def test_a_batch_of_several_keeps_their_order_and_a_large_frame_its_bytes():
    broker, core = opened_producer(messages=3)
    ring = core.ring
    tickets = [Ticket(), Ticket()]
    for payload in (b"a", b"b", b"c"):
        add_entry(ring, payload, fake.message(2, "k", 3, 1), fake.message(6, "k"))
    core.tickets[0] = tickets[0]
    add_large(ring, b"x" * 5000, fake.message(6, "key"), -1, False)
    ring.largest = 9000
    core._frame_most = 9000
    core.tickets[1] = tickets[1]
    assert len(broker.sent(core)) == 2
    _refuse(broker, 2)
    _refuse(broker, 3)
    first, second = broker.sent(core)
    command, metadata, checksum, covered, payload = read_send(first)
    assert command == {1: 1, 2: 4, 3: 3, 6: 6} and metadata[6] == b"k" and checksum == crc32c(covered)
    assert [one for _, one in read_batch(payload)] == [b"a", b"b", b"c"]
    command, metadata, checksum, covered, payload = read_send(second)
    assert command == {1: 1, 2: 7} and metadata[6] == b"key" and payload == b"x" * 5000 and checksum == crc32c(covered)
    broker.receipt(4, entry=1)
    broker.receipt(7, entry=2)
    assert [ticket.calls[0][:2] for ticket in tickets] == [(fake.message_id(1), 3), (fake.message_id(2), 0)]
    assert ring.idle() and ring.pending == 0


def test_after_a_refusal_for_all_a_duplicate_s_receipt_is_no_proof_for_the_refused_frame_and_those_behind_it():
    for refusals in ((1,), (1, 2)):
        broker, core, frames, tickets = producer_in_flight(3)
        for sequence in refusals:  # of a second one nothing is heard: by then the handle has left
            _refuse(broker, sequence, 2)
        reopen(broker, core)
        assert broker.sent(core) == frames
        for sequence in (0, 1, 2):
            broker.receipt(sequence, entry=_NOWHERE, ledger=_NOWHERE)
        stored, refused, behind = _errors(tickets)
        assert stored is None and "fate is unknown" in str(refused) and "fate is unknown" in str(behind)


def test_a_refusal_for_what_has_waited_too_long_does_no_harm():
    broker, core, frames, tickets = producer_in_flight(2)
    core.ring.drop(0)
    for code in (9, 22):
        _refuse(broker, 0, code)
    assert core.state == READY and tickets[0].calls == [] and broker.sent(core) == []
    broker.receipt(1)
    assert core.ring.idle() and _errors(tickets[1:]) == [None]


def test_what_an_earlier_transmission_may_have_stored_keeps_its_ids_and_is_not_said_to_be_lost():
    for code in (9, 22):
        broker, core, frames, tickets = producer_in_flight(2)
        core.lost(ConnectError("gone"), broker.now)
        reopen(broker, core)
        assert broker.sent(core) == frames
        _refuse(broker, 0, code)
        if code == 9:
            reopen(broker, core)
            assert broker.sent(core) == frames and tickets[0].calls == []
            _refuse(broker, 0, code)
        assert "fate is unknown" in str(tickets[0].calls[0][2]) and core.state == READY
        broker.receipt(1)
        assert core.ring.idle() and tickets[1].calls[0][2] is None
