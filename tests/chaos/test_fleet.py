"""Many clients in one process come back after a restart of the broker, spread out over time."""

from __future__ import annotations

from tools.chaos import fleet
from tools.chaos.running import Runtime

_CLIENTS = 200


def test_a_fleet_comes_back_without_a_rush_and_loses_nothing(runtimes: list[Runtime]) -> None:
    found = fleet.run(_CLIENTS, down_seconds=2)
    print(found)
    assert found.back == _CLIENTS, str(found)
    assert found.acknowledged == _CLIENTS * 5
    assert (found.lost, found.duplicated, found.reordered) == (0, 0, 0)
    # In all, not by the second: a machine that stands still for one does what was due in the next.
    assert sum((found.attempts or {}).values()) <= found.most_attempts()
