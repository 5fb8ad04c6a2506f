"""The connection: frames of any cut and size, the handshake, keep-alive, and garbage that must not get through."""
from mpy_pulsar.errors import AuthenticationError, ConnectError, ProtocolError, PulsarError, Timeout
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.commands import PING_FRAME, command
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker, Command
from tests.unit.support import raises
from tests.unit.wire_support import Random

BIG_BATCH = [b"x" * 300] * 30  # above both the read buffer and its limit


class Recorder:
    """Stands where a handle does: notes what reaches it."""

    def __init__(self, handle_id=2):
        self.id = handle_id
        self.calls = []
        self.payloads = []

    def on_message(self, buffer, fields, pos, end):
        self.payloads.append(bytes(buffer[pos:end]))

    def on_oversize(self, buffer, fields, pos, end, size):
        self.calls.append(("oversize", fields.bytes(buffer, 2), size))

    def on_receipt(self, buffer, fields):
        self.calls.append(("receipt", fields.value[2]))

    def on_reply(self, kind, number, buffer, fields):
        self.calls.append((kind, number))

    def on_ready(self):
        self.calls.append("ready")


def _recorded(**options):
    broker = Broker(**options)
    recorder = broker.connection.handles[2] = Recorder()
    return broker, recorder


def test_frames_split_at_every_byte():
    first, second = fake.single(1, b"payload one"), fake.batch(2, [b"a", b"bc"])
    stream = first + PING_FRAME + second
    for cut in range(len(stream) + 1):
        broker, recorder = _recorded()
        broker.feed(stream[:cut])
        broker.feed(stream[cut:])
        broker.hear(fake.PONG)
        assert len(recorder.payloads) == 2, cut
        for frame, payload in zip((first, second), recorder.payloads):
            assert frame.endswith(payload) and payload[:2] == b"\x0e\x01", cut


def test_a_byte_at_a_time_and_all_at_once():
    stream = b"".join([fake.single(entry, b"p" * entry) for entry in range(1, 40)])
    outcomes = []
    for step in (1, 7, 1 << 30):
        broker, recorder = _recorded(size=200, limit=200)
        broker.feed(stream, step)
        outcomes.append(recorder.payloads)
        assert broker.connection.filled == 0
    assert len(outcomes[0]) == 39 and outcomes[0] == outcomes[1] == outcomes[2]


def test_the_buffer_grows_up_to_its_limit():
    frame = fake.single(1, b"y" * 1000)
    for step in (1, 100, 1 << 30):
        broker, recorder = _recorded(size=128, limit=len(frame))
        broker.feed(PING_FRAME + frame + PING_FRAME, step)
        broker.hear(fake.PONG)
        assert len(recorder.payloads) == 1 and frame.endswith(recorder.payloads[0])
        assert len(broker.connection.buffer) == len(frame)


def test_without_a_limit_the_buffer_grows_to_any_frame_of_the_broker():
    frame = fake.single(1, b"z" * 9000)
    broker, recorder = _recorded(size=128, limit=0)
    broker.feed(frame)
    assert len(recorder.payloads) == 1 and len(broker.connection.buffer) == len(frame)


def test_an_oversized_message_is_passed_over_and_its_handle_told():
    frame = fake.batch(9, BIG_BATCH)
    for step in (1, 333, 1 << 30):
        broker, recorder = _recorded(size=256, limit=256)
        broker.feed(PING_FRAME + frame + fake.single(10, b"next"), step)
        assert recorder.calls == [("oversize", fake.message_id(9), len(frame))]
        assert len(recorder.payloads) == 1 and recorder.payloads[0].endswith(b"next")
        assert len(broker.connection.buffer) == 256


def test_an_oversized_message_for_nobody_is_passed_over():
    broker, recorder = _recorded(size=256, limit=256)
    broker.feed(fake.batch(9, BIG_BATCH, consumer_id=77) + fake.single(10, b"next"))
    assert recorder.calls == [] and len(recorder.payloads) == 1


def test_any_other_oversized_command_is_a_protocol_error():
    frame = command(fake.ERROR, 1, 3, 2, 0, 3, "e" * 900)
    assert "read buffer" in str(raises(ProtocolError, Broker(size=256, limit=256).feed, frame))
    frame = frame[:4] + b"\0\0\0\x40" + frame[8:]  # the command ends where the text does not
    raises(ProtocolError, Broker(size=256, limit=256).feed, frame)
    frame = fake.single(1, b"x" * 900)
    frame = frame[:8] + b"\x08\x0d\x6a\x02\x08\x01" + frame[14:]
    raises(ProtocolError, Broker(size=256, limit=256).feed, frame[:4] + b"\0\0\0\x06" + frame[8:])


def test_a_frame_above_the_broker_s_maximum_is_a_protocol_error():
    broker = Broker(limit=0, connected=False)
    broker.connection.start("none", None)
    broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 5000)
    assert broker.connection.max_message_size == 5000
    broker.feed((5000 + 10240 - 4).to_bytes(4, "big"))  # with these four bytes the largest that is allowed
    assert len(broker.connection.buffer) == 5000 + 10240
    broker = Broker(limit=0)
    broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 5000)
    assert "15241" in str(raises(ProtocolError, broker.feed, (5000 + 10240 - 3).to_bytes(4, "big")))
    broker = Broker(limit=0)
    raises(ProtocolError, broker.feed, b"\x0f\xff\xff\xff")
    raises(ProtocolError, Broker(limit=0).feed, b"\xff\xff\xff\xff")


def test_a_maximum_that_makes_no_sense_is_not_taken_over():
    for size in (0, -1, 1 << 40):
        broker = Broker()
        broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, size)
        assert broker.connection.max_message_size == 5242880


def test_sizes_that_do_not_fit_are_protocol_errors():
    for data in (b"\0\0\0\0", b"\0\0\0\x03abc", b"\0\0\0\x06\0\0\0\x03\x08\x12", b"\0\0\0\x04\0\0\0\0",
                 b"\0\0\0\x06\xff\xff\xff\xff\x08\x12"):
        raises(ProtocolError, Broker().feed, data)


def test_ping_is_answered_once_while_nothing_is_written():
    broker = Broker()
    broker.feed(PING_FRAME * 5)
    broker.hear(fake.PONG)
    broker.feed(PING_FRAME)
    broker.hear(fake.PONG)


def test_commands_and_handles_that_are_unknown_are_passed_over():
    broker, recorder = _recorded()
    for kind in (1, 6, 12, 50, 127, 128, 200, 255, 300, 1 << 20, 1 << 28):
        broker.say(kind, 1, 2, 2, 2)
    broker.feed(b"\0\0\0\x07\0\0\0\x03\x08\xac\x02")  # type 300 and nothing else
    for kind in (7, 8, 9, 15, 16, 27, 31, 68):
        broker.say(kind, 1, 99, 2, 99)
    for kind in (13, 14, 17, 22, 24, 26, 30, 33, 35, 38, 40):
        broker.say(kind, 1, 55, 2, 55)
    assert recorder.calls == [] and recorder.payloads == [] and broker.heard() == []


def test_answers_reach_who_asked_once():
    broker, recorder = _recorded()
    places = {13: 1, 14: 1, 17: 1, 22: 2, 24: 4, 26: 1, 30: 2, 33: 1, 35: 1, 38: 6, 40: 1}
    for kind in sorted(places):
        number = broker.connection.request(recorder)
        pairs = [places[kind], number]
        broker.say(kind, *pairs)
        broker.say(kind, *pairs)
        assert recorder.calls == [(kind, number)]
        recorder.calls.clear()
    number = broker.connection.request(recorder)
    broker.connection.forget(recorder)
    broker.say(fake.SUCCESS, 1, number)
    assert recorder.calls == []


def test_with_a_token_nothing_but_connect_leaves_before_connected():
    for token, proxy_to in ((b"secret", None), (None, "there:6650"), (b"", None)):
        broker = Broker(connected=False)
        recorder = broker.connection.handles[2] = Recorder()
        broker.connection.start("token" if token is not None else "none", token, proxy_to)
        connect = broker.hear(fake.CONNECT)
        assert (connect.get(3), connect.get(6)) == (token, proxy_to and proxy_to.encode())
        assert not broker.connection.ready and recorder.calls == []
        broker.say(fake.CONNECTED, 1, "fake", 2, 21)
        assert broker.connection.ready and recorder.calls == ["ready"]
        broker.say(fake.CONNECTED, 1, "fake", 2, 21)
        assert recorder.calls == ["ready"]


def test_without_authentication_everything_leaves_in_one_flight():
    broker = Broker(connected=False)
    early, late = fake.producer(), fake.consumer()
    early.attach(broker.connection, broker.now)
    assert broker.heard() == []
    broker.connection.start("none", None)
    late.attach(broker.connection, broker.now)
    assert [one.kind for one in broker.heard()] == [fake.CONNECT, fake.LOOKUP, fake.LOOKUP]
    assert not broker.connection.connected


def test_a_refused_connect_raises_what_the_broker_said():
    for number in (fake.NO_REQUEST, 0, 7):
        broker = Broker(connected=False)
        broker.connection.start("token", b"secret")
        error = raises(AuthenticationError, broker.say, fake.ERROR, 1, number, 2, 3, 3, "expired")
        assert error.code == 3 and "expired" in str(error) and "secret" not in str(error)
    broker = Broker(connected=False)
    broker.connection.start("none", None)
    error = raises(PulsarError, broker.say, fake.ERROR, 1, fake.NO_REQUEST, 2, 22, 3, "too many")
    assert error.code == 22 and "too many" in str(error)


def test_once_connected_only_an_error_about_the_connection_raises():
    broker = Broker()
    broker.say(fake.ERROR, 1, 99, 2, 3, 3, "late answer")
    raises(AuthenticationError, broker.say, fake.ERROR, 1, fake.NO_REQUEST, 2, 3, 3, "expired")


def test_a_challenge_asks_the_owner_and_its_answer_is_sent():
    broker = Broker()
    broker.say(fake.AUTH_CHALLENGE, 1, "fake", 2, (1, "token", 2, "PulsarAuthRefresh"))
    assert broker.challenges == 1
    broker.connection.answer_challenge("token", b"fresh")
    assert broker.hear(fake.AUTH_RESPONSE)[2] == b"\x0a\x05token\x12\x05fresh"


def test_keep_alive_asks_after_30_s_and_gives_up_after_45():
    for start in (fake.START, ticks_add(0, -45000)):
        broker = Broker(now=start)
        connection = broker.connection
        assert connection.sweep(ticks_add(start, 29999)) == 1 and broker.heard() == []
        assert connection.sweep(ticks_add(start, 30000)) == 15000
        broker.hear(fake.PING)
        assert connection.sweep(ticks_add(start, 44999)) == 1 and broker.heard() == []
        assert "45 s" in str(raises(ConnectError, connection.sweep, ticks_add(start, 45000)))


def test_a_broker_that_owes_an_answer_is_asked_after_15_s_and_given_up_after_30():
    for owed in ("request", "receipt"):
        broker = Broker()
        core = fake.producer()
        if owed == "request":
            broker.attach(core)
        else:
            broker.open(core)
            core.ring.add(b"on its way")
            broker.sent(core)
        connection = broker.connection
        assert connection.sweep(ticks_add(fake.START, 14999)) == 1 and broker.heard() == []
        assert connection.sweep(ticks_add(fake.START, 15000)) == 15000
        broker.hear(fake.PING)
        assert "30 s" in str(raises(ConnectError, connection.sweep, ticks_add(fake.START, 30000)))
    # What is owed later is seen within 15 s.
    broker = Broker()
    core = fake.producer()
    broker.open(core)
    assert broker.connection.sweep(ticks_add(fake.START, 15000)) == 15000 and broker.heard() == []


def test_keep_alive_in_other_intervals():
    broker = Broker()
    connection = broker.connection
    connection.keep_alive = 2000
    assert connection.sweep(ticks_add(fake.START, 1999)) == 1 and broker.heard() == []
    assert connection.sweep(ticks_add(fake.START, 2000)) == 1000
    broker.hear(fake.PING)
    raises(ConnectError, connection.sweep, ticks_add(fake.START, 3000))


def test_who_looks_too_late_gives_the_broker_its_time_all_the_same():
    # A TLS handshake or a look-up of a name may block a board for longer than any of this.
    for late in (1000, 60000, 100000000):
        broker = Broker()
        connection = broker.connection
        asked = ticks_add(fake.START, 30000 + late)
        assert connection.sweep(asked) == 15000
        broker.hear(fake.PING)
        seen = ticks_add(asked, 15000 + late)
        assert connection.sweep(seen) == 15000 and broker.heard() == []
        raises(ConnectError, connection.sweep, ticks_add(seen, 15999))
        broker = Broker(connected=False)
        broker.connection.start("none", None)
        seen = ticks_add(fake.START, 10000 + late)
        assert broker.connection.sweep(seen) == 10000
        raises(Timeout, broker.connection.sweep, ticks_add(seen, 10000))


def test_any_bytes_count_as_life():
    broker = Broker()
    broker.connection.sweep(ticks_add(fake.START, 30000))
    broker.hear(fake.PING)
    broker.now = ticks_add(fake.START, 44999)
    broker.feed(b"\0")  # not even a frame
    assert broker.connection.sweep(ticks_add(broker.now, 1)) == 14999
    broker.connection.sweep(ticks_add(broker.now, 30000))
    broker.hear(fake.PING)


def test_the_handshake_has_ten_seconds():
    for start in (fake.START, ticks_add(0, -5000)):
        broker = Broker(now=start, connected=False)
        broker.connection.start("none", None)
        assert broker.connection.sweep(ticks_add(start, 9999)) == 1
        assert [one.kind for one in broker.heard()] == [fake.CONNECT]
        raises(Timeout, broker.connection.sweep, ticks_add(start, 10000))


def _open_broker():
    """A connection with an open producer (three frames in flight), an open consumer, and one of each half open."""
    broker = Broker(size=512, limit=1024)
    producer, consumer = fake.producer(messages=1), fake.consumer()
    broker.open(producer)
    broker.open(consumer)
    broker.hear(fake.FLOW)
    for payload in (b"a", b"b", b"c"):
        producer.ring.add(payload)
    broker.sent(producer)
    opening = fake.producer()
    opening.id = 3
    broker.attach(opening)
    looking = fake.consumer()
    looking.id = 4
    looking.attach(broker.connection, broker.now)
    broker.heard()
    return broker, consumer


def _valid_frames():
    request = 5  # about where the half open ones' requests are
    frames = [
        PING_FRAME, command(300, 1, 2), command(128, 1, 2), fake.single(1, b"payload", 4, (1, "k", 2, "v")),
        fake.batch(2, [b"one", b"two"]), fake.single(3, b"x" * 1500),
        fake.single(4, b"x", broker_entry=b"\x10\x05", checksum=False),
        command(fake.CONNECTED, 1, "fake", 2, 21, 3, 5242880), command(fake.AUTH_CHALLENGE, 1, "v"),
        command(27, 1, 2), command(31, 1, 2, 2, True), command(68, 1, 1, 2, 1, 3, "pulsar://m"),
        command(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST), command(fake.SEND_ERROR, 1, 1, 2, 0, 3, 22, 4, "no"),
    ]
    for handle in (1, 2, 3):
        frames += [
            command(fake.SEND_RECEIPT, 1, handle, 2, 0, 3, fake.message_id(0)),
            command(fake.SEND_RECEIPT, 1, handle, 2, 2), command(fake.SEND_RECEIPT, 1, handle, 2, b"bytes", 3, 7),
            fake.single(5, b"q", consumer_id=handle), command(fake.CLOSE_PRODUCER, 1, handle, 2, 0),
            command(fake.SEND_ERROR, 1, handle, 2, 1, 3, 15, 4, b"\xff\xfe"),
        ]
    for kind in (13, 14, 17, 22, 24, 26, 30, 33, 35, 38, 40):
        for number in (request, request + 1):
            frames.append(command(kind, 1, number, 2, number, 3, 1, 4, number, 6, number))
            frames.append(command(kind, 1, b"bytes", 2, b"\xff\xff", 3, b"text", 4, number, 6, -1))
    return frames


def _bombard(broker, consumer, data, step):
    """Nothing but PulsarError may come out; what was received can be taken and read, or is refused the same way."""
    try:
        broker.feed(data, step)
        message = consumer.take()
        while message:
            for name in ("data", "properties", "partition_key", "message_id", "sequence_id"):
                try:
                    getattr(message, name)()
                except ProtocolError:
                    pass
            consumer.acknowledge(message)
            message = consumer.take()
    except PulsarError:
        return False
    assert broker.connection.filled <= len(broker.connection.buffer) <= 1024
    for frame in broker.connection.control:
        Command(frame)
    return True


def test_valid_frames_in_the_wrong_place_do_no_harm_beyond_the_link():
    frames = _valid_frames()
    for frame in frames:
        broker, consumer = _open_broker()
        if _bombard(broker, consumer, frame, 1 << 30):
            _bombard(broker, consumer, frame, 1 << 30)


def test_garbage_raises_nothing_but_pulsar_errors():
    random = Random(20)
    frames = _valid_frames()
    alive = dead = 0
    for _ in range(300):
        broker, consumer = _open_broker()
        for _ in range(30):
            frame = bytearray(frames[random.below(len(frames))])
            for _ in range(1 + random.below(3)):
                at = random.below(len(frame)) if random.below(2) else random.below(min(len(frame), 40))
                frame[at] = (0, 127, 128, 255, random.below(256), frame[at] ^ 1 << random.below(8))[random.below(6)]
            if not _bombard(broker, consumer, bytes(frame), 1 + random.below(300)):
                dead += 1
                break
            alive += 1
    assert alive > 500 and dead > 100, (alive, dead)


def test_a_peer_that_says_anything_but_connected_has_ten_seconds():
    broker = Broker(connected=False)
    for second in range(1, 10):
        broker.now = ticks_add(fake.START, second * 1000)
        broker.feed(PING_FRAME)
        assert broker.connection.sweep(broker.now) == 10000 - second * 1000
    raises(Timeout, broker.connection.sweep, ticks_add(fake.START, 10000))
