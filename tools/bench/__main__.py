"""Measures how many messages a second each client gets acknowledged, against one Apache Pulsar, in alternation.

    python -m tools.bench            about 5 minutes
    python -m tools.bench --quick    under 2 minutes

The clients: this package on CPython ("twin") and on every MicroPython of this machine, and pulsar-client. Only receipts
count, and at the end the broker's own scan of each topic must find every message. The result goes to build/bench.json
too. Figures of different machines, or of a busy one, do not compare; the ratio of two clients of one run does.
"""
from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools import interpreters
from tools.interpreters import ROOT
from tools.realbroker import jars
from tools.realbroker.processes import ProcessFailed
from tools.realbroker.rest import RestError
from tools.realbroker.standalone import InUse, Standalone

HERE = Path(__file__).resolve().parent
RESULT = ROOT / "build" / "bench.json"
DESCRIPTION = "Measure how many messages a second each client gets acknowledged by one Apache Pulsar, in alternation."
OFFICIAL = "pulsar-client"
_HEAP = "16M"
_ROUND_SECONDS_MOST = 300
_NAMESPACE = "public/default"
_SUBSCRIPTION = "scan"


class BenchError(RuntimeError):
    """A client failed, or the broker does not hold what was acknowledged."""


@dataclasses.dataclass(frozen=True)
class Runner:
    """How one client is started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured: blocks of `messages` until `seconds` are over, `rounds` times for each client."""

    messages: int
    payload_bytes: int
    rounds: int
    seconds: float


QUICK = Plan(messages=100_000, payload_bytes=100, rounds=5, seconds=1.0)
WHOLE = Plan(messages=100_000, payload_bytes=100, rounds=9, seconds=3.0)


def say(text: str) -> None:
    """Show progress at once, in a pipe too."""
    print(text, file=sys.stderr, flush=True)


def runners() -> list[Runner]:
    """Every client of this machine."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    own = str(HERE / "publish.py")
    found = [Runner("twin", [sys.executable, own], environment)]
    boards = interpreters.environment({"MICROPYPATH": interpreters.search_path(ROOT)})
    found += [Runner(entry.name, entry.argv([own], _HEAP), boards) for entry in interpreters.found()]
    if importlib.util.find_spec("pulsar"):
        found.append(Runner(OFFICIAL, [sys.executable, str(HERE / "publish_official.py")], environment))
    return found


def run_round(runner: Runner, options: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one round of a client; raises BenchError where it fails."""
    try:
        done = subprocess.run(runner.command, input=json.dumps(options) + "\n", env=dict(runner.environment), cwd=ROOT,
                              capture_output=True, text=True, timeout=_ROUND_SECONDS_MOST)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{runner.name} took longer than {_ROUND_SECONDS_MOST} s for a round") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise BenchError(f"{runner.name} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return json.loads(lines[-1])


def measure(broker: Standalone, plan: Plan, clients: Sequence[Runner]) -> dict[str, list[float]]:
    """Messages a second of each client, a figure a round; the broker's topics are checked at the end."""
    rates: dict[str, list[float]] = {client.name: [] for client in clients}
    records: dict[str, dict[str, Any]] = {}

    def take_turn(client: Runner) -> float:
        topic = f"bench-{len(records)}"
        _subscribe(broker, topic)
        record = run_round(client, {"url": broker.url, "topic": topic, "messages": plan.messages,
                                    "payload_bytes": plan.payload_bytes, "seconds": plan.seconds})
        records[topic] = {"client": client.name, **record}
        return record["messages"] / record["seconds"]

    # A broker that was just started is slow: this round does not count.
    take_turn(clients[0])
    for number in range(plan.rounds):
        # The other way round each time, so that none always comes after the same one.
        for client in clients if number % 2 == 0 else reversed(clients):
            rate = take_turn(client)
            rates[client.name].append(rate)
            say(f"  round {number + 1} of {plan.rounds}  {client.name:20} {rate:>12,.0f} messages/s")
    for topic, record in records.items():
        check_stored(record, _scan(broker, topic))
    return rates


def check_stored(record: Mapping[str, Any], stored: Mapping[str, int]) -> None:
    """Raise BenchError unless the broker holds every message and entry that a client counted as acknowledged."""
    wanted = {"messages": record["acknowledged"], "entries": record["entries"] or stored["entries"]}
    if stored != wanted:
        raise BenchError(f"{record['client']} counted {wanted} as acknowledged, and the broker holds {dict(stored)}")


def _path(topic: str) -> str:
    return f"/admin/v2/persistent/{_NAMESPACE}/{topic}"


def _subscribe(broker: Standalone, topic: str) -> None:
    """Make the topic, with a subscription that keeps all of it."""
    broker.rest("PUT", _path(topic)).expect(204)
    broker.rest("PUT", f"{_path(topic)}/subscription/{_SUBSCRIPTION}").expect(204)


def _scan(broker: Standalone, topic: str) -> dict[str, int]:
    """What the broker finds when it reads the topic from its first entry: messages and entries."""
    path = f"{_path(topic)}/subscription/{_SUBSCRIPTION}/analyzeBacklog"
    answer: Any = broker.rest("POST", path).expect(200).json()
    if answer["aborted"]:
        raise BenchError(f"the broker's scan of {topic} stopped half way: {answer}")
    return {"messages": answer["messages"], "entries": answer["entries"]}


def summarize(plan: Plan, rates: Mapping[str, Sequence[float]], pulsar: str) -> dict[str, Any]:
    """What goes to the file; pulsar: the broker's version."""
    medians = {name: statistics.median(figures) for name, figures in rates.items()}
    official = medians.get(OFFICIAL)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "messages": plan.messages,
        "payload_bytes": plan.payload_bytes,
        "rounds": plan.rounds,
        "clients": {
            name: {"messages_per_second": [round(figure) for figure in figures], "median": round(medians[name])}
            for name, figures in rates.items()
        },
        "ratio_to_pulsar_client": {
            name: round(median / official, 2) for name, median in medians.items() if official and name != OFFICIAL
        },
        "versions": {"pulsar": pulsar, **versions()},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.platform()},
    }


def versions() -> dict[str, str]:
    """Of all that took part but the broker."""
    found = {"python": platform.python_version(), "java": str(jars.java_version(jars.find_java()))}
    for name in ("pulsar-client", "google-crc32c"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for entry in interpreters.found():
        found[entry.name] = ".".join(map(str, entry.version))
    return found


def table(result: Mapping[str, Any]) -> str:
    """The result for people."""
    lines = [f"{'client':20} {'messages/s':>12} {'lowest':>12} {'highest':>12}   to {OFFICIAL}"]
    for name, figures in result["clients"].items():
        rates = figures["messages_per_second"]
        ratio = result["ratio_to_pulsar_client"].get(name)
        times = f"{ratio:.1f} times" if ratio else ""
        lines.append(f"{name:20} {figures['median']:>12,} {min(rates):>12,} {max(rates):>12,}   {times}".rstrip())
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=DESCRIPTION)
    parser.add_argument("--quick", action="store_true", help="under 2 minutes")
    for name, kind in (("messages", int), ("rounds", int), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULT, help="default: build/bench.json")
    options = parser.parse_args(words)
    chosen = {name: getattr(options, name) for name in ("messages", "rounds", "seconds")}
    plan = dataclasses.replace(QUICK if options.quick else WHOLE,
                               **{name: value for name, value in chosen.items() if value is not None})
    clients = runners()
    if clients[-1].name != OFFICIAL:
        say(f"{OFFICIAL} has no wheel for this machine, so there is nothing to compare with")
    started = time.monotonic()
    folder = ROOT / "build" / "realbroker"
    folder.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=folder))
    try:
        say("starting a real Pulsar broker ...")
        with Standalone(directory) as broker:
            pulsar = broker.rest("GET", "/admin/v2/brokers/version").expect(200).text
            rates = measure(broker, plan, clients)
    except (jars.MissingTool, jars.FetchError, InUse, ProcessFailed, RestError, BenchError) as error:
        say(str(error))
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    result = summarize(plan, rates, pulsar)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))
    say(f"every message acknowledged was found in the broker; {options.output}, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
