"""send_timeout_millis: acknowledged, not sent and unknown are told apart, and what is late does no harm."""
import asyncio

from mpy_pulsar.core.handle import NEVER, READY
from mpy_pulsar.errors import ConnectError, Timeout
from mpy_pulsar.features.send_timeout import SendTimeout
from mpy_pulsar.port import ticks_add, ticks_diff, ticks_ms
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker, Ticket, reopen
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

_TIMEOUT = 1000


def _opened(start=fake.START, **options):
    broker, core = Broker(now=start), fake.producer(**options)
    SendTimeout(core, _TIMEOUT)
    broker.open(core)
    return broker, core


def _add(core, payload):
    core.ring.add(payload)
    ticket = core.tickets[core.ring.last_batch()] = Ticket()
    return ticket


def _error(ticket):
    ((encoded, size, error),) = ticket.calls
    assert encoded is None and size == 1
    return error


def test_a_transmitted_message_without_a_receipt_has_an_unknown_fate():
    for start in (fake.START, ticks_add(0, -500)):
        broker, core = _opened(start, messages=1)
        ticket = _add(core, b"one")
        broker.sent(core)
        assert core.sweep(broker.now) == _TIMEOUT
        broker.now = ticks_add(start, 999)
        assert core.sweep(broker.now) == 1 and ticket.calls == []
        broker.now = ticks_add(start, 1000)
        assert core.sweep(broker.now) == NEVER
        error = _error(ticket)
        assert isinstance(error, Timeout) and "unknown" in str(error) and fake.TOPIC in str(error)
        assert core.state == READY and core.ring.idle() and core.ring.pending == 0 and core.watch.rooms == 1
        # The late receipt, and a late refusal, change nothing; the next message has the next id.
        broker.receipt(0)
        broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 22, 4, "late")
        late = _add(core, b"two")
        (frame,) = broker.sent(core)
        broker.receipt(0)
        assert read_send(frame)[0][2] == 1 and late.calls == []
        broker.receipt(1)
        assert late.calls[0][2] is None and core.last_sequence_id() == 1


def test_what_was_never_transmitted_is_said_not_to_be_sent_and_is_not_sent_later():
    broker, core = _opened(messages=1)
    gone, fresh = _add(core, b"gone"), None
    core.lost(ConnectError("gone"), broker.now)
    core.sweep(broker.now)
    broker.now += 600
    fresh = _add(core, b"fresh")
    core.sweep(broker.now)
    broker.now += 400
    assert 0 < core.sweep(broker.now) <= 600
    assert "was not sent" in str(_error(gone)) and fresh.calls == []
    reopen(broker, core)
    (frame,) = broker.sent(core)
    assert read_batch(read_send(frame)[4])[0][1] == b"fresh" and read_send(frame)[0][2] == 0


def test_an_open_batch_ages_from_its_first_message():
    broker, core = _opened(delay=5000)
    ticket = _add(core, b"one")
    core.sweep(broker.now)
    broker.now += 900
    core.ring.add(b"two")
    core.sweep(broker.now)
    broker.now += 100
    core.sweep(broker.now)
    ((_, size, error),) = ticket.calls
    assert size == 2 and "was not sent" in str(error) and core.ring.idle()


def test_the_supervisor_is_told_when_something_begins_to_age():
    broker, core = _opened(messages=1)
    assert core.sweep(broker.now) == NEVER
    attended = core.watch.attended
    core.ring.add(b"x")
    broker.sent(core)  # the writer looks
    assert core.watch.attended == attended + 1
    core.ring.add(b"y")
    broker.sent(core)
    assert core.watch.attended == attended + 1  # once is enough
    core.lost(ConnectError("gone"), broker.now)
    attended = core.watch.attended
    core.wake()  # as of the first message of a batch, without a link
    assert core.watch.attended > attended


def test_frames_of_before_and_after_a_timed_out_one_keep_their_order():
    broker, core = _opened(messages=1)
    tickets = [_add(core, b"0")]
    frames = broker.sent(core)
    broker.now += 500
    tickets += [_add(core, b"1"), _add(core, b"2")]
    frames += broker.sent(core)
    broker.now += 500
    core.sweep(broker.now)
    assert [len(ticket.calls) for ticket in tickets] == [1, 0, 0]
    core.lost(ConnectError("gone"), broker.now)
    reopen(broker, core)
    assert broker.sent(core) == frames[1:]
    broker.receipt(1)
    broker.receipt(2)
    assert [ticket.calls[0][2] is None for ticket in tickets] == [False, True, True]


def test_a_half_written_frame_that_is_given_up_leaves_its_link():
    from mpy_pulsar.net import link as module

    broker, core = _opened(messages=1)
    ticket = _add(core, b"half")

    class Bare(module.Link):
        """A Link around a broker's connection, without its tasks."""

        def __init__(self):
            self.connection = broker.connection
            self.address = ("here", 6650)
            self._stream = stream
            self._supervisor = broker  # for its clock
            self._window = None

    class Stuck:
        """A socket that takes ten bytes, and anything once the test has gone on."""

        taken = b""
        room = 10

        def write(self, buffer, start, size):
            count = min(size, self.room)
            self.room -= count
            self.taken += bytes(buffer[start:start + count])
            return count or None

    stream = Stuck()

    async def writable(_):
        core.sweep(ticks_add(ticks_ms(), _TIMEOUT))  # the link's writer has looked at the real clock
        core.ring.add(b"HALF")  # where the other stood
        stream.room = 1000

    kept = module.writable
    module.writable = writable
    try:
        error = raises(ConnectError, asyncio.run, Bare()._write_data())
    finally:
        module.writable = kept
    assert "while it was written" in str(error) and len(stream.taken) == 10
    assert "unknown" in str(_error(ticket))


def test_flush_hears_of_messages_that_nobody_waited_for():
    broker, core = _opened()
    core.ring.add(b"x")
    broker.sent(core)
    core.sweep(broker.now)
    broker.now += 1000
    core.sweep(broker.now)
    assert isinstance(core.refused, Timeout) and core.watch.errors == [core.refused]


def test_without_a_broker_a_message_s_time_is_its_own_and_not_its_batch_s():
    broker, core = _opened(slots=16)
    core.lost(ConnectError("gone"), broker.now)
    waiting = {}  # by batch: its ticket and when each of its messages was queued
    ended = 0
    due = core.sweep(broker.now)
    for _ in range(60):  # a message each 50 ms, and the supervisor when it is to come
        attended = core.watch.attended
        if core.ring.add(b"x"):
            core.wake()
        number = core.ring.last_batch()
        if number not in waiting:
            waiting[number] = (core.tickets.setdefault(number, Ticket()), [])
        waiting[number][1].append(broker.now)
        broker.now = ticks_add(broker.now, 50)
        due -= 50
        if due <= 0 or core.watch.attended != attended:
            due = core.sweep(broker.now)
        for number in list(waiting):
            ticket, queued = waiting[number]
            if ticket.calls:
                ages = [ticks_diff(broker.now, tick) for tick in queued]
                assert _TIMEOUT * 8 // 10 < min(ages) and max(ages) <= _TIMEOUT + 100, ages
                ended += len(ages)
                del waiting[number]
    assert ended >= 35


def test_while_it_opens_the_supervisor_hears_of_every_new_batch():
    broker, core = _opened(messages=1)
    core.lost(ConnectError("gone"), broker.now)
    core.not_before = None
    core.attach(broker.connection, broker.now)
    for _ in range(2):
        attended = core.watch.attended
        core.ring.add(b"x")
        assert broker.sent(core) == []  # the link's writer looks
        assert core.watch.attended == attended + 1


def test_closing_what_is_open_leaves_a_slot_to_go_on_with():
    broker, core = _opened(slots=2)
    core.lost(ConnectError("gone"), broker.now)
    tickets = []
    for _ in range(2):
        tickets.append(_add(core, b"x"))
        assert core.sweep(broker.now) > 0
        broker.now = ticks_add(broker.now, 200)
        core.sweep(broker.now)
    assert core.ring.open == 1 and core.ring._count == 1
    core.ring.add(b"joins the last")
    assert core.ring._count == 2
