"""The wire against Google's protobuf: random messages of every kind there is in Pulsar, written and scanned."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from mpy_pulsar.errors import ProtocolError
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.scanner import Fields, each, scan_command, signed, varint
from mpy_pulsar.wire.writer import message
from tools.pulsar_api import classes, message_class, table

API = classes()
# FieldDescriptor's number for a field that is a message.
NESTED = 11
MOST_FIELDS = 127

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=300)

_INTEGERS = {
    "uint64": st.integers(0, (1 << 64) - 1),
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
    "uint32": st.integers(0, (1 << 32) - 1),
    "int32": st.integers(-(1 << 31), (1 << 31) - 1),
}
_BORDERS = st.sampled_from([0, 1, 127, 128, 16383, 16384, (1 << 28) - 1, 1 << 28, (1 << 31) - 1])


def _fields(name: str) -> list[dict[str, Any]]:
    """What the table of facts says about a message's fields.

    Without those of fixed width, which we neither write nor read: they are in statistics that only consumers ask for.
    """
    return [field for field in table()["messages"][name]["fields"] if field["type"] != "double"]


@st.composite
def _values(draw: DrawFn, field: dict[str, Any], depth: int) -> Any:
    """One value of a field, as protobuf's own class takes it."""
    kind = field["type"]
    if kind == "message":
        return draw(_messages(field["ref"], depth - 1))
    if kind == "enum":
        return draw(st.sampled_from(sorted(table()["enums"][field["ref"]].values())))
    if kind == "bool":
        return draw(st.booleans())
    if kind == "string":
        return draw(st.text(max_size=150))
    if kind == "bytes":
        return draw(st.binary(max_size=150))
    return draw(_INTEGERS[kind] | _BORDERS)


@st.composite
def _messages(draw: DrawFn, name: str, depth: int = 3) -> Any:
    """A random message of the class `name`."""
    chosen = message_class(name)()
    for field in _fields(name):
        required = field["label"] == "required"
        if not required and (depth == 0 or not draw(st.booleans())):
            continue
        if field["label"] == "repeated":
            values = draw(st.lists(_values(field, depth), max_size=3))
            getattr(chosen, field["name"]).extend(values)
        elif field["type"] == "message":
            getattr(chosen, field["name"]).CopyFrom(draw(_values(field, depth)))
        else:
            setattr(chosen, field["name"], draw(_values(field, depth)))
        if field["type"] == "message" and field["label"] != "repeated":
            getattr(chosen, field["name"]).SetInParent()
    return chosen


def _pairs(chosen: Any) -> tuple[Any, ...]:
    """A message of protobuf's as our writer takes it."""
    pairs: list[Any] = []
    for field, value in chosen.ListFields():
        if field.is_repeated:
            value = [_pairs(item) if field.type == NESTED else item for item in value]
        elif field.type == NESTED:
            value = _pairs(value)
        pairs += [field.number, value]
    return tuple(pairs)


def _read(buffer: bytes, field: Any, at: int, size: int) -> Any:
    """The value of one field that `each` found, by the scanner."""
    if field.type == NESTED:
        _check_scan(buffer, at, at + size, field.message_type)
        return field.message_type._concrete_class.FromString(buffer[at:at + size])
    if field.type == field.TYPE_STRING:
        return buffer[at:at + size].decode()
    if field.type == field.TYPE_BYTES:
        return buffer[at:at + size]
    number = varint(buffer, at)
    return number if field.type in (field.TYPE_UINT64, field.TYPE_UINT32) else signed(number)


def _check_scan(buffer: bytes, start: int, end: int, descriptor: Any) -> None:
    """Scan a message and compare all of its fields with what protobuf finds."""
    want = descriptor._concrete_class.FromString(buffer[start:end])
    fields = Fields(MOST_FIELDS)
    fields.scan(buffer, start, end)
    present = {field.number for field, _ in want.ListFields()}
    assert present == {number for number in range(MOST_FIELDS + 1) if fields.value[number] >= 0}
    for field, value in want.ListFields():
        found = list(each(buffer, start, end, field.number))
        values = [_read(buffer, field, at, size) for at, size in found]
        assert values == (list(value) if field.is_repeated else [value])
        at, size = found[-1]
        if field.type in (NESTED, field.TYPE_STRING, field.TYPE_BYTES):
            assert (fields.start(field.number), fields.value[field.number]) == (at, size)
            assert fields.bytes(buffer, field.number) == buffer[at:at + size]
            with pytest.raises(ProtocolError):
                fields.integer(buffer, field.number)
        else:
            assert fields.integer(buffer, field.number) == varint(buffer, at)
            assert fields.value[field.number] == varint(buffer, at) & 0xFFFFFFF
            with pytest.raises(ProtocolError):
                fields.start(field.number)


@pytest.mark.parametrize("name", sorted(table()["messages"]))
@settings(repeatable, max_examples=25)
@given(data=st.data())
def test_every_message_of_the_protocol(name: str, data: st.DataObject) -> None:
    """Written byte for byte as protobuf writes it, and scanned back to the same values."""
    chosen = data.draw(_messages(name))
    encoded = chosen.SerializeToString(deterministic=True)
    assert message(*_pairs(chosen)) == encoded
    buffer = b"\xff\x08" + encoded + b"\xff" * 9
    _check_scan(buffer, 2, 2 + len(encoded), chosen.DESCRIPTOR)


def _command_types() -> list[tuple[int, str]]:
    return [(field["number"], field["ref"]) for field in _fields("BaseCommand")
            if field["type"] == "message" and field["number"] < 128]


@repeatable
@given(data=st.data(), kind_and_name=st.sampled_from(_command_types()), reverse=st.booleans())
def test_commands_in_any_order_with_unknown_fields(data: st.DataObject, kind_and_name: tuple[int, str],
                                                   reverse: bool) -> None:
    kind, name = kind_and_name
    chosen = data.draw(_messages(name))
    unknown = data.draw(st.lists(st.tuples(st.integers(128, 5000), st.integers(0, 1 << 63) | st.binary(max_size=9)),
                                 max_size=2))
    parts = [message(1, kind), message(kind, _pairs(chosen)), *[message(*pair) for pair in unknown]]
    encoded = b"".join(parts[::-1] if reverse else parts)
    assert API.BaseCommand.FromString(encoded).type == kind
    fields = Fields(MOST_FIELDS)
    assert scan_command(fields, b"\0" + encoded + b"\xff", 1, 1 + len(encoded)) == kind
    want = Fields(MOST_FIELDS)
    alone = chosen.SerializeToString()
    want.scan(alone, 0, len(alone))
    assert fields.value[1:] == want.value[1:]


def _tags(data: bytes) -> Iterator[int]:
    """The tags of a message that the scanner has taken."""
    at = 0
    while at < len(data):
        tag = 0
        for shift in range(0, 35, 7):
            tag |= (data[at] & 127) << shift
            at += 1
            if data[at - 1] < 128:
                break
        yield tag
        if tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
            continue
        start = at
        while data[at] > 127:
            at += 1
        at += 1
        if tag & 7 == 2:
            at += varint(data, start)


@st.composite
def _nearly_messages(draw: DrawFn) -> bytes:
    """A message with a few bytes changed, put in or cut out; or no message at all."""
    encoded = bytearray(draw(_messages(draw(st.sampled_from(sorted(table()["messages"]))))).SerializeToString())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(encoded)))
        encoded[at:at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(encoded) if encoded else draw(st.binary(max_size=30))


@settings(repeatable, max_examples=1500)
@given(data=_nearly_messages() | st.binary(max_size=40))
def test_what_the_scanner_takes_is_a_message_for_protobuf_too(data: bytes) -> None:
    fields = Fields()
    try:
        fields.scan(data, 0, len(data))
    except ProtocolError as error:
        offset = error.offset
    else:
        offset = None
    if offset is not None:
        assert 0 <= offset <= len(data)
        return
    if all(8 <= tag < 1 << 32 for tag in _tags(data)):
        API.CommandPing.FromString(data)  # has no fields: all are unknown, only the form is looked at
    for field in range(16):
        try:
            if fields.value[field] >= 0:
                fields.integer(data, field)
        except ProtocolError:
            assert len(fields.bytes(data, field) or b"") == fields.value[field]


def _split(frame: bytes) -> tuple[Any, Any, bytes]:
    """A SEND frame as protobuf reads it: command, metadata, payload; the sizes and the checksum are right."""
    def size(at: int) -> int:
        return int.from_bytes(frame[at:at + 4], "big")

    assert size(0) == len(frame) - 4
    at = 8 + size(4)
    assert frame[at:at + 2] == b"\x0e\x01"
    assert size(at + 2) == google_crc32c.value(frame[at + 6:])
    end = at + 10 + size(at + 6)
    return API.BaseCommand.FromString(frame[8:at]), API.MessageMetadata.FromString(frame[at + 10:end]), frame[end:]


@repeatable
@given(
    payloads=st.lists(st.tuples(st.binary(max_size=300), _messages("SingleMessageMetadata") | st.none()), min_size=1),
    name=st.binary(max_size=15).map(bytes.hex), producer_id=st.integers(0, 1 << 27),
    sequence=st.integers(0, (1 << 63) - 1) | st.integers((1 << 28) - 9, 1 << 28), time=st.integers(0, (1 << 56) - 1),
)
def test_frames_of_the_ring(payloads: list[tuple[bytes, Any]], name: str, producer_id: int, sequence: int,
                            time: int) -> None:
    ring = BatchRing(bytearray(200_000), producer_id, 100, 5, 1000)
    ring.set_name(name.encode())
    ring.sequence, ring.sequence_high = sequence & 0xFFFFFFF, sequence >> 28
    for payload, metadata in payloads:
        if metadata is None:
            ring.add(payload)
        else:
            metadata.payload_size = len(payload)
            add_entry(ring, payload, metadata.SerializeToString())
    rest = list(payloads)
    while (slot := ring.next_frame(time & 0xFFFFFFF, time >> 28)) >= 0:
        command, head, entries = _split(bytes(ring.buffer[ring.frame_start(slot):ring.frame_end(slot)]))
        assert command.type == API.BaseCommand.SEND
        count = command.send.num_messages
        last = sequence + count - 1
        assert command.send == API.CommandSend(producer_id=producer_id, sequence_id=sequence, num_messages=count,
                                               highest_sequence_id=last)
        assert head == API.MessageMetadata(producer_name=name, sequence_id=sequence, publish_time=time,
                                           num_messages_in_batch=count, highest_sequence_id=last)
        for payload, metadata in rest[:count]:
            end = 4 + int.from_bytes(entries[:4], "big")
            found = API.SingleMessageMetadata.FromString(entries[4:end])
            assert found == (metadata or API.SingleMessageMetadata(payload_size=len(payload)))
            assert entries[end:end + len(payload)] == payload
            entries = entries[end + len(payload):]
        assert not entries
        rest = rest[count:]
        sequence += count
    assert not rest


@repeatable
@given(metadata=_messages("MessageMetadata"), payload=st.binary(max_size=300))
def test_an_unbatched_frame_has_the_metadata_it_was_given(metadata: Any, payload: bytes) -> None:
    metadata.ClearField("num_messages_in_batch")
    metadata.producer_name, metadata.sequence_id, metadata.publish_time = "vec", 7, 1 << 40
    head = API.MessageMetadata(producer_name="vec", sequence_id=7, publish_time=1 << 40).SerializeToString()
    ring = BatchRing(bytearray(20_000), 1, 2, 5, 1000)
    ring.set_name(b"vec")
    ring.sequence = 7
    ring.add_unbatched(payload, metadata.SerializeToString()[len(head):])
    slot = ring.next_frame(0, 1 << 12)
    command, found, rest = _split(bytes(ring.buffer[ring.frame_start(slot):ring.frame_end(slot)]))
    assert command.send == API.CommandSend(producer_id=1, sequence_id=7)
    assert found == metadata and rest == payload
