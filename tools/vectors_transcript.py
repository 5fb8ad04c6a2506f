"""The transcript: a whole session, the broker's frames by google.protobuf, the client's as it says them.

The client's frames are recorded from the core on CPython: that they say what the script asks for is checked by
tests/twin/test_transcript_oracle.py, which decodes them with google.protobuf.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.transcript_session import NAME, TOPIC, Session
from tools import vectors_oracle
from tools.vectors_frames import single
from tools.vectors_sent import MAX, base_command, key_values
from tools.vectors_text import hex_lines

_URL = "pulsar://b-1.plant.example:6650"
_TIME = 1767225600500


def _simple(kind: str, **fields: Any) -> bytes:
    return vectors_oracle.simple_frame(base_command(kind, fields))


def _lookup(request_id: int) -> bytes:
    return _simple("LOOKUP_RESPONSE", brokerServiceUrl=_URL, response="Connect", request_id=request_id,
                   authoritative=True, proxy_through_service_url=False)


def _receipt(sequence_id: int, entry_id: int, highest: int = MAX) -> bytes:
    return _simple("SEND_RECEIPT", producer_id=1, sequence_id=sequence_id, highest_sequence_id=highest,
                   message_id={"ledgerId": 71, "entryId": entry_id})


def _message(entry_id: int, singles: list[dict[str, Any]], broker_entry: dict[str, Any] | None = None,
             damage: bool = False) -> bytes:
    """MESSAGE: a batch, or a message of its own where its metadata is not of a batch."""
    command = base_command("MESSAGE", {
        "consumer_id": 2, "message_id": {"ledgerId": 90, "entryId": entry_id, "partition": -1}})
    metadata = {"producer_name": NAME, "sequence_id": 10 * entry_id, "publish_time": _TIME}
    if "payload_size" in singles[0]["metadata"]:
        metadata |= {"num_messages_in_batch": len(singles), "highest_sequence_id": 10 * entry_id + len(singles) - 1}
        payload = vectors_oracle.batch(singles)
    else:
        metadata |= singles[0]["metadata"]
        payload = bytes.fromhex(singles[0]["payload"])
    frame, _ = vectors_oracle.payload_frame(command, metadata, payload, broker_entry)
    return frame[:-1] + bytes([frame[-1] ^ 1]) if damage else frame


def broker_frames() -> dict[str, bytes]:
    """What the broker says, by the names that the script gives."""
    return {
        "connected": _simple("CONNECTED", server_version="Pulsar Server4.2.4", protocol_version=21,
                             max_message_size=1048576),
        "producer-lookup-answer": _lookup(1),
        "producer-success": _simple("PRODUCER_SUCCESS", request_id=2, producer_name=NAME, last_sequence_id=41,
                                    schema_version="", producer_ready=True),
        "receipt-1": _receipt(42, 5),
        "receipt-2": _receipt(43, 6, 44),
        "receipt-200": _receipt(45, 7, 244),
        "receipt-later": _receipt(245, 8),
        "broker-ping": _simple("PING"),
        "broker-pong": _simple("PONG"),
        "auth-challenge": _simple("AUTH_CHALLENGE", server_version="Pulsar Server4.2.4", protocol_version=21,
                                  challenge={"auth_method_name": "token", "auth_data": b"PulsarAuthRefresh".hex()}),
        "consumer-lookup-answer": _lookup(3),
        "subscribe-success": _simple("SUCCESS", request_id=4),
        "message-2": _message(1, [single(b"a", properties=key_values(unit="°C"), partition_key="line-7"),
                                  single(b"", null_value=True)]),
        "message-single": _message(2, [{"metadata": {"event_time": 1767225599000}, "payload": b"21.5".hex()}],
                                   {"broker_timestamp": _TIME + 1, "index": 2**33}),
        "message-12": _message(3, [single(b"n%d" % number) for number in range(12)]),
        "message-damaged": _message(4, [{"metadata": {}, "payload": b"damaged".hex()}], damage=True),
        "producer-closed": _simple("CLOSE_PRODUCER", producer_id=1, request_id=MAX),
        "producer-lookup-answer-again": _lookup(5),
        "producer-success-again": _simple("PRODUCER_SUCCESS", request_id=6, producer_name=NAME, last_sequence_id=246,
                                          schema_version="", producer_ready=True),
        "receipt-unlucky": _receipt(246, 9),
        "receipt-after": _receipt(247, 10, 247),
        "message-last": _message(5, [single(b"last")]),
        "consumer-close-success": _simple("SUCCESS", request_id=7),
        "producer-close-success": _simple("SUCCESS", request_id=8),
    }


class Recorder:
    """A tape that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._frames = broker_frames()

    def hear(self, name: str) -> bytes:
        """What the broker says next."""
        frame = self._frames.pop(name)
        self.lines += [f"< {name}", *hex_lines("+", frame.hex())]
        return frame

    def say(self, name: str, frames: list[bytes]) -> None:
        """What the client says."""
        for frame in frames:
            self.lines += [f"> {name}", *hex_lines("+", frame.hex())]

    def finish(self) -> None:
        """At the end."""
        if self._frames:
            raise ValueError(f"the script never heard {', '.join(self._frames)}")

    def close(self) -> None:
        """However it ended."""


def lines() -> Iterator[str]:
    """The transcript, recorded anew."""
    recorder = Recorder()
    Session(recorder).run()
    yield f"# topic {TOPIC}"
    yield from recorder.lines
