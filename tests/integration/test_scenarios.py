"""What a user does with producers, consumers and readers of one topic: the same files under the twin and under every
MicroPython, against the development broker and against Pulsar itself, with the same outcomes.

Each scenario of programs/scenarios_*.py is a test for each interpreter and broker. Where the two brokers differ, the
development broker is wrong.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.integration.both_brokers import DEDUPLICATING, DevelopmentSide, Side
from tests.integration.runs import PROGRAMS, Program, SideBySide, everyone, fresh_name

_SECONDS = 110  # for all scenarios of an interpreter


def names() -> list[str]:
    """Every public async function of the scenarios' files, so that one which is in no list of theirs is missed."""
    found = []
    for file in sorted(PROGRAMS.glob("scenarios_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
                found.append(node.name)
    return found


class Run:
    """All scenarios under one interpreter at one broker; a thread does meanwhile what they ask an administrator for."""

    def __init__(self, program: Program, side: Side) -> None:
        self._program = program
        self._side = side
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, name=program.label, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._program.finish(_SECONDS, on_record=self._do)
        except BaseException as error:  # noqa: BLE001
            self._errors.append(error)

    def _do(self, record: dict[str, Any]) -> None:
        if record["kind"] != "please":
            return
        what, topic = record["what"], record["topic"]
        if what == "compare":
            assert self._side.properties(topic) == record["properties"]
            self._side.unload(topic)  # so that the scenario hears of it
        elif what == "limit":
            self._side.set_max_message_size(topic, record["size"])
        elif what == "terminate":
            self._side.terminate(topic)
        elif what == "cut" and isinstance(self._side, DevelopmentSide):
            self._side.thread.fault("cut", on="SEND", topic=topic, times=1)
        else:
            self._side.unload(topic)

    def end(self) -> None:
        """Wait for it."""
        self._thread.join()

    def check(self, name: str) -> None:
        """That scenario has held."""
        for record in self._program.of_kind("failed"):
            assert record["name"] != name, self._program.label + ":\n" + record["traceback"]
        held = [record["name"] for record in self._program.of_kind("scenario")]
        assert held.count(name) == 1, self._program.describe(f"has not said that {name} held")

    def check_end(self) -> None:
        """It came to its end, and left neither tasks nor sockets behind."""
        for error in self._errors:
            raise error


@pytest.fixture(scope="module", params=["development", pytest.param("real", marks=pytest.mark.real)])
def runs(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Run]]:
    """Every interpreter at the one broker, then at the other."""
    side: Side = request.getfixturevalue(f"{request.param}_side")
    with SideBySide() as programs:
        started = {}
        for runtime in everyone():
            options = {
                "url": side.url, "token": side.token, "prefix": fresh_name("scenario"), "deduplicating": DEDUPLICATING,
            }  # fmt: skip
            started[runtime.name] = Run(programs.start(runtime, "scenarios", options), side)
        for run in started.values():
            run.end()
        yield started


@pytest.mark.parametrize("name", names())
def test_scenario(runtime: str, name: str, runs: Mapping[str, Run]) -> None:
    runs[runtime].check(name)


def test_nothing_is_left_behind(runtime: str, runs: Mapping[str, Run]) -> None:
    runs[runtime].check_end()
