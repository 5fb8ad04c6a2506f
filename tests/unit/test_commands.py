"""Commands as whole frames: sizes, type, and the fields that a broker reads."""
from mpy_pulsar.wire import commands, consumer_commands
from mpy_pulsar.wire.properties import key_values
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.support import raises
from tests.unit.wire_support import read_message

# Frames that a broker has accepted.
CONNECT = "00000026000000220802121e0a0e6d70795f70756c7361722d302e3120152a046e6f6e65520408011001"
PRODUCER = (
    "000000410000003d08052a390a2870657273697374656e743a2f2f7075626c69632f64656661756c742f766563746f72732d64656d6f"
    "100118032203766563400048015000"
)


def _sub_message(frame, kind):
    """The fields of a frame's sub-message, once its sizes, type and field number are right."""
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert int.from_bytes(frame[4:8], "big") == len(frame) - 8
    outer = read_message(frame[8:])
    assert sorted(outer) == [1, kind] and outer[1] == kind
    return read_message(outer[kind])


def test_known_frames():
    topic = "persistent://public/default/vectors-demo"
    frame = commands.command(2, 1, commands.CLIENT_VERSION, 4, 21, 5, "none", 10, (1, True, 2, True))
    assert frame.hex() == CONNECT
    assert commands.producer(topic, 1, 3, "vec", 0, True).hex() == PRODUCER
    assert commands.command(18) == commands.PING_FRAME
    assert commands.command(19) == commands.PONG_FRAME


def test_connect_with_and_without_credentials():
    fields = _sub_message(commands.connect("none"), 2)
    assert fields == {1: b"mpy_pulsar-0.1", 4: 21, 5: b"none", 10: b"\x08\x01"}
    fields = _sub_message(commands.connect("token", b"secret", "broker:6650"), 2)
    assert (fields[3], fields[5], fields[6]) == (b"secret", b"token", b"broker:6650")


def test_an_auth_response_holds_its_data_even_when_empty():
    fields = _sub_message(commands.auth_response("token", b""), 37)
    assert read_message(fields[2]) == {1: b"token", 2: b""}


def test_lookups():
    assert _sub_message(commands.lookup("t", 4), 23) == {1: b"t", 2: 4, 3: 0}
    assert _sub_message(commands.lookup("t", 4, True, "inner"), 23) == {1: b"t", 2: 4, 3: 1, 7: b"inner"}
    assert _sub_message(commands.partitioned_metadata("t", 5), 21) == {1: b"t", 2: 5}
    assert _sub_message(commands.partitioned_metadata("t", 5, False), 21) == {1: b"t", 2: 5, 6: 0}


def test_close_names_its_handle():
    assert _sub_message(commands.close(15, 7, 8), 15) == {1: 7, 2: 8}
    assert _sub_message(commands.close(16, 7, 8), 16) == {1: 7, 2: 8}


def test_key_values():
    assert key_values(None) is None and key_values({}) is None
    assert message(4, key_values({"k": "v"})) == b"\x22\x06\x0a\x01k\x12\x01v"


def test_subscribe():
    fields = _sub_message(consumer_commands.subscribe("t", "s", 1, 2, 3), 4)
    assert fields == {1: b"t", 2: b"s", 3: 1, 4: 2, 5: 3, 13: 0}
    frame = consumer_commands.subscribe(
        "t", "", 0, 2, 3, "name", False, b"\x08\x01\x10\x02", initial_position=1, epoch=9
    )
    fields = _sub_message(frame, 4)
    assert (fields[2], fields[6], fields[8], fields[9], fields[13], fields[19]) == (
        b"", b"name", 0, b"\x08\x01\x10\x02", 1, 9
    )


def test_ack_holds_every_message_id():
    ids = [b"\x08\x01\x10\x02", b"\x08\x01\x10\x03"]
    frame = consumer_commands.ack(1, ids, request_id=6)
    assert frame[8:] == b"\x08\x0a\x52\x12\x08\x01\x10\x00\x1a\x04" + ids[0] + b"\x1a\x04" + ids[1] + b"\x40\x06"
    fields = _sub_message(consumer_commands.ack(1, ids[:1], True, 3), 10)
    assert fields == {1: 1, 2: 1, 3: ids[0], 4: 3}
    # 0 is a validation error too (UncompressedSizeCorruption), so it must not be taken for none.
    assert _sub_message(consumer_commands.ack(1, ids[:1], validation_error=0), 10)[4] == 0


def test_properties_are_strings():
    for make in (fake.producer, fake.consumer):
        for properties in ({"room": 7}, {"room": b"7"}, {7: "room"}, {"room": None}):
            error = raises(TypeError, make, properties=properties)
            assert "room" in str(error)
