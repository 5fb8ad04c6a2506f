"""The project's unit tests, the byte-for-byte transcript and the vectors among them, on bundled code.

The files of tests/unit are bundled together with the package, so that their names are changed with those of the
package, compiled as for a board, and run under every MicroPython.
"""
from __future__ import annotations

import ast
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import missing
from tools import interpreters
from tools.bundle.__main__ import write
from tools.bundle.building import build
from tools.bundle.scopes import BundleError
from tools.bundle.sets import SETS
from tools.interpreters import ROOT, Interpreter, search_path
from tools.interpreters import environment as environment_of

UNIT = ROOT / "tests" / "unit"


def puts_into_modules(name: str) -> bool:
    """Does tests/unit/<name>.py, or what it imports of tests.unit, put functions or numbers of its own into modules of
    the package while they run? In a bundle all are one module, so that is not followed."""
    tree = ast.parse((UNIT / f"{name}.py").read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname for alias in node.names if alias.name.startswith("mpy_pulsar.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mpy_pulsar"):
            place = ROOT.joinpath(*(node.module or "").split("."))
            modules |= {alias.asname or alias.name for alias in node.names if (place / f"{alias.name}.py").is_file()}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.unit"):
            place = (node.module or "").split(".")[2:]
            below = place or [alias.name for alias in node.names]
            if any(puts_into_modules(one) for one in below):
                return True
    at_top = {target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    return any(isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
               and node.value.id in modules and not (node.attr.isupper() and node in at_top) for node in ast.walk(tree))


# test_kernels chooses between modules of the package.
NOT_BUNDLED = {path.stem for path in UNIT.glob("test_*.py") if puts_into_modules(path.stem)} | {"test_kernels"}
FILES = sorted({path.stem for path in UNIT.glob("test_*.py")} - NOT_BUNDLED)
# Attributes that the vectors' reader sets by a text.
BY_TEXT = ("broker", "metadata", "plain", "stored", "checksum")

_RUNNER = """
import sys
import mpy_pulsar
failed = 0
for name in sys.stdin.read().split():
    try:
        getattr(mpy_pulsar, name)()
        print("passed", name)
    except Exception as error:
        failed = 1
        sys.print_exception(error, sys.stdout)
sys.exit(failed)
"""


def names_in(name: str) -> list[str]:
    """The test functions of a file of tests/unit."""
    tree = ast.parse((UNIT / f"{name}.py").read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


NAMES = [test for name in FILES for test in names_in(name)]


def run(entry: Interpreter, folder: Path, names: list[str]) -> tuple[int, list[str]]:
    """Run those functions of the bundle in `folder`: the exit code, and the lines that the tests gave."""
    environment = environment_of({"MICROPYPATH": search_path(folder)})
    done = subprocess.run(entry.argv(["runner.py"], heap="16M"), env=environment, cwd=folder, text=True,
                          input="\n".join(names), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    """By interpreter: what came of the package and the unit tests as one module; they run side by side."""
    folder = tmp_path_factory.mktemp("bundled")
    extra = {f"tests.unit.{name}": names_in(name) for name in FILES}
    write(build(ROOT, SETS["both"], extra=extra, folders={"tests": ROOT}, kept=BY_TEXT), folder)
    (folder / "vectors").symlink_to(ROOT / "tests" / "vectors")
    (folder / "runner.py").write_text(_RUNNER)
    entries = interpreters.found()
    with ThreadPoolExecutor() as pool:
        return dict(zip([entry.name for entry in entries], pool.map(lambda one: run(one, folder, NAMES), entries),
                        strict=True))


def test_the_unit_tests_pass_when_bundled(
    micropython: Interpreter, outcomes: dict[str, tuple[int, list[str]]]
) -> None:
    assert len({*NAMES}) == len(NAMES), "two unit tests of one name; call one of them otherwise"
    status, lines = outcomes[micropython.name]
    passed = [f"passed {name}" for name in NAMES]
    assert [line for line in lines if line not in passed] == []
    assert status == 0 and lines == passed


def test_what_cannot_be_bundled_is_refused() -> None:
    assert {"test_link", "test_resolve"} <= NOT_BUNDLED and {"test_transcript", "test_vectors"} <= {*FILES}
    with pytest.raises(BundleError, match="of a module of ours"):
        build(ROOT, SETS["both"], steps=["merge"], extra={"tests.unit.test_link": []}, folders={"tests": ROOT})


def test_a_test_that_fails_is_seen(tmp_path: Path) -> None:
    """Asserts are kept in what is bundled of the tests, although mpy-cross would drop them."""
    (tmp_path / "sources" / "tests").mkdir(parents=True)
    (tmp_path / "sources" / "tests" / "wrong.py").write_text(
        "from mpy_pulsar.core.verdicts import verdict\n\n"
        "def test_wrong():\n    assert verdict(3, False) == 'r', 'it is f'\n")
    bundle = build(ROOT, SETS["producer"], extra={"tests.wrong": ["test_wrong"]},
                   folders={"tests": tmp_path / "sources"})
    write(bundle, tmp_path / "out")
    (tmp_path / "out" / "runner.py").write_text(_RUNNER)
    for entry in interpreters.found() or missing("no MicroPython was found: run `make setup`"):
        status, lines = run(entry, tmp_path / "out", ["test_wrong"])
        assert status == 1 and "AssertionError: it is f" in lines
