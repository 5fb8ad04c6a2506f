"""Messages that no ring of that size holds: in a buffer of their own, in order, one at a time."""
from mpy_pulsar.core.handle import READY
from mpy_pulsar.errors import ConnectError, MessageTooBig, QueueFull
from mpy_pulsar.features import own_frames
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker, opened_producer, reopen
from tests.unit.support import raises
from tests.unit.wire_support import Random, crc32c, read_batch, read_send

_LARGE = b"L" * 3000


def _payloads(frame):
    command, metadata, checksum, covered, payload = read_send(frame)
    assert checksum == crc32c(covered)
    return [one for _, one in read_batch(payload)] if 11 in metadata else [payload]


def _add_large(core, payload=_LARGE, metadata=b""):
    return own_frames.add_large(core.ring, payload, metadata, -1, True)


def test_a_large_message_keeps_its_place_among_small_ones():
    broker, core = opened_producer(size=1000)
    for payload in (b"a", b"b"):
        core.ring.add(payload)
    _add_large(core)
    core.ring.add(b"c")
    frames = broker.sent(core)
    assert [_payloads(frame) for frame in frames] == [[b"a", b"b"], [_LARGE], [b"c"]]
    core.lost(ConnectError("gone"), broker.now)
    reopen(broker, core)
    assert broker.sent(core) == frames
    for sequence in (0, 2, 3):
        broker.receipt(sequence)
    assert core.ring.idle() and core.ring.own == {} and core.ring.pending == 0 and core.state == READY


def test_one_at_a_time_and_never_above_the_broker_s_maximum():
    broker, core = Broker(size=4096), fake.producer(size=1000)
    broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 5000)
    broker.open(core)
    ring = core.ring
    most = 5000 - 48 - len("made")
    assert own_frames.has_room(ring, most) and not own_frames.has_room(ring, most + 1)
    assert not own_frames.has_room(ring, 100)  # the ring's own business
    assert "was not sent" in str(raises(MessageTooBig, _add_large, core, bytes(most + 1)))
    raises(MessageTooBig, _add_large, core, bytes(most - 5), b"\x32\x04long")
    assert ring.idle()
    _add_large(core, bytes(most))
    assert not own_frames.has_room(ring, most)
    raises(QueueFull, _add_large, core)
    (frame,) = broker.sent(core)
    assert len(frame) < 5000 + 100
    broker.receipt(0)
    assert own_frames.has_room(ring, most)


def test_what_was_taken_before_the_broker_said_its_maximum_fails_alone():
    broker, core = Broker(size=4096), fake.producer(size=1000, messages=1)
    core.ring.add(b"before")
    own_frames.add_large(core.ring, _LARGE, b"", -1, False)
    ticket = core.tickets[1] = fake.Ticket()
    core.ring.add(b"after")
    broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 2000)
    broker.open(core)
    assert [_payloads(frame) for frame in broker.sent(core)] == [[b"before"], [b"after"]]
    ((encoded, size, error),) = ticket.calls
    assert isinstance(error, MessageTooBig) and "2000" in str(error) and "not sent" in str(error)
    broker.receipt(0)
    broker.receipt(2)
    assert core.ring.idle()


def test_arbitrary_mixtures_lose_nothing_and_keep_their_order():
    for seed in range(60):
        random = Random(seed)
        broker, core = opened_producer(size=400 + random.below(400), slots=2 + random.below(5), messages=3)
        ring = core.ring
        accepted, received, flight = [], [], []
        for step in range(150):
            choice = random.below(6)
            if choice < 3:
                large = not random.below(4)
                payload = b"%d:" % step + bytes(random.below(60)) + (bytes(2000) if large else b"")
                try:
                    _add_large(core, payload) if large else ring.add(payload)
                    accepted.append(payload)
                except QueueFull:
                    assert not ring.idle()
            elif choice == 3:
                flight += broker.sent(core)
            elif choice == 4 and flight:
                frame = flight.pop(0)
                broker.receipt(read_send(frame)[0][2])
                received += _payloads(frame)
            elif not random.below(4):
                core.lost(ConnectError("gone"), broker.now)
                reopen(broker, core)
                flight = []
        while not ring.idle():
            flight += broker.sent(core)
            frame = flight.pop(0)
            broker.receipt(read_send(frame)[0][2])
            received += _payloads(frame)
        assert received == accepted and ring.pending == 0 and ring.own == {}, seed
        assert ring.has_room(len(ring.buffer) - ring.head_room - 20)
