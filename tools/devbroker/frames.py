"""Frames of the binary protocol: cutting the byte stream, building answers, the parts of an entry.

Everything in here works on bytes; sockets and state are elsewhere. The codec is Google's protobuf with the classes of
`tools.pulsar_api`, the checksum is google-crc32c.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import google_crc32c
from google.protobuf.message import DecodeError

from tools.pulsar_api import classes

api = classes()
BaseCommand = api.BaseCommand
ServerError = api.ServerError
MessageMetadata = api.MessageMetadata

NO_ID = 2**64 - 1
"""What "-1" looks like in an unsigned field: the request id of what a broker starts by itself, an absent id."""
FRAME_PADDING = 10 * 1024
"""A frame may be larger than the largest message by this many bytes."""

_CHECKSUM_MAGIC = b"\x0e\x01"
_SIZE = struct.Struct(">I")
_TWO_SIZES = struct.Struct(">II")
_FIELD_BY_TYPE = {field.number: field.name for field in BaseCommand.DESCRIPTOR.fields if field.number > 1}


class ProtocolViolation(Exception):
    """The peer sent what no client may send; its link has to be closed."""


class Refused(Exception):
    """A request the broker answers with an error; the link stays open."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Frame(NamedTuple):
    """One frame: the command, and what follows it in SEND and MESSAGE (else empty)."""

    command: Any
    payload: bytes


class FrameSplitter:
    """Cuts a byte stream into frames.

    `max_message_size` in bytes; a frame larger than that and the padding is refused before it has been received.
    """

    def __init__(self, max_message_size: int) -> None:
        self._limit = max_message_size + FRAME_PADDING
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames completed by `data`. Raises ProtocolViolation at the first broken one."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                (total_size,) = _SIZE.unpack_from(buffer, start)
                if total_size + 4 > self._limit:
                    raise ProtocolViolation(f"frame of {total_size + 4} bytes, the limit is {self._limit}")
                end = start + 4 + total_size
                if len(buffer) < end:
                    return
                frame_start, start = start + 4, end
                yield _parse_frame(bytes(buffer[frame_start:end]))
        finally:
            del buffer[:start]


def _parse_frame(frame: bytes) -> Frame:
    if len(frame) < 4:
        raise ProtocolViolation(f"frame of {len(frame)} bytes, too short for the command's size")
    (command_size,) = _SIZE.unpack_from(frame)
    if command_size > len(frame) - 4:
        raise ProtocolViolation(f"command of {command_size} bytes in a frame of {len(frame)}")
    try:
        command = BaseCommand.FromString(frame[4 : 4 + command_size])
    except DecodeError as error:
        raise ProtocolViolation(f"undecodable command: {error}") from None
    if not command.IsInitialized():
        raise ProtocolViolation(f"command without {', '.join(command.FindInitializationErrors())}")
    if not command.HasField(_FIELD_BY_TYPE[command.type]):
        raise ProtocolViolation(f"command {type_name(command)} without its content")
    return Frame(command, frame[4 + command_size :])


def type_name(command: Any) -> str:
    """The name of a command's type, such as "SEND_RECEIPT"."""
    return BaseCommand.Type.Name(command.type)


def content(command: Any) -> Any:
    """The one message inside a BaseCommand, found by its type."""
    return getattr(command, _FIELD_BY_TYPE[command.type])


def new_command(type_number: int, **fields: Any) -> Any:
    """A BaseCommand of that type; `fields` are those of its content."""
    command = BaseCommand()
    command.type = type_number
    message = getattr(command, _FIELD_BY_TYPE[type_number])
    message.SetInParent()
    for name, value in fields.items():
        field = getattr(message, name)
        if hasattr(field, "CopyFrom"):
            field.CopyFrom(value)
        elif hasattr(field, "extend"):
            field.extend(value)
        else:
            setattr(message, name, value)
    return command


def encode(command: Any) -> bytes:
    """A simple command as a frame."""
    encoded = command.SerializeToString()
    return _TWO_SIZES.pack(len(encoded) + 4, len(encoded)) + encoded


def encode_head(command: Any, payload_size: int) -> bytes:
    """The head of a payload command's frame; `payload_size` bytes have to follow."""
    encoded = command.SerializeToString()
    return _TWO_SIZES.pack(len(encoded) + 4 + payload_size, len(encoded)) + encoded


class EntryParts(NamedTuple):
    """Where the parts of an entry are: the bytes after the command in SEND and MESSAGE."""

    checksum: int | None
    """The crc32c it came with, None without one."""
    checked_from: int
    """Offset of the metadata's size; the checksum covers all from here."""
    payload_from: int
    """Offset of the payload; the metadata ends here."""


def split_entry(data: bytes) -> EntryParts:
    """Find the parts of an entry. Raises ProtocolViolation where its sizes contradict each other."""
    checksum = None
    offset = 0
    if data[:2] == _CHECKSUM_MAGIC:
        if len(data) < 6:
            raise ProtocolViolation("entry cut short in its checksum")
        (checksum,) = _SIZE.unpack_from(data, 2)
        offset = 6
    if len(data) < offset + 4:
        raise ProtocolViolation("entry cut short before its metadata")
    (metadata_size,) = _SIZE.unpack_from(data, offset)
    if metadata_size > len(data) - offset - 4:
        raise ProtocolViolation(f"metadata of {metadata_size} bytes in an entry of {len(data)}")
    return EntryParts(checksum, offset, offset + 4 + metadata_size)


def checksum_matches(data: bytes, parts: EntryParts) -> bool:
    """Whether the entry has the checksum it came with; true also when it came without one."""
    return parts.checksum is None or google_crc32c.value(data[parts.checked_from :]) == parts.checksum


def parse_metadata(data: bytes, parts: EntryParts) -> Any:
    """The entry's MessageMetadata. Raises ProtocolViolation when it cannot be decoded."""
    try:
        metadata = MessageMetadata.FromString(data[parts.checked_from + 4 : parts.payload_from])
    except DecodeError as error:
        raise ProtocolViolation(f"undecodable message metadata: {error}") from None
    if not metadata.IsInitialized():
        raise ProtocolViolation(f"message metadata without {', '.join(metadata.FindInitializationErrors())}")
    return metadata


def build_entry(metadata: Any, payload: bytes, checksum: bool = True) -> bytes:
    """An entry as SEND carries it: checksum (unless left out), metadata, payload."""
    encoded = metadata.SerializeToString()
    checked = _SIZE.pack(len(encoded)) + encoded + payload
    if not checksum:
        return checked
    return _CHECKSUM_MAGIC + _SIZE.pack(google_crc32c.value(checked)) + checked
