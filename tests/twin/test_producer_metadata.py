"""What `send` is given, as google.protobuf reads it from the frames: any fields, in batches and alone."""
from __future__ import annotations

import base64
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mpy_pulsar.features.fields import add
from tests.unit.fake_broker import TIME, opened_producer
from tools.pulsar_api import message_class

SINGLE = message_class("SingleMessageMetadata")
METADATA = message_class("MessageMetadata")
COMMAND = message_class("BaseCommand")
texts = st.text(max_size=20)
milliseconds = st.integers(0, (1 << 63) - 1)
messages = st.fixed_dictionaries({
    "content": st.none() | st.binary(max_size=200),
    "properties": st.none() | st.dictionaries(texts, texts, max_size=4),
    "partition_key": st.none() | texts | st.binary(max_size=20),
    "ordering_key": st.none() | texts | st.binary(max_size=20),
    "gap": st.none() | st.integers(0, 1 << 58),
    "event_timestamp": st.none() | milliseconds,
    "deliver_at": st.none() | milliseconds,
})  # fmt: skip


def _expected(message: dict[str, Any], target: Any, batched: bool) -> Any:
    """The metadata by protobuf: a SingleMessageMetadata, or what MessageMetadata has beyond its head."""
    for key, value in (message["properties"] or {}).items():
        target.properties.add(key=key, value=value)
    _add_keys(message, target)
    if message["event_timestamp"] is not None:
        target.event_time = message["event_timestamp"]
    if message["content"] is None:
        target.null_value = True
    if batched:
        target.payload_size = len(message["content"] or b"")
    elif message["deliver_at"] is not None:
        target.deliver_at_time = message["deliver_at"]
    return target


def _add_keys(message: dict[str, Any], target: Any) -> None:
    key, ordering_key = message["partition_key"], message["ordering_key"]
    if isinstance(key, bytes):
        target.partition_key = base64.b64encode(key).decode()
        target.partition_key_b64_encoded = True
    elif key is not None:
        target.partition_key = key
    if ordering_key is not None:
        target.ordering_key = ordering_key.encode() if isinstance(ordering_key, str) else ordering_key


def _split(frame: bytes) -> tuple[Any, Any, bytes]:
    (size,) = struct.unpack_from(">I", frame, 4)
    at = 8 + size + 6
    (metadata_size,) = struct.unpack_from(">I", frame, at)
    end = at + 4 + metadata_size
    return COMMAND.FromString(frame[8:8 + size]).send, METADATA.FromString(frame[at + 4:end]), frame[end:]


@settings(deadline=None)
@given(sent=st.lists(messages, min_size=1, max_size=12), batching=st.booleans())
def test_frames_of_any_messages(sent: list[dict[str, Any]], batching: bool) -> None:
    broker, core = opened_producer(size=60_000, slots=20)
    following = 0
    for message in sent:
        if message["gap"] is not None:
            following = min(following + message["gap"], (1 << 62) + following % 1000)
        message["id"] = following
        add(core, batching, message["content"], (
            message["properties"], message["partition_key"], message["ordering_key"],
            None if message["gap"] is None else following, message["event_timestamp"], message["deliver_at"], None,
        ))
        following += 1
    rest = list(sent)
    for frame in broker.sent(core):
        command, metadata, payload = _split(frame)
        head = METADATA(producer_name="made", sequence_id=rest[0]["id"], publish_time=TIME)
        assert command.sequence_id == rest[0]["id"]
        if not metadata.HasField("num_messages_in_batch"):
            message = rest.pop(0)
            assert metadata == _expected(message, head, False) and payload == (message["content"] or b"")
            assert not command.HasField("num_messages") and not command.HasField("highest_sequence_id")
            continue
        assert batching
        count = metadata.num_messages_in_batch
        head.num_messages_in_batch = count
        head.highest_sequence_id = rest[0]["id"] + count - 1
        assert (command.num_messages, command.highest_sequence_id) == (count, head.highest_sequence_id)
        _add_keys(rest[0], head)
        assert metadata == head
        for message in rest[:count]:
            assert message["gap"] is None and message["deliver_at"] is None
            (size,) = struct.unpack_from(">I", payload)
            single = SINGLE.FromString(payload[4:4 + size])
            assert single == _expected(message, SINGLE(), True)
            end = 4 + size + single.payload_size
            assert payload[4 + size:end] == (message["content"] or b"")
            payload = payload[end:]
        assert not payload
        rest = rest[count:]
    assert not rest
