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


def check(outcome: Outcome, *deeds: str) -> None:
    """Nothing went wrong, and enough was done."""
    print(outcome)
    for side in outcome.sides:
        print(side)
    for side in outcome.sides:
        assert side.sound, str(side)
        assert side.verdict.acknowledged > 100
    assert set(outcome.broker_faults) == set(deeds)
    assert outcome.link_faults.total() > 0


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a broker has its data."""
    return tmp_path_factory.mktemp("chaos")


def test_one_broker(real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path) -> None:
    with SinglePlace(folder, _SEED) as place:
        check(tell(place, boards_and_twin, Plan(_SEED, deeds=7, pause=_PAUSE)), "unload", "SIGKILL", "SIGSTOP")


def test_two_brokers(real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path) -> None:
    with ClusterPlace(folder, _SEED) as place:
        outcome = tell(place, boards_and_twin, Plan(_SEED, deeds=5, pause=_PAUSE))
    check(outcome, "unload", "SIGTERM", "SIGKILL", "SIGSTOP")


def test_two_brokers_that_name_the_next(
    real_broker_jars: None, boards_and_twin: list[Runtime], folder: Path
) -> None:
    """The extensible load manager: CLOSE_PRODUCER names the broker that takes over."""
    with ClusterPlace(folder, _SEED, extensible=True) as place:
        check(tell(place, boards_and_twin, Plan(_SEED, deeds=6, pause=_PAUSE)), "unload")
