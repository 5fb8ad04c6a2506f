"""What the development broker has stored, message by message, read with protobuf's own classes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from tests.integration.programs import numbered
from tools.devbroker import DevBroker, Entry
from tools.devbroker.frames import api

_SIZE = struct.Struct(">I")


@dataclass(frozen=True)
class Place:
    """Where a message stands; `index` is 0 where it is alone in its entry."""

    ledger: int
    entry: int
    index: int


def contents(entry: Entry) -> list[bytes]:
    """The messages of one entry."""
    return [content for _, content in batch(entry)] if entry.is_batch else [entry.payload]


def batch(entry: Entry) -> list[tuple[Any, bytes]]:
    """The messages of a batch, each with its SingleMessageMetadata."""
    found = []
    data, at = entry.payload, 0
    while at < len(data):
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        head = api.SingleMessageMetadata.FromString(data[at : at + size])
        at += size
        found.append((head, data[at : at + head.payload_size]))
        at += head.payload_size
    return found


def messages(broker: DevBroker, topic: str) -> list[tuple[Place, bytes]]:
    """All messages of a topic, in its order. Call it in the broker's thread."""
    stored = broker.topics.get(topic)
    return [
        (Place(entry.ledger_id, entry.entry_id, index), content)
        for entry in (stored.entries if stored else ())
        for index, content in enumerate(contents(entry))
    ]


def numbers(broker: DevBroker, topic: str) -> list[tuple[Place, int]]:
    """The same of numbered messages, whose contents are checked."""
    return [(place, numbered.number_of(content)) for place, content in messages(broker, topic)]
