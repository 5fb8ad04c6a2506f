"""What the client says in the stored transcript, decoded by google.protobuf: is it what the script asks for?"""
from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from tests.unit import transcript_session as script
from tests.unit.vector_file import from_hex
from tools import vectors, vectors_oracle
from tools.pulsar_api import message_class
from tools.vectors_sent import CLIENT, base_command, key_values

CLIENT_SAYS, BROKER_SAYS = ">", "<"
START = script.SECONDS * 1000


def frames() -> Iterator[tuple[str, str, bytes]]:
    """Mark, name and bytes of every frame on the stored tape."""
    mark = name = ""
    data = b""
    for line in [*(vectors.FOLDER / vectors.TRANSCRIPT).read_text(encoding="utf-8").splitlines(), "> end"]:
        word, _, rest = line.partition(" ")
        if word == "+":
            data += from_hex(rest)
        elif word in (CLIENT_SAYS, BROKER_SAYS):
            if data:
                yield mark, name, data
            mark, name, data = word, rest, b""


FRAMES = list(frames())
SAID = [(name, data) for mark, name, data in FRAMES if mark == CLIENT_SAYS]
HEARD = [(name, data) for mark, name, data in FRAMES if mark == BROKER_SAYS]


def take(data: bytes) -> tuple[bytes, bytes]:
    """What stands behind a size, and the rest."""
    (size,) = struct.unpack_from(">I", data)
    assert len(data) >= 4 + size
    return data[4:4 + size], data[4 + size:]


def parsed(message: str, data: bytes, fields: dict[str, Any]) -> Any:
    """Decode a message, which must be just these fields, written as protobuf's own encoder does."""
    decoded = message_class(message).FromString(data)
    assert decoded == message_class(message).FromString(vectors_oracle.encode(message, fields)), decoded
    assert decoded.SerializeToString(deterministic=True) == data
    return decoded


def lookup(request_id: int) -> dict[str, Any]:
    return base_command("LOOKUP", {"topic": script.TOPIC, "request_id": request_id, "authoritative": False})


def producer(request_id: int, epoch: int) -> dict[str, Any]:
    return base_command("PRODUCER", {
        "topic": script.TOPIC, "producer_id": 1, "request_id": request_id, "producer_name": script.NAME,
        "metadata": key_values(site="B"), "epoch": epoch, "user_provided_producer_name": True,
        "producer_access_mode": "Shared"})


def flow(permits: int) -> dict[str, Any]:
    return base_command("FLOW", {"consumer_id": 2, "messagePermits": permits})


def ack(*entries: int, **more: str) -> dict[str, Any]:
    ids = [{"ledgerId": 90, "entryId": entry, "partition": -1} for entry in entries]
    return base_command("ACK", {"consumer_id": 2, "ack_type": "Individual", "message_id": ids, **more})


# Every simple frame in the order in which the script asks for it, by the step's name.
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("connect", base_command("CONNECT", {
        "client_version": CLIENT, "protocol_version": 21, "auth_method_name": "token",
        "auth_data": script.FIRST_TOKEN.hex(), "feature_flags": {"supports_auth_refresh": True}})),
    ("producer-lookup", lookup(1)),
    ("producer", producer(2, 0)),
    ("pong", base_command("PONG", {})),
    ("ping", base_command("PING", {})),
    ("auth-response", base_command("AUTH_RESPONSE", {
        "client_version": CLIENT, "protocol_version": 21,
        "response": {"auth_method_name": "token", "auth_data": script.SECOND_TOKEN.hex()}})),
    ("consumer-lookup", lookup(3)),
    ("subscribe", base_command("SUBSCRIBE", {
        "topic": script.TOPIC, "subscription": "audit", "subType": "Shared", "consumer_id": 2, "request_id": 4,
        "consumer_name": "c-0", "metadata": key_values(role="audit"), "initialPosition": "Earliest"})),
    ("flow", flow(16)),
    ("flow-back", flow(8)),
    ("ack-two", ack(1, 2)),
    ("ack-batch", ack(3)),
    ("give-up", ack(4, validation_error="ChecksumMismatch")),
    ("give-up", flow(8)),
    ("producer-lookup-again", lookup(5)),
    ("producer-again", producer(6, 1)),
    ("close-consumer", ack(5)),
    ("close-consumer", base_command("CLOSE_CONSUMER", {"consumer_id": 2, "request_id": 7})),
    ("close-producer", base_command("CLOSE_PRODUCER", {"producer_id": 1, "request_id": 8})),
]

READINGS: list[tuple[dict[str, Any], bytes]] = [({}, b"t=%d" % number) for number in range(script.READINGS)]
# Every SEND: the step's name, its first sequence id, and its messages; None: it is not a batch.
SENT: list[tuple[str, int, list[tuple[dict[str, Any], bytes]] | None]] = [
    ("send-1", 42, [({}, b"21.5")]),
    ("send-2", 43, [
        ({"properties": key_values(unit="°C"), "partition_key": "line-7", "event_time": 1767225599000}, b"21.75"),
        ({"ordering_key": "00ff"}, b"")]),
    ("send-200", 45, READINGS),
    ("send-later", 245, None),
    ("send-unlucky", 246, [({}, b"in flight")]),
    ("send-again", 246, [({}, b"in flight")]),
    ("send-again", 247, [({}, b"after")]),
]


def is_send(data: bytes) -> bool:
    """Is this frame a SEND?"""
    return message_class("BaseCommand").FromString(take(data[4:])[0]).type == 6


def test_every_command_is_what_was_asked_for() -> None:
    said = [(name, data) for name, data in SAID if not is_send(data)]
    assert [name for name, _ in said] == [name for name, _ in ASKED]
    for (_, data), (_, fields) in zip(said, ASKED, strict=True):
        body, rest = take(data)
        command, payload = take(body)
        assert rest == payload == b""
        parsed("BaseCommand", command, fields)


def read_send(data: bytes) -> tuple[bytes, bytes, bytes]:
    """CommandSend's BaseCommand, MessageMetadata and payload; sizes, mark and checksum are right."""
    body, rest = take(data)
    command, headers = take(body)
    assert rest == b"" and headers[:2] == b"\x0e\x01"
    assert struct.unpack(">I", headers[2:6])[0] == google_crc32c.value(headers[6:])
    metadata, payload = take(headers[6:])
    return command, metadata, payload


def read_batch(payload: bytes) -> list[tuple[bytes, bytes]]:
    """SingleMessageMetadata and payload of every message."""
    messages = []
    while payload:
        metadata, payload = take(payload)
        size = message_class("SingleMessageMetadata").FromString(metadata).payload_size
        assert len(payload) >= size
        messages.append((metadata, payload[:size]))
        payload = payload[size:]
    return messages


def test_every_send_holds_what_was_sent() -> None:
    said = [(name, data) for name, data in SAID if is_send(data)]
    assert [name for name, _ in said] == [name for name, _, _ in SENT]
    times = []
    for (_, data), (_, sequence_id, messages) in zip(said, SENT, strict=True):
        command, metadata, payload = read_send(data)
        send: dict[str, Any] = {"producer_id": 1, "sequence_id": sequence_id}
        own: dict[str, Any] = {}
        if messages is None:
            own = {"properties": key_values(kind="alarm"), "deliver_at_time": script.DELIVER_AT}
            assert payload == b"later"
        else:
            last = sequence_id + len(messages) - 1
            send |= {"num_messages": len(messages), "highest_sequence_id": last}
            own = {"num_messages_in_batch": len(messages), "highest_sequence_id": last}
            found = read_batch(payload)
            assert [content for _, content in found] == [content for _, content in messages]
            for (single, content), (fields, _) in zip(found, messages, strict=True):
                parsed("SingleMessageMetadata", single, {**fields, "payload_size": len(content)})
        parsed("BaseCommand", command, base_command("SEND", send))
        time = message_class("MessageMetadata").FromString(metadata).publish_time
        parsed("MessageMetadata", metadata,
               {"producer_name": script.NAME, "sequence_id": sequence_id, "publish_time": time, **own})
        times.append(time)
    # Published when first transmitted, by a clock that was set once and is moved on by ticks.
    assert times[-2] == times[-3] and times[:-2] == sorted(times[:-2])
    assert START <= times[0] < START + 100 and START + 30000 <= times[-1] < START + 31000


def test_what_was_in_flight_leaves_again_unchanged() -> None:
    by_name = dict(SAID[:[name for name, _ in SAID].index("producer-again")])
    again = [data for name, data in SAID if name == "send-again"]
    assert again[0] == by_name["send-unlucky"]


@pytest.mark.parametrize(("name", "data"), HEARD, ids=[name for name, _ in HEARD])
def test_the_broker_says_what_a_broker_may_say(name: str, data: bytes) -> None:
    """Its frames are whole protobuf, and every checksum but one is right."""
    body, rest = take(data)
    command, headers = take(body)
    assert rest == b""
    decoded = message_class("BaseCommand").FromString(command)
    assert decoded.IsInitialized() and not len(UnknownFieldSet(decoded))
    assert bool(headers) == (decoded.type == 9)
    if headers:
        if headers[:2] == b"\x0e\x02":
            _, headers = take(headers[2:])
        right = struct.unpack(">I", headers[2:6])[0] == google_crc32c.value(headers[6:])
        assert right == (name != "message-damaged")
