"""What a message may carry: keys, null values, ids of its own, delivery times, in a batch and alone."""
from binascii import a2b_base64

from mpy_pulsar.errors import QueueFull
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.features.fields import add
from mpy_pulsar.port import unix_seconds
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, opened_producer
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_message, read_send

_ORDER = ("properties", "partition_key", "ordering_key", "sequence_id", "event_timestamp", "deliver_at",
          "deliver_after")


class _Hours:
    """What a timedelta is for us; MicroPython has none."""

    def __init__(self, hours):
        self._hours = hours

    def total_seconds(self):
        return self._hours * 3600.0


class _OnlyALength:
    """Has a length, as payloads do, but no bytes."""

    def __len__(self):
        return 3


def _add(core, content, batching=True, **fields):
    return add(core, batching, content, tuple([fields.get(name) for name in _ORDER]))


def _batched(content, **fields):
    """(metadata of the batch, metadata of the one message, its payload)."""
    broker, core = opened_producer()
    _add(core, content, **fields)
    command, metadata, _, _, payload = read_send(broker.sent(core)[0])
    assert command[3] == 1
    ((single, data),) = read_batch(payload)
    return metadata, single, data


def _alone(content, batching=True, **fields):
    """(metadata, payload) of a message that goes unbatched."""
    broker, core = opened_producer()
    _add(core, content, batching, **fields)
    command, metadata, _, _, payload = read_send(broker.sent(core)[0])
    assert sorted(command) == [1, 2]
    return metadata, payload


def test_all_fields_in_a_batch():
    metadata, single, data = _batched(
        b"data", properties={"k": "v"}, partition_key="key", ordering_key=b"\x00\xff", event_timestamp=TIME,
    )
    assert single == {1: b"\x0a\x01k\x12\x01v", 2: b"key", 3: 4, 5: TIME, 7: b"\x00\xff"} and data == b"data"
    # A broker that deals out by key looks at the batch's.
    assert metadata == {1: b"made", 2: 0, 3: TIME, 6: b"key", 11: 1, 18: b"\x00\xff", 24: 0}


def test_all_fields_alone():
    metadata, data = _alone(
        b"data", False, properties={"k": "v"}, partition_key="key", ordering_key="text", event_timestamp=TIME,
        deliver_at=TIME + 5,
    )
    assert data == b"data" and metadata == {
        1: b"made", 2: 0, 3: TIME, 4: b"\x0a\x01k\x12\x01v", 6: b"key", 12: TIME, 18: b"text", 19: TIME + 5,
    }


def test_a_batch_bears_the_key_of_its_first_message():
    broker, core = opened_producer()
    core.ring.add(b"no key")
    _add(core, b"first", partition_key="a")
    for key in ("b", None, "c"):
        _add(core, b"then", partition_key=key, properties={"k": "v"})
    frames = broker.sent(core)
    assert [read_send(frame)[1].get(6) for frame in frames] == [None]
    core.ring.close_batch()
    _add(core, b"first", partition_key="a")
    _add(core, b"then", partition_key="b")
    (frame,) = broker.sent(core)
    command, metadata, _, _, payload = read_send(frame)
    assert command[3] == 2 and metadata[6] == b"a"
    assert [fields[2] for fields, _ in read_batch(payload)] == [b"a", b"b"]


def test_a_failed_first_message_leaves_no_key_behind():
    broker, core = opened_producer()
    raises(TypeError, add_entry, core.ring, 7, b"\x18\x01", b"\x32\x01k")
    raises(TypeError, add_entry, core.ring, _OnlyALength(), b"\x18\x03", b"\x32\x01k")
    core.ring.add(b"after")
    (frame,) = broker.sent(core)
    assert 6 not in read_send(frame)[1] and read_batch(read_send(frame)[4]) == [({3: 5}, b"after")]


def test_binary_keys_travel_in_base64():
    for key in (b"", b"\x00\xff\xfe", bytearray(b"k" * 100)):
        metadata, single, _ = _batched(b"x", partition_key=key)
        assert single[6] == metadata[17] == 1 and single[2] == metadata[6] and a2b_base64(single[2]) == key
        metadata, _ = _alone(b"x", False, partition_key=key)
        assert metadata[17] == 1 and a2b_base64(metadata[6]) == key


def test_no_content_is_a_null_value_and_an_empty_one_is_not():
    _, single, data = _batched(None, partition_key="k")
    assert single == {2: b"k", 3: 0, 9: 1} and data == b""
    _, single, data = _batched(b"", partition_key="k")
    assert single == {2: b"k", 3: 0}
    metadata, data = _alone(None, False)
    assert metadata[25] == 1 and data == b""
    assert 25 not in _alone(b"", False)[0]


def test_a_delivery_time_makes_a_frame_of_its_own():
    broker, core = opened_producer()
    core.ring.add(b"before")
    _add(core, b"later", deliver_at=TIME)
    core.ring.add(b"after")
    frames = [read_send(frame) for frame in broker.sent(core)]
    assert [frame[1].get(19) for frame in frames] == [None, TIME, None]
    assert [frame[0].get(3) for frame in frames] == [1, None, 1]
    for after, milliseconds in ((5000, 5000), (_Hours(2), 7200000), (0, 0)):
        earliest = unix_seconds() * 1000
        metadata, _ = _alone(b"x", deliver_after=after)
        assert earliest + milliseconds - 1000 <= metadata[19] <= (unix_seconds() + 2) * 1000 + milliseconds


def test_fields_that_are_wrong_are_refused_and_nothing_is_queued():
    broker, core = opened_producer()
    for error, fields in (
        (TypeError, {"properties": {"k": 5}}), (TypeError, {"properties": {5: "v"}}), (TypeError, {"partition_key": 5}),
        (TypeError, {"ordering_key": 5}), (ValueError, {"event_timestamp": -1}), (ValueError, {"deliver_at": -1}),
        (ValueError, {"deliver_after": -1}), (ValueError, {"deliver_at": 1, "deliver_after": 1}),
        (ValueError, {"sequence_id": -1}), (ValueError, {"sequence_id": 1 << 63}),
    ):
        raises(error, _add, core, b"x", **fields)
        assert core.ring.idle() and broker.sent(core) == []


def test_ids_of_its_own_rise_and_the_next_follow_them():
    broker, core = opened_producer()
    core.ring.add(b"0")
    core.ring.add(b"1")
    for wrong in (0, 1):
        assert "%d" % wrong in str(raises(ValueError, _add, core, b"x", sequence_id=wrong))
    _add(core, b"own", sequence_id=2)
    _add(core, b"own", sequence_id=1 << 40)
    core.ring.add(b"next")
    for wrong in (2, 1 << 40, (1 << 40) + 1):
        raises(ValueError, _add, core, b"x", sequence_id=wrong)
    frames = [read_send(frame) for frame in broker.sent(core)]
    assert [(frame[0][2], frame[1][2], frame[0].get(6)) for frame in frames] == [
        (0, 0, 1), (2, 2, None), (1 << 40, 1 << 40, None), ((1 << 40) + 1, (1 << 40) + 1, (1 << 40) + 1),
    ]
    raises(ValueError, _add, core, b"x", sequence_id=(1 << 40) + 1)
    highest = []
    for number in (0, 2, 1 << 40, (1 << 40) + 1):
        broker.receipt(number)
        highest.append(core.last_sequence_id())
    assert highest == [1, 2, 1 << 40, (1 << 40) + 1] and core.ring.idle()


def test_an_id_that_found_no_room_may_come_again():
    broker, core = opened_producer(slots=1, messages=1)
    core.ring.add(b"x")
    raises(QueueFull, _add, core, b"y", sequence_id=7)
    broker.sent(core)
    broker.receipt(0)
    _add(core, b"y", sequence_id=7)
    assert read_send(broker.sent(core)[0])[0][2] == 7


def test_ids_that_the_broker_remembers_may_come_again_before_any_other():
    nowhere = (1 << 64) - 1
    broker, core = opened_producer(last=20)
    assert core.last_sequence_id() == 20
    tickets = []
    for number in (19, 20, 22):
        _add(core, b"x", sequence_id=number)
        tickets.append(fake.Ticket())
        core.tickets[core.ring.last_batch()] = tickets[-1]
    core.ring.add(b"next")
    frames = broker.sent(core)
    assert [read_send(frame)[0][2] for frame in frames] == [19, 20, 22, 23]
    for number in (19, 20, 22):
        broker.receipt(number, entry=nowhere, ledger=nowhere)
    # 22 is above all that the broker had: it has dropped that one.
    assert [ticket.calls[0][2] is None for ticket in tickets] == [True, True, False]
    assert core.last_sequence_id() == 20
    raises(ValueError, _add, core, b"x", sequence_id=21)


def test_the_first_id_is_the_application_s_or_the_broker_s_if_that_is_higher():
    for first, last, expected in (
        (0, None, 0), (100, None, 100), (100, 41, 100), (100, 200, 201), (1 << 30, 7, 1 << 30),
    ):
        broker, core = opened_producer(first=first, last=last)
        assert core.last_sequence_id() == expected - 1
        core.ring.add(b"x")
        frame = broker.sent(core)[0]
        assert read_send(frame)[0][2] == expected and read_message(b"") == {}
        broker.receipt(expected)
        assert core.last_sequence_id() == expected
