"""when_full="drop_oldest": what was never transmitted makes room for what comes, and whatever was transmitted stays."""
import gc

from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.errors import ConnectError, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES, ticks_add
from tests.unit.dropping_support import confirm, contents_of, make, opened, run_in_loop, send_with_ticket
from tests.unit.fake_broker import TOPIC, Broker, reopen
from tests.unit.support import raises
from tests.unit.wire_support import read_send


def test_without_a_link_the_oldest_make_room_and_the_rest_is_sent_in_order():
    def test():
        producer = make(producer_name="n")
        core = producer.core
        tickets = [send_with_ticket(producer, b"%03d" % number + bytes(60)) for number in range(50)]
        dropped = [number for number in range(50) if tickets[number].calls]
        assert 30 < len(dropped) < 46 and dropped == list(range(len(dropped)))
        for number in dropped:
            ((message_id, size, error),) = tickets[number].calls
            assert message_id is None and size == 1 and isinstance(error, QueueFull)
            assert "not sent" in str(error) and "dropped for newer ones" in str(error) and TOPIC in str(error)
        assert core.counts[11] == len(dropped) and core.ring.gaps is None  # nothing in flight: as if it were confirmed
        broker = Broker()
        broker.open(core)
        frames = broker.sent(core)
        assert contents_of(frames) == [b"%03d" % number + bytes(60) for number in range(len(dropped), 50)]
        assert [read_send(frame)[0][2] for frame in frames] == list(range(len(frames)))  # no id is wasted

    run_in_loop(test)


def test_a_long_outage_with_one_frame_in_flight_keeps_the_newest_and_that_frame_as_it_was():
    def test():
        broker, producer = opened()
        core = producer.core
        ring = core.ring
        first = send_with_ticket(producer, b"first" + bytes(200))
        (frame,) = broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        kept = []
        least = 1200
        for number in range(500):
            kept.append(b"%03d" % number + bytes(number % 90))
            producer.send_nowait(kept[-1])
            assert ring.open - ring.oldest <= ring._slots and ring.holds(ring.oldest)
            used = sum([
                ring._ends[one % ring._slots] - ring._entries[one % ring._slots] + ring.head_room
                for one in range(ring.oldest, ring.open)
            ])
            least = min(least, used if number > 20 else least)
        assert least > 700, "more was dropped than need be"
        assert not first.calls
        reopen(broker, core)
        frames = broker.sent(core)
        assert frames[0] == frame
        contents = contents_of(frames[1:])
        assert 3 < len(contents) and contents == kept[-len(contents):]
        assert core.counts[11] == 500 - len(contents)
        confirm(broker, core)
        assert first.calls[0][2] is None and ring.idle() and ring.pending == 0

    run_in_loop(test)


def test_what_is_dropped_frees_its_own_place_first():
    def test():
        broker, producer = opened()
        core = producer.core
        ring = core.ring
        producer.send_nowait(bytes(200))
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        place = ring._entries[1]
        for _ in range(2):
            producer.send_nowait(bytes(100))
        assert 0 <= ring._entries[(ring.open - 2) % ring._slots] - place <= 3
        before = ring.open
        for number in range(40):
            dropped = core.counts[11]
            producer.send_nowait(bytes(100))
            assert number < 12 or core.counts[11] == dropped + 1, "one goes for one that comes"
            assert ring.open <= before + 1  # its number is used again

    run_in_loop(test)


def test_where_all_is_in_flight_nothing_is_dropped():
    def test():
        broker, producer = opened()
        core = producer.core
        while producer.has_room(60):
            producer.send_nowait(bytes(60))
        broker.sent(core)
        raises(QueueFull, producer.send_nowait, bytes(60))
        core.lost(ConnectError("gone"), broker.now)
        raises(QueueFull, producer.send_nowait, bytes(60))
        assert core.counts[11] == 0 and core.sweep(broker.now) == NEVER
        reopen(broker, core)
        broker.sent(core)
        broker.receipt(0)
        producer.send_nowait(bytes(60))

    run_in_loop(test)


def test_where_dropping_would_not_help_nothing_is_dropped():
    def test():
        broker, producer = opened(send_buffer_size=1000)
        core = producer.core
        producer.send_nowait(bytes(100))
        producer.send_nowait(bytes(250))  # in the middle, when the others are gone
        broker.sent(core)
        broker.receipt(0)
        core.lost(ConnectError("gone"), broker.now)
        ticket = send_with_ticket(producer, b"small")
        raises(QueueFull, producer.send_nowait, bytes(480))
        assert not ticket.calls and core.counts[11] == 0
        reopen(broker, core)
        assert contents_of(broker.sent(core)) == [bytes(250), b"small"]

    run_in_loop(test)


def test_there_is_one_report_at_once_and_then_one_in_ten_seconds():
    def test():
        broker, producer = opened()
        core = producer.core
        core.lost(ConnectError("gone"), broker.now)
        errors = core.watch.errors
        errors.clear()
        attended = core.watch.attended
        for _ in range(30):
            producer.send_nowait(bytes(100))
        assert core.watch.attended == attended + 1 and errors == []
        first = core.counts[11]
        core.sweep(broker.now)
        assert len(errors) == 1 and "%d for want of room" % first in str(errors[0]) and TOPIC in str(errors[0])
        for _ in range(30):
            producer.send_nowait(bytes(100))
        broker.now = ticks_add(broker.now, 1000)
        assert core.sweep(broker.now) <= 9000 and len(errors) == 1
        broker.now = ticks_add(broker.now, 9000)
        core.sweep(broker.now)
        assert len(errors) == 2 and "%d for want of room" % (core.counts[11] - first) in str(errors[1])
        broker.now = ticks_add(broker.now, 20000)
        core.sweep(broker.now)
        assert len(errors) == 2

    run_in_loop(test)


def test_batches_are_small_enough_that_a_drop_costs_little():
    def test():
        producer = make(send_buffer_size=2000, batching_max_messages=1000)
        costs = []
        for _ in range(200):
            before = producer.core.counts[11]
            producer.send_nowait(bytes(20))
            costs.append(producer.core.counts[11] - before)
        ring = producer.core.ring
        assert ring.max_bytes == 500 and max(costs) <= 500 // 26
        assert ring.pending + ring._count >= 2 * 500 // 29

    run_in_loop(test)


def test_messages_of_every_kind_make_room():
    def test():
        producer = make(max_pending_messages=4)
        for number in range(9):
            producer.send_nowait(b"%d" % number)
        assert producer.core.counts[11] == 5 and producer.core.ring.pending == 4
        single = make(batching_enabled=False)
        for number in range(30):
            single.send_nowait(b"%d" % number + bytes(100))
        assert single.core.counts[11] > 20
        if LARGE_MESSAGES:
            large = make()
            tickets = [send_with_ticket(large, b"%d" % number + bytes(2000)) for number in range(3)]
            assert [len(ticket.calls) for ticket in tickets] == [1, 1, 0]

    run_in_loop(test)


def test_dropping_for_ever_takes_no_memory():
    def test():
        broker, producer = opened()
        core = producer.core
        producer.send_nowait(bytes(100))
        broker.sent(core)
        core.lost(ConnectError("gone"), broker.now)

        def drop_some():
            for _ in range(200):
                producer.send_nowait(bytes(100))
            core.sweep(broker.now)
            gc.collect()
            return gc.mem_free() if hasattr(gc, "mem_free") else 0

        drop_some()
        before = drop_some()
        for _ in range(3):
            assert before - drop_some() < 500
        assert len(core.tickets) == 0 and core.requeued == ()

    run_in_loop(test)
