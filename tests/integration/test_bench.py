"""The benchmark's command: who takes part, what it writes, that it believes nobody. Its figures are not looked at."""
from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import interpreters
from tools.bench.__main__ import BenchError, Plan, Runner, check_stored, run_round, summarize, table

MESSAGES, ROUNDS = 500, 2


def test_every_client_takes_part_in_every_round(real_broker_jars: None, tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tools.bench", "--messages", str(MESSAGES), "--rounds", str(ROUNDS),
               "--seconds", "0", "--output", str(output)]
    done = subprocess.run(command, cwd=interpreters.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every message acknowledged was found" in done.stderr
    result = json.loads(output.read_text())
    ours = {"twin", *(entry.name for entry in interpreters.found())}
    official = {"pulsar-client"} if importlib.util.find_spec("pulsar") else set()
    assert set(result["clients"]) == ours | official
    assert set(result["ratio_to_pulsar_client"]) == (ours if official else set())
    assert {len(client["messages_per_second"]) for client in result["clients"].values()} == {ROUNDS}
    assert all(name in done.stdout for name in result["clients"])
    assert (result["messages"], result["payload_bytes"], result["rounds"]) == (MESSAGES, 100, ROUNDS)
    assert {"pulsar", "python", "java", *official} <= set(result["versions"])


def test_medians_and_ratios() -> None:
    rates = {"twin": [300.0, 100.0, 200.0], "pulsar-client": [40.0, 50.0, 60.0]}
    result = summarize(Plan(messages=10, payload_bytes=100, rounds=3, seconds=1), rates, "4.0")
    assert result["clients"]["twin"] == {"messages_per_second": [300, 100, 200], "median": 200}
    assert result["ratio_to_pulsar_client"] == {"twin": 4.0}
    assert result["versions"]["pulsar"] == "4.0"
    rows = table(result).splitlines()
    assert rows[1].split() == ["twin", "200", "100", "300", "4.0", "times"]
    assert rows[2].split() == ["pulsar-client", "50", "40", "60"]


@pytest.mark.parametrize("stored", [{"messages": 99, "entries": 2}, {"messages": 101, "entries": 2},
                                    {"messages": 100, "entries": 3}])
def test_what_the_broker_does_not_hold_is_no_result(stored: dict[str, int]) -> None:
    record = {"client": "twin", "acknowledged": 100, "entries": 2}
    check_stored(record, {"messages": 100, "entries": 2})
    check_stored({**record, "entries": None}, {"messages": 100, "entries": 7})
    with pytest.raises(BenchError, match="twin counted"):
        check_stored(record, stored)


def test_a_client_that_fails_is_no_result() -> None:
    failing = Runner("twin", [sys.executable, "-c", "print('{}'); raise SystemExit('no broker')"], {})
    with pytest.raises(BenchError, match="twin failed:\nno broker"):
        run_round(failing, {})
