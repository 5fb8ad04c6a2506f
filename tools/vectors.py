"""Test vectors: bytes of the protocol that every interpreter must reproduce and read.

    tools/vectors.py make            write the project's own into tests/vectors, by google.protobuf
    tools/vectors.py check           replay those on CPython and on every MicroPython of this machine
    tools/vectors.py check FILE …    replay others: JSON (see tests/vectors/README.md) or the line format

`check` prints what fails, by the vector's name, and a line an interpreter; its exit code is 1 when anything failed.
With REQUIRE_ALL set a MicroPython that this machine could have and has not is a failure too.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__" and not __package__:
    # Started by its path: the project's own Python has what it imports.
    _root = Path(__file__).resolve().parent.parent
    _python = _root / ".venv" / "bin" / "python"
    if not _python.exists():
        sys.exit("run `make setup` first, which brings what this needs")
    if Path(sys.prefix) != _root / ".venv":
        os.execv(_python, [_python, *sys.argv])
    sys.path[0] = str(_root)

from tools import (
    interpreters, vectors_frames, vectors_numbers, vectors_oracle, vectors_received, vectors_sent, vectors_text,
    vectors_transcript,
)
from tools.interpreters import ROOT, Interpreter

FOLDER = ROOT / "tests" / "vectors"
TRANSCRIPT = "transcript.txt"
_REPLAY = ROOT / "tests" / "unit" / "vector_replay.py"
_SECONDS = 300
_SUMMARY = re.compile(r"(\d+) passed, (\d+) failed \(client path \d+, generic path \d+\)")


@dataclass
class Outcome:
    """What one interpreter made of the vectors."""

    name: str
    summary: str
    failures: list[str] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    sound: bool = True


def own_entries() -> dict[str, list[vectors_sent.Entry]]:
    """The project's vectors in the form of a JSON file's, by the name of the file that they stand in."""
    sets = {
        "sent.txt": vectors_sent.entries(),
        "received.txt": vectors_received.entries(),
        "ids.txt": vectors_received.ids_and_metadata(),
        "frames.txt": vectors_frames.sent() + vectors_frames.arrived(),
        "large.txt": vectors_frames.large(),
    }
    return {name: [vectors_oracle.completed(entry) for entry in entries] for name, entries in sets.items()}


def own_numbers() -> dict[str, Any]:
    """The sections of a JSON file besides `vectors`."""
    return {"crc32c": vectors_numbers.crc32c(), "varints": vectors_numbers.varints(), "zlib": vectors_numbers.zlib(),
            "hashes": vectors_numbers.hashes()}


def own_files() -> dict[str, str]:
    """The content of every file that `make` writes, by its name."""
    files: dict[str, Iterable[str]] = {
        name: vectors_text.lines_of_file({"vectors": entries}) for name, entries in own_entries().items()}
    files["numbers.txt"] = vectors_text.lines_of_file(own_numbers())
    files[TRANSCRIPT] = vectors_transcript.lines()
    head = "# Made by `make vectors`; what it means stands in README.md."
    return {name: "\n".join([head, *lines]) + "\n" for name, lines in files.items()}


def own_paths() -> list[Path]:
    """The stored files that a replay reads."""
    return sorted(path for path in FOLDER.glob("*.txt") if path.name != TRANSCRIPT)


def make() -> int:
    """Write the project's vectors."""
    for name, text in own_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{(FOLDER / name).relative_to(ROOT)}: {len(text):,} bytes")
    return 0


def converted(path: Path, folder: Path) -> Path:
    """A file in the line format: `path` itself, or, where it is JSON, what it becomes in `folder`."""
    if path.suffix != ".json":
        return path
    target = folder / f"{path.stem}.txt"
    content = json.loads(path.read_text(encoding="utf-8"))
    target.write_text("\n".join([*vectors_text.lines_of_file(content), ""]), encoding="utf-8")
    return target


def replay(name: str, command: Sequence[str], paths: Sequence[Path], env: dict[str, str]) -> Outcome:
    """Replay files under one interpreter, whose `command` takes the files."""
    try:
        done = subprocess.run([*command, *map(str, paths)], cwd=ROOT, env=env, text=True, timeout=_SECONDS,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return Outcome(name, f"no end after {_SECONDS} s", sound=False)
    lines = done.stdout.splitlines()
    failures = [line[7:] for line in lines if line.startswith("FAILED ")]
    unneeded = [line[9:] for line in lines if line.startswith("UNNEEDED ")]
    summary = _SUMMARY.fullmatch(lines[-1] if lines else "")
    if not summary:
        return Outcome(name, f"broke down: {done.stdout[-2000:]}", failures, unneeded, False)
    sound = done.returncode == 0 and int(summary[1]) > 0 and summary[2] == "0" and not failures
    return Outcome(name, summary[0], failures, unneeded, sound)


def replay_everywhere(paths: Sequence[Path], entries: Sequence[Interpreter]) -> list[Outcome]:
    """Replay on this Python and on each MicroPython, side by side."""
    own = [sys.executable, "-m", "tests.unit.vector_replay"]
    jobs = [(f"cpython-{sys.version_info[0]}.{sys.version_info[1]}", own, dict(os.environ))]
    jobs += [(entry.name, entry.argv([_REPLAY]), interpreters.environment({"MICROPYPATH": interpreters.search_path()}))
             for entry in entries]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda job: replay(job[0], job[1], paths, job[2]), jobs))


def missing_interpreters(entries: Sequence[Interpreter]) -> list[str]:
    """What a whole collection has and this one has not."""
    have = {(entry.source, entry.bits) for entry in entries}
    return [f"{source} {bits}-bit" for source, bits in sorted(interpreters.WANTED.keys() - have)]


def check(words: Sequence[str]) -> int:
    """Replay files, or the project's own, everywhere, and report; the exit code."""
    entries = interpreters.found()
    with tempfile.TemporaryDirectory() as folder:
        try:
            paths = [converted(Path(word).resolve(), Path(folder)) for word in words] or own_paths()
        except (vectors_text.VectorError, OSError, ValueError) as problem:
            print(f"cannot be read as vectors: {problem}", file=sys.stderr)
            return 1
        outcomes = replay_everywhere(paths, entries)
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"{outcome.name}: FAILED {failure}")
    for outcome in outcomes:
        print(f"{outcome.name}: {outcome.summary}")
    unneeded = list(dict.fromkeys(name for outcome in outcomes for name in outcome.unneeded))
    print(f"what no producer, consumer or reader needs: {', '.join(unneeded) or 'none'}")
    sound = all(outcome.sound for outcome in outcomes)
    missing = missing_interpreters(entries)
    if missing:
        print(f"MicroPython not had: {', '.join(missing)} (`make setup` says why)")
        sound = sound and not os.environ.get("REQUIRE_ALL")
    return 0 if sound else 1


def main(words: list[str]) -> int:
    """Run from the command line; returns the exit code."""
    if words == ["make"]:
        return make()
    if words[:1] == ["check"]:
        return check(words[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
