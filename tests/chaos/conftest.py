"""The interpreters that send and receive in every story."""

from __future__ import annotations

import pytest

from tests.conftest import missing
from tests.integration.conftest import (  # noqa: F401 - what pytest finds in here
    pytest_collection_modifyitems, pytest_generate_tests, real_broker_jars, runtime,
)  # fmt: skip
from tests.made_bundles import bundle_of
from tools.chaos import official, running
from tools.chaos.running import Runtime


@pytest.fixture(scope="session")
def runtimes() -> list[Runtime]:
    """The twin and every MicroPython, which run bundles in heaps of a board's size."""
    try:
        official.module()
    except ImportError:
        missing("the official client is not installed here (`pip install pulsar-client`)")
    return running.runtimes(bundles=bundle_of)


@pytest.fixture(scope="session")
def boards_and_twin(runtimes: list[Runtime]) -> list[Runtime]:
    """The twin and the MicroPythons of 32 bits: what runs beside three Java processes."""
    return [one for one in runtimes if one.name == runtimes[0].name or "32" in one.name]
