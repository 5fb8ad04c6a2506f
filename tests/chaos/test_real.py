"""Apache Pulsar itself, one broker and a cluster of two, under faults of links and of brokers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.chaos.real import ClusterPlace, SinglePlace
from tools.chaos.running import Runtime
from tools.chaos.story import Outcome, Plan, tell

pytestmark = pytest.mark.timeout(400)

_SEED = 7
_PAUSE = 1.0, 2.0


def _plan(deeds: int) -> Plan:
    return Plan(_SEED, messages=1000, link_faults=5, deeds=deeds, pause=_PAUSE)


def check(outcome: Outcome, *deeds: str) -> None:
    """Nothing went wrong, and enough was done."""
    print(outcome)
    for side in outcome.sides:
        print(side)
    for side in outcome.sides:
        assert side.sound, str(side)
        assert side.verdict.acknowledged > 0
    assert set(outcome.broker_faults) == set(deeds)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a broker has its data."""
    return tmp_path_factory.mktemp("chaos")


def test_one_broker(real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path) -> None:
    with SinglePlace(folder, _SEED) as place:
        check(tell(place, boards_and_twin, _plan(7)), "unload", "SIGKILL", "SIGSTOP")


def test_two_brokers(real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path) -> None:
    with ClusterPlace(folder, _SEED) as place:
        outcome = tell(place, boards_and_twin, _plan(5))
    check(outcome, "unload", "SIGTERM", "SIGKILL", "SIGSTOP")


def test_two_brokers_that_name_the_next(
    real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path
) -> None:
    """The extensible load manager: CLOSE_PRODUCER names the broker that takes over."""
    with ClusterPlace(folder, _SEED, extensible=True) as place:
        check(tell(place, boards_and_twin, _plan(6)), "unload")
