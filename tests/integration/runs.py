"""Programs under the twin and under every MicroPython: started side by side, spoken to by lines of JSON."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tools import interpreters
from tools.interpreters import ROOT

PROGRAMS = Path(__file__).resolve().parent / "programs"
# Room for frames of 100 KB in any state of fragmentation; test_heap is about small heaps.
HEAP = "16M"
_SHOWN = 6000

Record = dict[str, Any]


@dataclass(frozen=True)
class Runtime:
    """One interpreter that runs programs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def twin() -> Runtime:
    """This CPython, in development mode and with every warning an error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return Runtime("twin", (sys.executable, "-X", "dev", "-W", "error", "-u"), environment)


def micropythons(heap: str = HEAP, *folders: Path) -> list[Runtime]:
    """Every MicroPython of this machine; `folders` (default: the project's root) is where it finds our modules."""
    environment = interpreters.environment({"MICROPYPATH": interpreters.search_path(*folders)})
    return [Runtime(entry.name, tuple(entry.argv([], heap)), environment) for entry in interpreters.found()]


def everyone(heap: str = HEAP) -> list[Runtime]:
    """The twin and every MicroPython."""
    return [twin(), *micropythons(heap)]


def fresh_name(kind: str) -> str:
    """A name for topics that no other test, nor an earlier run, has used."""
    return f"{kind}-{uuid.uuid4().hex}"


class Program:
    """A program of tests/integration/programs while it runs; `with` ends it whatever happens."""

    def __init__(
        self, runtime: Runtime, name: str, options: Mapping[str, Any] | None, *, words: Sequence[str] = (),
        folder: Path = ROOT,
    ) -> None:
        """`options` of None are not sent. `words` stand for the program where it is not PROGRAMS/name.py, such as
        ("-m", name); `folder` is where it is started.
        """
        self.label = f"{name} on {runtime.name}"
        self.records: list[Record] = []
        """What it has said so far, as far as it was asked for."""
        self._text: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        words = words or (str(PROGRAMS / f"{name}.py"),)
        self._process = subprocess.Popen(
            [*runtime.command, *words], cwd=folder, env=dict(runtime.environment), text=True,
            encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, name=self.label, daemon=True)
        self._reader.start()
        if options is not None:
            self.tell(json.dumps(options))

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _next(self, deadline: float) -> Record | None:
        """The next line that is a record; None at the end. What is no record is kept for `finish` to complain of."""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(self.describe("said nothing more in time")) from None
            if line is None:
                return None
            self._text.append(line)
            if line.startswith("{"):
                self.records.append(json.loads(line))
                return self.records[-1]

    def wait_for(self, kind: str, seconds: float = 60, **fields: Any) -> Record:
        """The next record of that kind with those fields. Raises AssertionError where none comes."""
        deadline = time.monotonic() + seconds
        while True:
            record = self._next(deadline)
            if record is None:
                raise AssertionError(self.describe(f"ended before it said {kind!r}"))
            if record["kind"] == kind and fields.items() <= record.items():
                return record

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(
        self, seconds: float = 60, *, other_text: bool = False, on_record: Callable[[Record], None] | None = None
    ) -> list[Record]:
        """Wait for its end: all it said. It must have said `passed`, last of all, and nothing but records, unless
        `other_text` is to be expected. `on_record` is called with each record as it comes.
        """
        deadline = time.monotonic() + seconds
        while (record := self._next(deadline)) is not None:
            if on_record:
                on_record(record)
        status = self._process.wait(max(0.1, deadline - time.monotonic()))
        assert status == 0, self.describe(f"ended with status {status}")
        assert self.records and self.records[-1]["kind"] == "passed", self.describe("did not pass")
        assert other_text or len(self._text) == len(self.records), self.describe("said what it should not")
        return self.records

    def of_kind(self, kind: str) -> list[Record]:
        """The records of that kind that came so far."""
        return [record for record in self.records if record["kind"] == kind]

    def text(self) -> str:
        """All it has written so far, as far as it was asked for."""
        return "".join(self._text)

    def describe(self, what: str) -> str:
        """A text for an error: `what` happened, and the last that the program wrote."""
        return f"{self.label} {what}; it wrote:\n{self.text()[-_SHOWN:]}"

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()


class SideBySide(ExitStack):
    """Programs that run at the same time; `with` ends them all."""

    def start(self, runtime: Runtime, name: str, options: Mapping[str, Any]) -> Program:
        """Start one more."""
        return self.enter_context(Program(runtime, name, options))
