"""Reads topics with Apache's own client, which shares no line with ours."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from tools.chaos.fates import Stored
from tools.chaos.programs.numbered import number_of

_READ_MILLISECONDS = 30_000
_QUEUE = 10_000
_OPEN_SECONDS = 60


def module() -> Any:
    """pulsar-client's module. Raises ImportError where it is not installed."""
    import pulsar

    return pulsar


def client(url: str) -> Any:
    """One of its clients, which tells of errors alone."""
    pulsar = module()
    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
    return pulsar.Client(url, operation_timeout_seconds=30, logger=quiet)


def read(url: str, topic: str) -> list[Stored]:
    """All messages of a topic, in its order. Raises ValueError where a content is not what was sent."""
    pulsar = module()
    found: list[Stored] = []
    with contextlib.closing(client(url)) as reading:
        reader = _open(reading, topic, pulsar.MessageId.earliest)
        while reader.has_message_available():
            message = reader.read_next(_READ_MILLISECONDS)
            place = message.message_id()
            number = number_of(message.data())
            found.append(Stored(number, place.ledger_id(), place.entry_id(), max(place.batch_index(), 0)))
        reader.close()
    return found


def _open(reading: Any, topic: str, start: Any) -> Any:
    """A reader, also where the broker is not yet up again."""
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            return reading.create_reader(topic, start, receiver_queue_size=_QUEUE)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
