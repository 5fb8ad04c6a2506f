"""Every MicroPython that runs on this machine: where they are found, what they are, how they are run.

Three places are looked at: a `micropython` on PATH, the one that a wheel puts into the virtual environment, and
Debian's packages unpacked under build/ (see setup_debian). What was found stands in build/interpreters.json, written
by `make setup`; tests and tools ask `found()`.

    python3 -m tools.interpreters            list them
    python3 -m tools.interpreters find       look again, fetch what can be fetched, list them
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import private_apt, setup_debian

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LIST = BUILD / "interpreters.json"
OLDEST = (1, 23, 0)

_PROBE = ("import sys; v = sys.implementation; "
          "print(v[0], v[1][0], v[1][1], v[1][2], 64 if sys.maxsize >> 31 else 32)")
# What a whole collection has; REQUIRE_ALL insists on it.
WANTED = {
    ("wheel", 64): "CPython 3.11 to 3.13 on Linux x86_64 or macOS arm64, then `make setup`",
    ("debian", 64): "Debian on x86_64 or aarch64 with its mirror in reach, then `make setup`",
    ("debian", 32): "Debian on x86_64 or aarch64 with its mirror in reach, and a kernel that runs 32-bit programs, "
                    "then `make setup`",
}


class NoInterpreter(Exception):
    """A MicroPython cannot be had or does not run; the text says why."""


@dataclass(frozen=True)
class Interpreter:
    """One MicroPython of this machine."""

    name: str  # such as debian32-1.25
    command: tuple[str, ...]  # what stands before MicroPython's own arguments
    bits: int  # of a word: 32 or 64
    version: tuple[int, int, int]
    source: str  # wheel, debian or path

    def argv(self, args: Sequence[str | os.PathLike[str]], heap: str | None = None) -> list[str]:
        """The whole command line for MicroPython's arguments `args`; `heap` bounds its heap, such as "64K"."""
        limit = ["-X", f"heapsize={heap}"] if heap else []
        return [*self.command, *limit, *(os.fspath(word) for word in args)]

    def run(self, args: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None,
            cwd: str | os.PathLike[str] | None = None, timeout: float = 120,
            heap: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run MicroPython with `args` and return its exit code and output as text.

        `env` is laid over this process's environment. MICROPYPATH is left out unless `env` has it: without it
        MicroPython looks beside the script and among its frozen modules. A MICROPYPATH replaces that list, so it
        must name ".frozen" for asyncio to be found; `search_path` makes one. Raises subprocess.TimeoutExpired after
        `timeout` seconds.
        """
        return subprocess.run(self.argv(args, heap), env=environment(env), cwd=cwd, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a MicroPython, with `extra` laid over it."""
    kept = {name: value for name, value in os.environ.items() if name != "MICROPYPATH"}
    return {**kept, **(extra or {})}


def search_path(*folders: str | os.PathLike[str]) -> str:
    """A MICROPYPATH of `folders` (default: the project's root) and MicroPython's frozen modules."""
    return ":".join([*(os.fspath(folder) for folder in folders or (ROOT,)), ".frozen"])


def found() -> list[Interpreter]:
    """The interpreters `make setup` found and that are still there; may be empty."""
    if not LIST.is_file():
        return []
    entries = [Interpreter(**{**entry, "command": tuple(entry["command"]), "version": tuple(entry["version"])})
               for entry in json.loads(LIST.read_text())]
    return [entry for entry in entries if os.path.exists(entry.command[0]) and os.path.exists(entry.command[-1])]


def probe(command: Sequence[str], source: str) -> Interpreter:
    """Start a MicroPython and ask what it is; raises NoInterpreter when it does not run or is too old."""
    try:
        done = subprocess.run([*command, "-c", _PROBE], env=environment(), text=True, timeout=30,
                              stdin=subprocess.DEVNULL, capture_output=True)
        words = done.stdout.split()
        if done.returncode or len(words) != 5 or words[0] != "micropython":
            raise NoInterpreter(f"{command[-1]} does not run here: {(done.stderr or done.stdout).strip()[-200:]}")
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NoInterpreter(f"{command[-1]} does not run here: {problem}") from None
    major, minor, patch, bits = map(int, words[1:])
    if (major, minor, patch) < OLDEST:
        raise NoInterpreter(f"{command[-1]} is MicroPython {major}.{minor}; 1.23 or later is needed")
    name = f"unix{bits}-{major}.{minor}-wheel" if source == "wheel" else f"{source}{bits}-{major}.{minor}"
    return Interpreter(name, tuple(command), bits, (major, minor, patch), source)


def find(say: Callable[[str], None] = print, again: bool = True) -> list[Interpreter]:
    """Look everywhere, fetch what is missing, write the list and return it.

    A fetch that failed is not tried anew when `again` is false. Raises NoInterpreter when there is none at all, or,
    with REQUIRE_ALL set, when one of the wheel's and Debian's two is missing.
    """
    searches: list[tuple[str, int, Callable[[], Interpreter]]] = [
        ("path", 0, _on_path),
        ("wheel", 64, _from_wheel),
        ("debian", 64, lambda: _from_debian(64, say, again)),
        ("debian", 32, lambda: _from_debian(32, say, again)),
    ]
    entries: list[Interpreter] = []
    problems: dict[tuple[str, int], str] = {}
    for source, bits, search in searches:
        try:
            entries.append(search())
        except NoInterpreter as problem:
            problems[source, bits] = str(problem)
    BUILD.mkdir(exist_ok=True)
    LIST.write_text(json.dumps([asdict(entry) for entry in entries], indent=2) + "\n")
    for entry in entries:
        say(f"MicroPython {entry.name}: runs")
    lines = [f"{source} {bits}-bit: {problems[source, bits]}\n    to have it: {remedy}"
             for (source, bits), remedy in WANTED.items() if (source, bits) in problems]
    for line in lines:
        say("MicroPython not had, " + line)
    if lines and os.environ.get("REQUIRE_ALL"):
        raise NoInterpreter("REQUIRE_ALL is set and not every MicroPython is there:\n" + "\n".join(lines))
    if not entries:
        raise NoInterpreter("no MicroPython 1.23 or later could be had on this machine: install one, such as "
                            "`brew install micropython` or `apt-get install micropython`, and run `make setup` again")
    return entries


def _on_path() -> Interpreter:
    own = str(ROOT / ".venv" / "bin")
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and folder != own]
    command = shutil.which("micropython", path=os.pathsep.join(folders))
    if not command:
        raise NoInterpreter("no `micropython` on PATH")
    return probe([os.path.abspath(command)], "path")


def _from_wheel() -> Interpreter:
    command = ROOT / ".venv" / "bin" / "micropython"
    if not command.exists():
        raise NoInterpreter("the virtual environment holds no `micropython`: no wheel fits this machine's Python")
    return probe([str(command)], "wheel")


def _from_debian(bits: int, say: Callable[[str], None], again: bool) -> Interpreter:
    try:
        folder = BUILD / "micropython" / f"debian-{private_apt.architecture(bits)}"
        failed = folder.with_suffix(".failed")
        if (folder / "root").exists():
            try:
                return probe(setup_debian.command(folder), "debian")
            except (NoInterpreter, private_apt.Unavailable):
                say(f"{folder} is broken: fetching it again")
        elif failed.exists() and not again and not os.environ.get("REQUIRE_ALL"):
            raise NoInterpreter(failed.read_text().strip() + " (`make setup` tries again)")
        failed.unlink(missing_ok=True)
        try:
            return probe(setup_debian.fetch(bits, folder, say), "debian")
        except (NoInterpreter, private_apt.Unavailable) as problem:
            failed.parent.mkdir(parents=True, exist_ok=True)
            failed.write_text(f"{problem}\n")
            raise
    except private_apt.Unavailable as problem:
        raise NoInterpreter(str(problem)) from None


def main(words: list[str]) -> int:
    """Run from the command line; returns the exit code."""
    if words not in ([], ["find"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        entries = find() if words else found()
    except NoInterpreter as problem:
        print(problem, file=sys.stderr)
        return 1
    for entry in entries:
        print(f"{entry.name:20} {entry.bits}-bit  {' '.join(entry.command)}")
    if not entries:
        print("none found yet: run `make setup`", file=sys.stderr)
    return 0 if entries else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
