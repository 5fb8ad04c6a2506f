"""Reads a board's traceback back into the names of the source: a bundle's functions have others.

    .venv/bin/python -m tools.bundle.tracebacks build/bundle/producer/plain/map.json < traceback.txt

A function's name may stand for more than one in the source, where firmware has no more names to give: all are shown.
"""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tools.bundle.program import Program

_FRAME = re.compile(r'^(\s*File "mpy_pulsar[^"]*", line \d+, in )(\S+)', re.MULTILINE)


def traceback_map(program: Program) -> dict[str, dict[str, list[str]]]:
    """By new name, what it stands for in the source: functions with module and class, globals, attributes."""
    globals_: dict[str, list[str]] = {}
    attributes: dict[str, list[str]] = {}
    for old, new in program.renamed.items():
        if old.startswith("."):
            attributes.setdefault(new, []).append(old[1:])
        else:
            globals_.setdefault(new, []).append(program.origins.get(old, old))
    return {"functions": program.functions, "globals": globals_, "attributes": attributes}


def read_back(text: str, functions: dict[str, list[str]]) -> str:
    """A traceback with the source's names of functions."""
    return _FRAME.sub(lambda found: found[1] + " or ".join(functions.get(found[2], [found[2]])), text)


def main(words: list[str]) -> int:
    """Read standard input back by the map whose path is given; the exit code."""
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdout.write(read_back(sys.stdin.read(), json.loads(Path(words[0]).read_text())["functions"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
