"""Messages, single and batched, and message ids: what they say, their order, and their bytes."""
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ProtocolError
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, Broker, batch_entry
from tests.unit.support import raises

MINUS_ONE = (1 << 64) - 1
LATEST = (1 << 63) - 1

# Bytes that other clients write: ledger, entry, partition, batch index, batch size.
SERIALIZED = (
    ("080c10223000", (12, 34, -1, -1, 0)),  # Java
    ("080c1022", (12, 34, -1, -1, 0)),
    ("080c102218022003", (12, 34, 2, 3, 0)),  # Python
    ("080c102218022003300a", (12, 34, 2, 3, 10)),
    ("080c102218ffffffffffffffffff0120ffffffffffffffffff013000", (12, 34, -1, -1, 0)),  # Go
    ("08ffffffffffffffffff0110ffffffffffffffffff01", (-1, -1, -1, -1, 0)),  # earliest
    ("08ffffffffffffffff7f10ffffffffffffffff7f", (LATEST, LATEST, -1, -1, 0)),  # latest
    ("080c102220033a04080c1020", (12, 34, -1, 3, 0)),  # of a chunked message
    ("2003080c1022", (12, 34, -1, 3, 0)),  # any order of fields
)


def _parts(one):
    return one.ledger_id(), one.entry_id(), one.partition(), one.batch_index(), one.batch_size()


def _id(ledger, entry, index=-1):
    return MessageId(message(1, ledger, 2, entry), index)


def _received(frame):
    """The messages of one MESSAGE."""
    broker, core = Broker(), fake.consumer()
    broker.open(core)
    broker.feed(frame)
    messages = []
    one = core.take()
    while one:
        messages.append(one)
        one = core.take()
    return messages


def test_ids_of_every_client_are_read():
    for text, parts in SERIALIZED:
        assert _parts(MessageId.deserialize(bytes.fromhex(text))) == parts, text


def test_ids_are_written_as_the_official_clients_write_them():
    for text in ("080c1022", "080c102218022003", "080c102218022003300a",
                 "08ffffffffffffffffff0110ffffffffffffffffff01", "08ffffffffffffffff7f10ffffffffffffffff7f"):
        assert MessageId.deserialize(bytes.fromhex(text)).serialize().hex() == text
    assert MessageId(message(1, 12, 2, 34, 3, 2), 3, 10).serialize().hex() == "080c102218022003300a"
    assert MessageId(message(1, 12, 2, 34)).serialize().hex() == "080c1022"


def test_an_id_survives_being_written_and_read():
    for text, parts in SERIALIZED:
        once = MessageId.deserialize(bytes.fromhex(text))
        again = MessageId.deserialize(once.serialize())
        assert _parts(again) == parts and again == once


def test_the_entry_s_part_of_an_id_is_what_an_acknowledgement_echoes():
    assert MessageId.deserialize(bytes.fromhex("080c102218022003300a")).encoded.hex() == "080c10221802"


def test_bytes_that_are_no_id_are_refused():
    for data in (b"", b"\x08", b"\x08\x0c", b"\x10\x22", b"\x08\x0c\x10", b"\x0a\x01x\x10\x22", b"\xff" * 20,
                 b"\x08\x0c\x10\x22\x22\x01x", b"\x0b", b"\x08\x0c\x10\x22\x3a\x7f"):
        raises(ProtocolError, MessageId.deserialize, data)


def test_ids_are_in_order_of_ledger_entry_and_batch_index():
    ids = [_id(MINUS_ONE, MINUS_ONE), _id(0, 0), _id(1, 5), _id(1, 5, 0), _id(1, 5, 1), _id(1, 6), _id(1, 1 << 40),
           _id(2, 0), _id(1 << 31, 0), _id(1 << 40, 0), _id(LATEST, LATEST)]
    for at, one in enumerate(ids):
        for other_at, other in enumerate(ids):
            assert (one < other) == (at < other_at) and (one <= other) == (at <= other_at), (one, other)
            assert (one > other) == (at > other_at) and (one >= other) == (at >= other_at)
            assert (one == other) == (at == other_at) and (one != other) == (at != other_at)
    assert sorted(ids[5:] + ids[:5]) == ids


def test_equal_ids_hash_alike_however_they_were_encoded():
    first, second = MessageId(message(1, 12, 2, 34), 3), MessageId(message(1, 12, 2, 34, 3, -1), 3, 10)
    assert first == second and hash(first) == hash(second) and len({first, second}) == 1
    assert (first == "080c1022") is False and (first != None) is True  # noqa: E711


def test_an_id_s_text_has_all_four_parts():
    assert repr(MessageId(message(1, 12, 2, 34, 3, 2), 3)) == "(12,34,2,3)"
    assert repr(_id(MINUS_ONE, MINUS_ONE)) == "(-1,-1,-1,-1)"


def test_a_single_message_s_accessors():
    (one,) = _received(fake.single(
        9, b"payload", 4, [(1, "k", 2, "v"), (1, "caf\xe9", 2, ""), (1, "", 2, "empty")], 6, "key", 12, TIME - 1,
        16, b"\0\0\0\0\0\0\0\3", 18, b"\xffordering", command_pairs=(3, 2),
    ))
    assert one.data() == b"payload" and isinstance(one.data(), bytes)
    assert one.properties() == {"k": "v", "caf\xe9": "", "": "empty"}
    assert (one.partition_key(), one.ordering_key(), one.event_timestamp()) == ("key", b"\xffordering", TIME - 1)
    assert (one.publish_timestamp(), one.producer_name(), one.sequence_id()) == (TIME, "from", 5)
    assert (one.schema_version(), one.redelivery_count()) == (b"\0\0\0\0\0\0\0\3", 2)
    assert one.topic_name() == fake.TOPIC and one.has_null_value() is False and one.batch_place() == "single"
    assert _parts(one.message_id()) == (7, 9, -1, -1, 0)


def test_what_a_single_message_has_when_nothing_was_given():
    (one,) = _received(fake.single(0, b""))
    assert (one.data(), one.properties(), one.partition_key(), one.ordering_key()) == (b"", {}, "", b"")
    assert (one.event_timestamp(), one.schema_version(), one.redelivery_count()) == (0, b"", 0)
    assert one.has_null_value() is False
    (one,) = _received(fake.single(0, b"", 25, True))
    assert one.has_null_value() is True


def test_a_batched_message_s_accessors():
    entries = (
        batch_entry(b"one", 1, [(1, "k", 2, "v"), (1, "k2", 2, "v2")], 2, "key", 3, 3, 5, TIME - 1, 7, b"\xffo", 8, 77)
        + batch_entry(b"two") + batch_entry(b"", 3, 0, 9, True)
    )
    frame = fake.batch(9, entries, 3, 16, b"version", command_pairs=(3, 1))
    first, second, third = _received(frame)
    assert first.data() == b"one" and first.properties() == {"k": "v", "k2": "v2"}
    assert (first.partition_key(), first.ordering_key(), first.event_timestamp()) == ("key", b"\xffo", TIME - 1)
    assert first.sequence_id() == 77 and first.has_null_value() is False
    assert (second.data(), second.properties(), second.partition_key()) == (b"two", {}, "")
    assert (second.ordering_key(), second.event_timestamp(), second.sequence_id()) == (b"", 0, 6)
    assert third.data() == b"" and third.has_null_value() is True and third.sequence_id() == 7
    for index, one in enumerate((first, second, third)):
        assert (one.publish_timestamp(), one.producer_name(), one.schema_version()) == (TIME, "from", b"version")
        assert one.redelivery_count() == 1 and one.topic_name() == fake.TOPIC
        assert _parts(one.message_id()) == (7, 9, -1, index, 3)


def test_a_batch_s_own_metadata_is_not_its_messages():
    pairs = (4, (1, "of", 2, "the batch"), 6, "first key", 12, 5, 18, b"o", 25, True)
    (one,) = _received(fake.batch(9, [b"x"], None, *pairs))
    assert (one.properties(), one.partition_key(), one.event_timestamp(), one.ordering_key()) == ({}, "", 0, b"")
    assert one.has_null_value() is False


def test_places_in_a_batch():
    for places in (["single"], ["first", "last"], ["first", "intermediate", "intermediate", "last"]):
        assert [one.batch_place() for one in _received(fake.batch(1, [b"x"] * len(places)))] == places


def test_an_id_has_all_that_the_broker_sent():
    encoded = message(1, (1 << 62) + 5, 2, 1 << 40, 3, 4)
    (one,) = _received(fake.batch(0, [b"x"], command_pairs=(2, encoded)))
    assert _parts(one.message_id()) == ((1 << 62) + 5, 1 << 40, 4, 0, 1) and one.message_id().encoded == encoded


def test_metadata_that_is_no_text_says_so_when_it_is_read():
    (one,) = _received(fake.single(1, b"payload", 4, (1, "k", 2, b"\xff\xfe"), 6, b"\xff"))
    assert one.data() == b"payload"
    raises(ProtocolError, one.properties)
    raises(ProtocolError, one.partition_key)
    (one,) = _received(fake.single(1, b"payload", 4, 5, 6, 7, 12, b"time", 18, 9))
    for read in (one.properties, one.partition_key, one.ordering_key, one.event_timestamp):
        raises(ProtocolError, read)


def test_a_message_stays_readable_when_the_buffer_is_used_again():
    broker, core = Broker(size=256, limit=256), fake.consumer(20)
    broker.open(core)
    broker.feed(fake.batch(1, [b"kept", b"kept too"]))
    first, second = core.take(), core.take()
    for _ in range(20):
        broker.feed(fake.single(2, b"~" * 100))
    assert (first.data(), second.data(), first.producer_name()) == (b"kept", b"kept too", "from")
