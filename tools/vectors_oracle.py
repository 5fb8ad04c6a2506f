"""The second opinion on bytes: entries of vectors encoded by google.protobuf, google-crc32c and zlib alone.

Nothing of mpy_pulsar is used here, so a fault of its writer cannot be in the stored vectors as well.
"""
from __future__ import annotations

import struct
import zlib
from typing import Any

import google_crc32c

from tools import pulsar_api


def encode(message: str, values: dict[str, Any]) -> bytes:
    """A message of the table; values by field name: bytes as hex, enums by name, repeated ones as lists."""
    target = pulsar_api.message_class(message)()
    _fill(target, message, values)
    return target.SerializeToString(deterministic=True)


def _fill(target: Any, message: str, values: dict[str, Any]) -> None:
    by_name = {field["name"]: field for field in pulsar_api.table()["messages"][message]["fields"]}
    target.SetInParent()
    for name, value in values.items():
        field = by_name[name]
        if field["type"] == "message":
            items = value if field["label"] == "repeated" else [value]
            for item in items:
                place = getattr(target, name)
                _fill(place.add() if field["label"] == "repeated" else place, field["ref"], item)
        elif field["label"] == "repeated":
            getattr(target, name).extend(_value(field, item) for item in value)
        else:
            setattr(target, name, _value(field, value))


def _value(field: dict[str, Any], value: Any) -> Any:
    if field["type"] == "bytes":
        return bytes.fromhex(value)
    if field["type"] == "enum":
        return pulsar_api.enum_values(field["ref"])[value]
    return value


def crc32c(data: bytes) -> bytes:
    """Four bytes, big-endian."""
    return struct.pack(">I", google_crc32c.value(data))


def sized(data: bytes) -> bytes:
    """`data` behind its size."""
    return struct.pack(">I", len(data)) + data


def batch(singles: list[dict[str, Any]]) -> bytes:
    """The payload of a batch."""
    return b"".join(
        sized(encode("SingleMessageMetadata", single["metadata"])) + bytes.fromhex(single["payload"])
        for single in singles
    )


def simple_frame(command: dict[str, Any]) -> bytes:
    """A whole frame of a command."""
    return sized(sized(encode("BaseCommand", command)))


def payload_frame(
    command: dict[str, Any], metadata: dict[str, Any], payload: bytes,
    broker_entry_metadata: dict[str, Any] | None = None, with_checksum: bool = True,
) -> tuple[bytes, bytes]:
    """A whole frame with a payload, and its checksum."""
    covered = sized(encode("MessageMetadata", metadata)) + payload
    checksum = crc32c(covered)
    frame = sized(encode("BaseCommand", command))
    if broker_entry_metadata is not None:
        frame += b"\x0e\x02" + sized(encode("BrokerEntryMetadata", broker_entry_metadata))
    if with_checksum:
        frame += b"\x0e\x01" + checksum
    return sized(frame + covered), checksum


def compress(data: bytes, finished: bool = True) -> bytes:
    """A zlib stream; not finished: it ends in a sync flush, as Java's clients end theirs."""
    compressor = zlib.compressobj()
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH if finished else zlib.Z_SYNC_FLUSH)


def completed(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with the bytes it still lacks: `hex`, and `checksum` in frames that have one.

    A frame's payload is `uncompressed_payload`, or that of its `singles`; `stored_payload` where it is compressed.
    """
    entry = dict(entry)
    if "hex" in entry:
        return entry
    if "message" in entry:
        entry["hex"] = encode(entry["message"], entry["fields"]).hex()
    elif entry["frame"] == "simple":
        entry["hex"] = simple_frame(entry["command"]).hex()
    else:
        payload = batch(entry["singles"]) if "singles" in entry else bytes.fromhex(entry["uncompressed_payload"])
        if "stored_payload" in entry:
            entry["uncompressed_payload"] = payload.hex()
            payload = bytes.fromhex(entry["stored_payload"])
        with_checksum = entry.pop("with_checksum", True)
        frame, checksum = payload_frame(
            entry["command"], entry["metadata"], payload, entry.get("broker_entry_metadata"), with_checksum
        )
        entry["hex"] = frame.hex()
        if with_checksum:
            entry["checksum"] = checksum.hex()
    return entry
