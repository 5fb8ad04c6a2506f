"""Vectors as text: from the entries of a JSON file, fields by name, to the line format of tests/vectors, by number.

The table of facts gives numbers and types. Nothing of an entry may be lost on the way, or a wrong one would pass
unnoticed: what this module does not understand is an error.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tools import pulsar_api

SENT = (2, 4, 5, 6, 10, 11, 12, 15, 16, 18, 19, 20, 21, 23, 25, 28, 29, 32, 34, 37, 39)
RECEIVED = (3, 7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 22, 24, 26, 27, 30, 31, 33, 35, 36, 38, 40, 68)
_LINE = 48  # bytes that a line of hex holds
_READABLE = ("NONE", "ZLIB")  # compression types
_KEYS = {"name", "message", "fields", "frame", "command", "broker_entry_metadata", "metadata", "singles",
         "uncompressed_payload", "stored_payload", "checksum", "hex", "decode_only"}
_SECTIONS = {"about", "vectors", "hashes", "crc32c", "varints", "zlib"}


class VectorError(Exception):
    """An entry says what cannot be: an unknown field, value or key."""


def lines_of_file(content: dict[str, Any]) -> Iterator[str]:
    """All lines for a JSON file of vectors. Raises VectorError."""
    unknown = sorted(set(content) - _SECTIONS)
    if unknown:
        raise VectorError(f"unknown sections: {', '.join(unknown)}")
    for entry in content.get("vectors", ()):
        yield from lines_of_vector(entry)
    for entry in content.get("crc32c", ()):
        yield f"crc32c {_hex(entry['hex'])} {_hex(entry['crc32c'])}"
    for entry in content.get("varints", ()):
        yield f"varint {entry['value']} {_hex(entry['hex'])}"
    for entry in content.get("zlib", ()):
        for form in sorted(set(entry) - {"raw"}):
            yield f"zlib {_hex(entry['raw'])} {_hex(entry[form])}"
    for entry in content.get("hashes", ()):
        yield line_of_hash(entry)


def line_of_hash(entry: dict[str, Any]) -> str:
    """The line of one entry of `hashes`."""
    remainders = entry["murmur_mod"]
    if set(remainders) != set(entry["java_mod"]):
        raise VectorError(f"hash of {entry['key']!r}: both hashes need the same divisors")
    words = [f"{count}:{remainders[count]}:{entry['java_mod'][count]}" for count in remainders]
    return " ".join(["hash", _hex(entry["utf8"]), str(entry["murmur3_32"]), str(entry["java_string_hash"]),
                     str(entry["key_shared_slot"]), str(len(words)), *words, "=" + _escaped(entry["key"])])


def lines_of_vector(entry: dict[str, Any]) -> Iterator[str]:
    """The lines of one entry of `vectors`."""
    name = entry["name"].replace(" ", "_")
    try:
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise VectorError(f"unknown keys {', '.join(unknown)}")
        if _unneeded(entry):
            yield f"unneeded {name}"
        yield from [f"vector {name} {_kind(entry)}", _size(entry), *_body(entry), *hex_lines("+", entry["hex"]), "end"]
    except (VectorError, KeyError, TypeError, ValueError) as problem:
        raise VectorError(f"vector {name}: {problem if isinstance(problem, VectorError) else repr(problem)}") from None


def _kind(entry: dict[str, Any]) -> str:
    if "frame" in entry:
        if entry["frame"] not in ("simple", "payload"):
            raise VectorError(f"unknown frame {entry['frame']!r}")
        return entry["frame"]
    if entry["message"] == "BaseCommand":
        return "command"
    number = _command_numbers().get(entry["message"])
    return f"sub {number}" if number else f"message {entry['message']}"


def _size(entry: dict[str, Any]) -> str:
    messages = len(entry.get("singles", ()))
    return f"size {len(bytes.fromhex(entry['hex']))}" + (f" {messages}" if messages else "")


def _body(entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("decode_only"):
        yield "decode-only"
    if "frame" not in entry:
        yield from _fields(entry["message"], entry["fields"])
        return
    yield from _fields("BaseCommand", entry["command"])
    for word, key, message in (("broker", "broker_entry_metadata", "BrokerEntryMetadata"),
                               ("metadata", "metadata", "MessageMetadata")):
        if key in entry:
            yield word
            yield from _fields(message, entry[key])
    for single in entry.get("singles", ()):
        if set(single) != {"metadata", "payload"}:
            raise VectorError("a single message has metadata and payload")
        size = len(single["payload"]) // 2
        yield f"{'bare' if single['metadata'] == {'payload_size': size} else 'single'} {_hex(single['payload'])}"
        if single["metadata"] != {"payload_size": size}:
            yield from _fields("SingleMessageMetadata", single["metadata"])
    for word, key in (("plain", "uncompressed_payload"), ("stored", "stored_payload"), ("checksum", "checksum")):
        if key in entry:
            yield from hex_lines(word, entry[key])


def _unneeded(entry: dict[str, Any]) -> bool:
    """Is it about what no producer, consumer or reader sends, gets or reads?"""
    if entry.get("metadata", {}).get("compression", "NONE") not in _READABLE and "stored_payload" in entry:
        return True
    if "frame" in entry or entry["message"] == "BaseCommand":
        kind = (entry["command"] if "frame" in entry else entry["fields"])["type"]
        number = pulsar_api.enum_values("BaseCommand.Type").get(kind)
        if number is None:
            raise VectorError(f"unknown command type {kind!r}")
        return number not in SENT + RECEIVED
    number = _command_numbers().get(entry["message"])
    return number is not None and number not in SENT + RECEIVED


def _command_numbers() -> dict[str, int]:
    """Names of the messages of commands, such as CommandSuccess, to their numbers."""
    fields = pulsar_api.table()["messages"]["BaseCommand"]["fields"]
    return {field["ref"]: field["number"] for field in fields if field["type"] == "message"}


def _fields(message: str, values: dict[str, Any]) -> Iterator[str]:
    """The lines of a message, by ascending field number."""
    by_name = {field["name"]: field for field in pulsar_api.table()["messages"][message]["fields"]}
    unknown = sorted(set(values) - set(by_name))
    if unknown:
        raise VectorError(f"{message} has no field {', '.join(unknown)}")
    for field in sorted((by_name[name] for name in values), key=lambda field: field["number"]):
        value = values[field["name"]]
        for item in value if field["label"] == "repeated" else [value]:
            yield from _field(field, item)


def _field(field: dict[str, Any], value: Any) -> Iterator[str]:
    number, kind = field["number"], field["type"]
    if kind == "message":
        yield f"{number} ("
        yield from _fields(field["ref"], value)
        yield ")"
    elif kind == "string":
        yield f"{number} t {_escaped(value)}"
    elif kind == "bytes":
        yield f"{number} x {_hex(value)}"
    elif kind == "double":
        yield f"{number} d {struct.pack('<d', value).hex()}"
    elif kind == "enum":
        values = pulsar_api.enum_values(field["ref"])
        if value not in values:
            raise VectorError(f"{field['name']}: {value!r} is no {field['ref']}")
        yield f"{number} i {values[value]}"
    elif kind == "bool" and not isinstance(value, bool):
        raise VectorError(f"{field['name']}: {value!r} is no bool")
    elif isinstance(value, int):
        yield f"{number} i {int(value)}"
    else:
        raise VectorError(f"{field['name']}: {value!r} is no {kind}")


def _hex(text: str) -> str:
    """Hex as one word."""
    return ",".join(_pieces(text))


def hex_lines(word: str, text: str) -> list[str]:
    """`word` and hex, on as many lines as it takes."""
    return [f"{word} {piece}" for piece in _pieces(text)]


def _pieces(text: str) -> list[str]:
    """Hex in pieces of a line each; the same piece over and over again is written once, behind a count."""
    bytes.fromhex(text)
    step = 2 * _LINE
    counted: list[tuple[int, str]] = []
    for at in range(0, max(len(text), 1), step):
        piece = text[at:at + step] or "-"
        count = counted.pop()[0] if counted and counted[-1][1] == piece else 0
        counted.append((count + 1, piece))
    return [piece if count == 1 else f"{count}*{piece}" for count, piece in counted]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
