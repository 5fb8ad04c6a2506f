"""Starts the programs: on the twin, and on every MicroPython from a bundle in a heap of a board's size."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tools import interpreters
from tools.bundle.__main__ import write
from tools.bundle.building import Bundle, build
from tools.bundle.reading import VIPER
from tools.bundle.sets import SETS
from tools.interpreters import ROOT, Interpreter
from tools.size.measure import compile_file

PROGRAMS = Path(__file__).resolve().parent / "programs"
FOLDER = ROOT / "build" / "chaos"
SMALL_HEAPS = {32: "64K", 64: "128K"}
"""Of MicroPython by the bits of its words: 64 KB of 32-bit words hold as much as 128 KB of 64-bit ones."""
HEAPS = {32: "80K", 64: "160K"}
"""The same with room for a second link, and for what every kind of error makes the client load."""
_ARCHITECTURES = {32: "x86", 64: "x64"}
_BUNDLES = {"flow": "producer", "drain": "consumer"}
_OF_TWIN = ("press", "drain")
_LAST_LINES = 30
_TWIN = "twin"


@dataclass(frozen=True)
class Runtime:
    """One interpreter: its command by program, and how much it can hold."""

    name: str
    commands: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    folders: Mapping[str, Path]
    small: bool
    """Is its heap a board's?"""


@functools.cache
def bundle_of(name: str, kernels: str) -> Bundle:
    """The bundle of a set, made once."""
    return build(ROOT, SETS[name], kernels)


def runtimes(
    wanted: Callable[[Interpreter], bool] = lambda _: True, bundles: Callable[[str, str], Bundle] = bundle_of,
    heaps: Mapping[int, str] = HEAPS,
) -> list[Runtime]:
    """The twin, and every MicroPython that was found and is `wanted`, with a heap from `heaps` by its bits; `bundles`
    gives the bundle of a set.
    """
    return [_twin(), *(_micropython(entry, bundles, heaps) for entry in interpreters.found() if wanted(entry))]


def _twin() -> Runtime:
    commands = {
        name: (sys.executable, "-W", "error", "-u", str(PROGRAMS / f"{name}.py")) for name in _OF_TWIN
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return Runtime(_TWIN, commands, environment, dict.fromkeys(_OF_TWIN, ROOT), small=False)


def _micropython(
    entry: Interpreter, bundles: Callable[[str, str], Bundle], heaps: Mapping[int, str]
) -> Runtime:
    folders, commands = {}, {}
    for program, name in _BUNDLES.items():
        folders[program] = _board(bundles(name, VIPER), program, entry.bits)
        commands[program] = tuple(entry.argv(["-m", program], heaps[entry.bits]))
    # Started in the bundle's folder, where MicroPython's -m looks first.
    environment = interpreters.environment({"MICROPYPATH": ".frozen"})
    return Runtime(entry.name, commands, environment, folders, small=True)


def _board(bundle: Bundle, program: str, bits: int) -> Path:
    """A folder like a board's: the bundle with native kernels, and the program, all of it compiled."""
    folder = FOLDER / f"{program}-{bits}"
    write(bundle, folder, _ARCHITECTURES[bits])
    for source in (program, "numbered", "said"):
        compile_file(PROGRAMS / f"{source}.py", folder / f"{source}.mpy", f"{source}.py")
    return folder


@dataclass
class Process:
    """A program while it runs; `heard` gets each line it says, in a thread of its own. `with` ends it."""

    runtime: Runtime
    program: str
    heard: Callable[[str], None]
    last: list[str] = field(default_factory=list)
    """The last lines it has said."""
    passed: bool = False

    def start(self, *lines: object) -> Process:
        """Start it and give it these lines."""
        self._process = subprocess.Popen(
            self.runtime.commands[self.program], cwd=self.runtime.folders[self.program],
            env=dict(self.runtime.environment), text=True, encoding="utf-8", errors="replace", stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._tell("".join(f"{line}\n" for line in lines))
        return self

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            line = line.rstrip("\n")
            self.last.append(line)
            del self.last[:-_LAST_LINES]
            if line == "p":
                self.passed = True
            else:
                self.heard(line)

    def _tell(self, text: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Tell it to come to its end."""
        if self.is_running():
            self._tell("stop\n")

    def finish(self, seconds: float) -> None:
        """Wait for its end. Raises RuntimeError where it does not end well."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(self.describe(f"did not end within {seconds:.0f} s")) from None
        self._reader.join()
        if status or not self.passed:
            raise RuntimeError(self.describe(f"ended with status {status}"))

    def describe(self, what: str) -> str:
        """A text for an error, with the last the program said."""
        return "\n".join([f"{self.program} on {self.runtime.name} {what}; the last it said:", *self.last])

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running():
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
