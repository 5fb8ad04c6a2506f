"""What every test may ask for: this machine's MicroPythons, and what to do when something is missing."""
from __future__ import annotations

import os
from typing import NoReturn

import pytest

from tools import interpreters as known
from tools.interpreters import Interpreter

_NONE = "no MicroPython was found: run `make setup`, which says what can be had"


def missing(reason: str) -> NoReturn:
    """Skip the test because of something this machine lacks; with REQUIRE_ALL set, fail it."""
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(f"REQUIRE_ALL is set, and {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def interpreters() -> list[Interpreter]:
    """Every MicroPython of this machine, at least one."""
    return known.found() or missing(_NONE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `micropython` runs once under each."""
    if "micropython" in metafunc.fixturenames:
        entries = known.found()
        metafunc.parametrize("micropython", entries or [None], indirect=True, scope="session",
                             ids=[entry.name for entry in entries] or ["none"])


@pytest.fixture(scope="session")
def micropython(request: pytest.FixtureRequest) -> Interpreter:
    """One MicroPython; the test runs once under each that was found."""
    return request.param or missing(_NONE)
