"""time_to_live_ms: what was not sent by then is dropped and told of; what was sent goes on waiting for its receipt."""
import asyncio

from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.errors import ConnectError, Timeout
from mpy_pulsar.features.send_timeout import SendTimeout
from mpy_pulsar.port import ticks_add
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, Ticket, reopen
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

_LIFE = 1000
_READINGS = 3000  # a quarter of a second apart
_EXPIRED = 12


def _opened(timeout=0, start=fake.START, **options):
    broker, core = Broker(now=start), fake.producer(**options)
    SendTimeout(core, timeout, _LIFE)
    broker.open(core)
    return broker, core


def _add(core, payload):
    if core.ring.add(payload):
        core.wake()
    ticket = core.tickets.setdefault(core.ring.last_batch(), Ticket())
    return ticket


def _pass(broker, core, milliseconds):
    """Time goes by, and the supervisor looks."""
    broker.now = ticks_add(broker.now, milliseconds)
    return core.sweep(broker.now)


def _contents(frames):
    found = []
    for frame in frames:
        found += [content for _, content in read_batch(read_send(frame)[4])]
    return found


def test_a_board_that_was_offline_for_hours_sends_only_what_is_fresh():
    broker, core = _opened(messages=3, slots=16, size=4000)
    sent = _add(core, b"sent")
    (frame,) = broker.sent(core)
    core.lost(ConnectError("gone"), broker.now)
    attended = core.watch.attended
    for number in range(_READINGS):
        if core.ring.add(b"%d" % number):
            core.wake()
        assert 0 < core.sweep(broker.now) <= _LIFE
        _pass(broker, core, 250)
    assert core.watch.attended > attended
    reopen(broker, core)
    frames = broker.sent(core)
    contents = _contents(frames)
    assert frames[0] == frame and not sent.calls
    last = _READINGS - 1
    first = int(contents[1])
    assert contents[1:] == [b"%d" % number for number in range(first, last + 1)]
    assert 2 <= last - first <= 3  # those of the last second
    assert core.counts[_EXPIRED] == first and core.ring.pending == last + 2 - first


def test_an_expired_message_was_not_sent_and_says_so():
    for start in (fake.START, ticks_add(0, -500)):
        broker, core = _opened(start=start, messages=1)
        core.lost(ConnectError("gone"), broker.now)
        ticket = _add(core, b"gone")
        core.watch.errors.clear()
        assert _pass(broker, core, 0) <= _LIFE
        _pass(broker, core, 600)
        fresh = _add(core, b"fresh")
        _pass(broker, core, 1)
        assert _pass(broker, core, 398) == 1 and not ticket.calls
        _pass(broker, core, 1)
        ((message_id, size, error),) = ticket.calls
        assert message_id is None and size == 1 and isinstance(error, Timeout)
        assert "expired" in str(error) and "not sent" in str(error) and "1000" in str(error) and TOPIC in str(error)
        (report,) = core.watch.errors
        assert "0 for want of room" in str(report) and "1 older" in str(report)
        assert core.watch.rooms == 1 and core.counts[_EXPIRED] == 1
        reopen(broker, core)
        (frame,) = broker.sent(core)
        assert read_send(frame)[0][2] == 0 and _contents([frame]) == [b"fresh"] and not fresh.calls


def test_what_was_transmitted_does_not_expire():
    broker, core = _opened(messages=1)
    ticket = _add(core, b"sent")
    (frame,) = broker.sent(core)
    for _ in range(3):
        _pass(broker, core, 5000)
    core.lost(ConnectError("gone"), broker.now)
    for _ in range(3):
        _pass(broker, core, 5000)
    reopen(broker, core)
    assert broker.sent(core) == [frame] and not ticket.calls
    broker.receipt(0)
    assert ticket.calls[0][2] is None and core.counts[_EXPIRED] == 0
    assert _pass(broker, core, 1) == NEVER


def test_nothing_old_goes_out_before_the_supervisor_has_looked():
    broker, core = _opened(messages=1)
    core.lost(ConnectError("gone"), broker.now)
    ticket = _add(core, b"old")
    core.sweep(broker.now)
    reopen(broker, core)
    broker.now = ticks_add(broker.now, _LIFE)
    broker.clock.update(broker.now)
    assert broker.sent(core) == [] and "expired" in str(ticket.calls[0][2])
    core.ring.add(b"fresh")
    assert _contents(broker.sent(core)) == [b"fresh"]


def test_an_open_batch_expires_with_its_first_message_which_is_closed_in_time():
    broker, core = _opened(messages=100)
    core.lost(ConnectError("gone"), broker.now)
    first = _add(core, b"first")
    assert core.sweep(broker.now) <= _LIFE // 10
    _pass(broker, core, 100)
    second = _add(core, b"second")
    _pass(broker, core, 0)
    assert second is not first and core.ring.open == 1
    _pass(broker, core, 900)
    assert "expired" in str(first.calls[0][2]) and not second.calls
    _pass(broker, core, 100)
    assert second.calls and core.ring.idle()
    # While a batch waits for its delay at an open producer, it is the batch's own time that counts.
    broker, core = _opened(delay=5000)
    ticket = _add(core, b"one")
    core.sweep(broker.now)
    _pass(broker, core, 900)
    core.ring.add(b"two")
    _pass(broker, core, 100)
    ((_, size, error),) = ticket.calls
    assert size == 2 and "expired" in str(error) and core.ring.idle() and core.counts[_EXPIRED] == 2


def test_together_with_a_send_timeout_each_ends_its_own():
    broker, core = _opened(timeout=3000, messages=1)
    sent = _add(core, b"sent")
    broker.sent(core)
    core.lost(ConnectError("gone"), broker.now)
    waits = _add(core, b"waits")
    core.sweep(broker.now)
    _pass(broker, core, _LIFE)
    assert "expired" in str(waits.calls[0][2]) and not sent.calls
    _pass(broker, core, 2000)
    assert "unknown" in str(sent.calls[0][2]) and core.counts[10] == 1
    # The shorter one of the send timeout ends what was not sent, too.
    broker, core = _opened(timeout=500, messages=1)
    core.lost(ConnectError("gone"), broker.now)
    late = _add(core, b"late")
    core.sweep(broker.now)
    _pass(broker, core, 500)
    assert "was not sent" in str(late.calls[0][2]) and core.counts[13] == 1 and core.counts[_EXPIRED] == 0


def test_ages_move_up_with_their_batches():
    broker, core = _opened(messages=1, slots=8)
    core.ring.add(b"in flight")
    broker.sent(core)
    core.lost(ConnectError("gone"), broker.now)
    tickets = []
    for number in range(4):
        tickets.append(_add(core, b"%d" % number))
        core.sweep(broker.now)
        _pass(broker, core, 200)
    for number in range(4):
        assert [len(ticket.calls) for ticket in tickets] == [1] * number + [0] * (4 - number)
        _pass(broker, core, 200)
    assert core.counts[_EXPIRED] == 4


def test_the_option_reaches_from_one_millisecond_to_six_days():
    async def run():
        for wrong in (-1, 1 << 29):
            assert "time_to_live_ms" in str(raises(ValueError, make_producer, TOPIC, 1, TIMEOUT, time_to_live_ms=wrong))
        for when_full in (None, "block", "drop_oldest"):
            producer = make_producer(
                TOPIC, 1, TIMEOUT, time_to_live_ms=1, when_full=when_full, send_timeout_millis=0
            )
            assert producer.core.timeouts and producer.core.dropping
        assert make_producer(TOPIC, 1, TIMEOUT, send_timeout_millis=0).core.timeouts is None

    asyncio.run(run())
