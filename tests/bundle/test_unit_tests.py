"""The project's unit tests, the byte-for-byte transcript and the vectors among them, on bundled code.

Each file of tests/unit is bundled together with the package, so that its names are changed with those of the package,
compiled as for a board, and run under every MicroPython.
"""
from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.bundle.__main__ import write
from tools.bundle.building import build
from tools.bundle.scopes import BundleError
from tools.bundle.sets import SETS
from tools.interpreters import ROOT, Interpreter, search_path

UNIT = ROOT / "tests" / "unit"
# These put other functions or numbers into modules of the package, which one module cannot do.
NOT_BUNDLED = {"test_consumer_core", "test_heap_lock", "test_kernels", "test_nobody_left", "test_send_nowait"}
FILES = sorted({path.stem for path in UNIT.glob("test_*.py")} - NOT_BUNDLED)
# Attributes that the vectors' reader sets by a text.
BY_TEXT = ("broker", "metadata", "plain", "stored", "checksum")

_RUNNER = """
import sys
import mpy_pulsar
for name in sys.argv[1:]:
    getattr(mpy_pulsar, name)()
    print("passed", name)
"""


def names_in(name: str) -> list[str]:
    """The test functions of a file of tests/unit."""
    tree = ast.parse((UNIT / f"{name}.py").read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of bundles by the file of tests that is in them, made when they are asked for."""
    return {}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_unit_tests_passes_when_bundled(
    name: str, micropython: Interpreter, bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tests = names_in(name)
    if name not in bundles:
        bundle = build(ROOT, SETS["both"], extra={f"tests.unit.{name}": tests}, folders={"tests": ROOT}, kept=BY_TEXT)
        folder = bundles[name] = tmp_path_factory.mktemp(name)
        write(bundle, folder)
        (folder / "vectors").symlink_to(ROOT / "tests" / "vectors")
        (folder / "runner.py").write_text(_RUNNER)
    folder = bundles[name]
    done = micropython.run(["runner.py", *tests], env={"MICROPYPATH": search_path(folder)}, cwd=folder, heap="16M")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"passed {test}" for test in tests]


@pytest.mark.parametrize("name", sorted(NOT_BUNDLED))
def test_what_cannot_be_bundled_is_refused(name: str) -> None:
    with pytest.raises(BundleError):
        build(ROOT, SETS["both"], extra={f"tests.unit.{name}": names_in(name)}, folders={"tests": ROOT})


def test_a_test_that_fails_is_seen(micropython: Interpreter, tmp_path: Path) -> None:
    """Asserts are kept in what is bundled of the tests, although mpy-cross would drop them."""
    (tmp_path / "sources" / "tests").mkdir(parents=True)
    (tmp_path / "sources" / "tests" / "wrong.py").write_text(
        "from mpy_pulsar.core.retry import verdict\n\n"
        "def test_wrong():\n    assert verdict(3, False) == 'r', 'it is f'\n")
    bundle = build(ROOT, SETS["producer"], extra={"tests.wrong": ["test_wrong"]},
                   folders={"tests": tmp_path / "sources"})
    write(bundle, tmp_path / "out")
    (tmp_path / "out" / "runner.py").write_text(_RUNNER)
    done = micropython.run(["runner.py", "test_wrong"], env={"MICROPYPATH": search_path(tmp_path / "out")},
                           cwd=tmp_path / "out")
    assert done.returncode and "AssertionError: it is f" in done.stdout + done.stderr
