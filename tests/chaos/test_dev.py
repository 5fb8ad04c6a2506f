"""The development broker: restarts, unloads, its own faults and those of links, on all interpreters side by side."""

from __future__ import annotations

import pytest

from tools.chaos.dev import DevPlace
from tools.chaos.running import Runtime
from tools.chaos.story import Outcome, Plan, tell

_SEED = 20
_DEEDS = 40
_LINK_FAULTS = 60
_PLAN = Plan(_SEED, messages=2000, link_faults=_LINK_FAULTS, deeds=_DEEDS, send_timeout_ms=5000)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def outcome(runtimes: list[Runtime]) -> Outcome:
    """One story on all interpreters."""
    with DevPlace(_SEED) as place:
        found = tell(place, runtimes, _PLAN)
    print(found)
    return found


def test_nothing_is_lost_doubled_or_told_wrongly(outcome: Outcome, runtime: str) -> None:
    (side,) = [side for side in outcome.sides if side.name == runtime]
    print(side)
    assert side.sound, str(side)
    assert side.verdict.acknowledged > 0


def test_the_story_was_a_rough_one(outcome: Outcome) -> None:
    assert outcome.broker_faults.total() >= _DEEDS and len(outcome.broker_faults) > 2
    assert outcome.link_faults.total() >= _LINK_FAULTS and len(outcome.link_faults) > 3
