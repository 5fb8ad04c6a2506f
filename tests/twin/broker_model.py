"""What the stateful tests of producer and consumer share: the client's frames as protobuf and google-crc32c read them,
an event loop without a clock of its own, and how long to look.

PROPERTY_EXAMPLES=2000 looks that often, each time elsewhere (`--hypothesis-seed=` chooses where); without it a test
looks at the same short list every time.
"""

from __future__ import annotations

import asyncio
import os
from types import ModuleType
from typing import Any

import google_crc32c
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.unit.fake_broker import START
from tools.pulsar_api import classes

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "0"))
TICKS_PERIOD = 1 << 30
NOWHERE = (1 << 64) - 1
_PHASES = [phase for phase in Phase if not (os.environ.get("NOSHRINK") and phase in (Phase.shrink, Phase.explain))]
_LONG_ENOUGH = 7200  # s
_CONTROL_MOST = 200


def look(examples: int, steps: int) -> settings:
    """Settings of a stateful test, which looks at `examples` where nothing else is asked for."""
    chosen = settings(
        report_multiple_bugs=False,
        phases=_PHASES,
        max_examples=EXAMPLES or examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    return chosen if EXAMPLES else settings(chosen, derandomize=True, database=None)


def patience() -> pytest.MarkDecorator:
    """A mark: the long form may take its time."""
    return pytest.mark.timeout(_LONG_ENOUGH if EXAMPLES else 120)


class Sent:
    """A SEND frame. sound: does its checksum match? What a test damages is the last byte, so all else can be read."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        command, at = _command(frame)
        self.command = command.send
        assert frame[at : at + 2] == b"\x0e\x01"
        self.sound = google_crc32c.value(frame[at + 6 :]) == int.from_bytes(frame[at + 2 : at + 6], "big")
        self.first: int = self.command.sequence_id
        self.last: int = (
            self.command.highest_sequence_id if self.command.HasField("highest_sequence_id") else self.first
        )
        self.payloads: list[bytes] = []
        size = int.from_bytes(frame[at + 6 : at + 10], "big")
        self.metadata = classes().MessageMetadata.FromString(frame[at + 10 : at + 10 + size])
        self.size = len(frame) - at - 10
        payload = frame[at + 10 + size :]
        self.batched = self.metadata.HasField("num_messages_in_batch")
        if not self.batched:
            self.payloads = [payload]
            return
        at = 0
        while at < len(payload):
            end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
            single = classes().SingleMessageMetadata.FromString(payload[at + 4 : end])
            at = end + single.payload_size
            assert at <= len(payload), "a message past the end of its batch"
            self.payloads.append(payload[end:at])
        assert self.metadata.num_messages_in_batch == self.command.num_messages == len(self.payloads)
        assert self.last == self.first + len(self.payloads) - 1


def _command(frame: bytes) -> tuple[Any, int]:
    """The BaseCommand of one whole frame, and where it ends."""
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    end = 8 + int.from_bytes(frame[4:8], "big")
    return classes().BaseCommand.FromString(frame[8:end]), end


def read_control(frame: bytes) -> tuple[str, Any]:
    """Name and fields of a command without a payload."""
    command, end = _command(frame)
    assert end == len(frame) and command.IsInitialized()
    ((field, content),) = [one for one in command.ListFields() if one[0].name != "type"]
    return field.name, content


class Loop(asyncio.SelectorEventLoop):
    """Turns only when told to, and knows the time it is told."""

    def __init__(self) -> None:
        self.milliseconds = 0
        super().__init__()

    def time(self) -> float:
        return self.milliseconds / 1000

    def settle(self) -> None:
        """Run until nobody has anything to do but to wait."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready and not self._due():  # type: ignore[attr-defined]
                return

    def _due(self) -> bool:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        return any(not timer.cancelled() and timer.when() <= self.time() for timer in scheduled)


class World:
    """Time, tasks and the modules that ask for the time; `end` puts back what was there before."""

    def __init__(self, *modules: ModuleType, start: int = START) -> None:
        self.now = start
        self.loop = Loop()
        self.tasks: list[asyncio.Task[Any]] = []
        self._modules = [(module, module.ticks_ms) for module in modules]
        for module in modules:
            module.ticks_ms = lambda: self.now  # type: ignore[attr-defined]

    def run(self, coroutine: Any) -> asyncio.Task[Any]:
        """A task, as far as it gets now."""
        task = self.loop.create_task(coroutine)
        self.tasks.append(task)
        self.loop.settle()
        return task

    def done(self) -> list[asyncio.Task[Any]]:
        """Tasks that have ended since the last call."""
        self.loop.settle()
        ended = [task for task in self.tasks if task.done()]
        self.tasks = [task for task in self.tasks if not task.done()]
        for task in ended:
            if not task.cancelled():
                task.exception()  # else the loop complains of it where a test has failed
        return ended

    def let_pass(self, milliseconds: int) -> None:
        """Time goes by."""
        self.now = (self.now + milliseconds) % TICKS_PERIOD
        self.loop.milliseconds += milliseconds

    def end(self) -> None:
        """Leave no task, no loop, no clock behind."""
        for task in self.tasks:
            task.cancel()
        self.loop.settle()
        for task in self.tasks:
            if not task.cancelled():
                task.exception()
        self.loop.close()
        for module, ticks_ms in self._modules:
            module.ticks_ms = ticks_ms  # type: ignore[attr-defined]


def bounded(connection: Any) -> None:
    """What waits to be written stays within limits."""
    assert len(connection.control) < _CONTROL_MOST and len(connection._requests) < _CONTROL_MOST
