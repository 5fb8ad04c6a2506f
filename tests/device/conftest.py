"""The firmware of the emulated board, built from the tree as it stands."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import missing
from tools.device import firmware as made
from tools.device import kit
from tools.private_apt import Unavailable

PROGRAMS = Path(__file__).resolve().parent / "programs"


@pytest.fixture(scope="session")
def firmware() -> Path:
    """A .bin; the test is skipped where what it is made from was never fetched, or cannot be."""
    if not kit.is_here() and not os.environ.get("REQUIRE_ALL"):
        missing("the emulated board's parts are not here: `make firmware` fetches them (150 MB) and builds")
    try:
        return made.build(print)
    except Unavailable as problem:
        missing(f"the emulated board cannot be had: {problem}")


def program(name: str) -> str:
    """The source of a program of tests/device/programs."""
    return (PROGRAMS / f"{name}.py").read_text()
