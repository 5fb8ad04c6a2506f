"""The unit tests pass, and are the same in number, under every MicroPython, under Python 3.9 and under pytest."""
from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import interpreters
from tools.interpreters import ROOT, Interpreter

RUNNER = ROOT / "tests" / "run_unit.py"
SECONDS = 300
_NAME_OF_THIS_PYTHON = "cpython"

Result = subprocess.CompletedProcess


def start(command: Sequence[str | Path], env: dict[str, str] | None = None) -> Result[str]:
    """Run a command in the project's root and keep what it prints, errors included."""
    return subprocess.run([str(word) for word in command], env=env, cwd=ROOT, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def passed(result: Result[str]) -> int:
    """How many tests a run of the unit tests says have passed; fails unless all did."""
    lines = result.stdout.splitlines()
    summary = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1]) if lines else None
    assert summary and result.returncode == 0 and summary[2] == "0", result.stdout[-8000:]
    return int(summary[1])


def python39() -> str | None:
    """A Python 3.9: PYTHON39 from the environment, one on PATH, one of pyenv's or of uv's; None if there is none."""
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    choices = [os.environ.get("PYTHON39"), shutil.which("python3.9"),
               *sorted(glob.glob(f"{glob.escape(pyenv)}/versions/3.9.*/bin/python3.9"))]
    uv = shutil.which("uv")
    if uv:
        choices.append(start([uv, "python", "find", "--no-python-downloads", "3.9"]).stdout.strip())
    for choice in choices:
        if choice and os.path.isfile(choice):
            # A shim of pyenv's may be there for a version that is not.
            if start([choice, "-c", "import sys; print(sys.version_info[:2])"]).stdout.strip() == "(3, 9)":
                return choice
    return None


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future[Result[str]]]]:
    """The unit tests' runs by the interpreter's name, side by side, no more at a time than there are cores."""
    jobs: dict[str, Callable[[], Result[str]]] = {
        entry.name: lambda entry=entry: start(entry.argv([RUNNER]), env=interpreters.environment())
        for entry in interpreters.found()}
    jobs[_NAME_OF_THIS_PYTHON] = lambda: start([sys.executable, RUNNER])
    old = python39()
    if old:
        # -I -S: nothing but the standard library, whatever the machine has installed.
        jobs["python3.9"] = lambda: start([old, "-I", "-S", RUNNER])
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield {name: pool.submit(job) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def expected(runs: dict[str, Future[Result[str]]]) -> int:
    """How many unit tests there are: pytest's own count, and the runner's under this Python."""
    collected = start([sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "tests/unit"]).stdout
    count = re.search(r"^(\d+) tests? collected", collected, re.MULTILINE)
    assert count, collected
    assert passed(runs[_NAME_OF_THIS_PYTHON].result()) == int(count[1])
    return int(count[1])


def test_unit_tests_pass_under_micropython(micropython: Interpreter, runs: dict[str, Future[Result[str]]],
                                           expected: int) -> None:
    assert passed(runs[micropython.name].result()) == expected


def test_unit_tests_pass_under_python39(runs: dict[str, Future[Result[str]]], expected: int) -> None:
    if "python3.9" not in runs:
        # Not every system has one any more, so this is no failure with REQUIRE_ALL either.
        pytest.skip("no Python 3.9 at hand: name one in PYTHON39, or `uv python install 3.9`")
    assert passed(runs["python3.9"].result()) == expected


def test_runner_reports_a_failure(micropython: Interpreter, tmp_path: Path) -> None:
    """A failing test, a coroutine and a file that cannot be imported each count, and the exit code says so."""
    (tmp_path / "unit").mkdir()
    shutil.copy(RUNNER, tmp_path)
    (tmp_path / "unit" / "test_one.py").write_text(
        "def test_good():\n    pass\n\ndef test_bad():\n    raise ValueError('wrong place')\n\n"
        "async def test_coroutine():\n    pass\n")
    (tmp_path / "unit" / "test_two.py").write_text("import no_such_module\n")
    result = micropython.run([tmp_path / "run_unit.py"])
    assert result.stdout.splitlines()[-1] == "1 passed, 3 failed", result.stdout + result.stderr
    assert "ValueError: wrong place" in result.stdout
    assert result.returncode == 1


def test_a_bounded_heap_is_bounded(micropython: Interpreter) -> None:
    result = micropython.run(["-c", "import gc; print(gc.mem_free() + gc.mem_alloc())"], heap="64K")
    assert 60_000 < int(result.stdout) <= 65_536, result.stderr


def test_asyncio_and_our_modules_are_found_on_a_search_path(micropython: Interpreter, tmp_path: Path) -> None:
    result = micropython.run(["-c", "import asyncio, mpy_pulsar.errors; print('found')"], cwd=tmp_path,
                             env={"MICROPYPATH": interpreters.search_path()})
    assert result.stdout.split() == ["found"], result.stderr
