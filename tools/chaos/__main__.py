"""Chaos from the command line: `python -m tools.chaos` and `make chaos` (the long form), or one of its parts.

Exit status 0 when nothing was lost, doubled, out of order, or told wrongly.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import uuid
from collections.abc import Sequence

from tools.chaos import fleet, report
from tools.chaos.dev import DevPlace
from tools.chaos.real import ClusterPlace, SinglePlace
from tools.chaos.recovery import Probes
from tools.chaos.running import FOLDER, HEAPS, SMALL_HEAPS, runtimes
from tools.chaos.story import Outcome, Plan, tell

_DATA = FOLDER / "data"
# Of every 23 things done to the cluster, how many of each. A stopped broker is noticed by keep-alive, after a minute.
_WEIGHTS = {"unload": 20, "SIGTERM": 1, "SIGKILL": 1, "SIGSTOP": 1}


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit status."""
    options = _parser().parse_args(words)
    try:
        return {"cluster": _cluster, "single": _single, "dev": _dev, "fleet": _fleet}[options.part](options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument(
        "part", nargs="?", default="cluster", choices=["cluster", "single", "dev", "fleet"],
        help="against two real brokers (default; writes build/chaos.json and the plot in docs/), one real broker, the"
        " development broker; or many clients in one process",
    )  # fmt: skip
    parser.add_argument("--messages", type=int, default=1_000_000, help="acknowledged at least (default %(default)s)")
    parser.add_argument("--link-faults", type=int, default=10_000, help="default %(default)s")
    parser.add_argument("--broker-faults", type=int, default=200, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--minutes", type=float, default=0, help="end then, whatever there was (default: no limit)")
    parser.add_argument("--extensible", action="store_true", help="the cluster with the extensible load manager")
    parser.add_argument(
        "--small-heaps", action="store_true", help="with dev: 64 KB for a 32-bit MicroPython instead of 80"
    )
    parser.add_argument("--clients", type=int, default=2000, help="of the fleet (default %(default)s)")
    return parser


def _plan(options: argparse.Namespace, pause: tuple[float, float]) -> Plan:
    return Plan(
        options.seed, options.messages, options.link_faults, options.broker_faults, pause, pace_ms=20,
        most_seconds=options.minutes * 60, finish_seconds=300,
    )  # fmt: skip


def _cluster(options: argparse.Namespace) -> int:
    shutil.rmtree(_DATA, ignore_errors=True)
    weights = {"unload": 1} if options.extensible else _WEIGHTS
    place = ClusterPlace(_DATA, options.seed, extensible=options.extensible, weights=weights, most_bytes=12_000)
    with place, contextlib.ExitStack() as stack:
        probes = stack.enter_context(Probes(place.direct_url, place.namespace, uuid.uuid4().hex[:8]))
        place.watch = probes.watch
        outcome = tell(place, runtimes(), _plan(options, (0.1, 0.5)), _say)
    found = report.figures(outcome, probes.times, options.seed)
    report.write_figures(found)
    samples = found["recovery_samples"]
    assert isinstance(samples, dict)
    report.plot(samples)
    for fault, by_kind in probes.times.items():
        count = max(map(len, by_kind.values()))
        print(f"{fault}: median of {count}: {found['recovery_ms'][fault]} ms")  # type: ignore[index]
    return _tell(outcome)


def _single(options: argparse.Namespace) -> int:
    shutil.rmtree(_DATA, ignore_errors=True)
    with SinglePlace(_DATA, options.seed, 12_000) as place:
        return _tell(tell(place, runtimes(), _plan(options, (0.5, 1.5)), _say))


def _dev(options: argparse.Namespace) -> int:
    with DevPlace(options.seed) as place:
        heaps = SMALL_HEAPS if options.small_heaps else HEAPS
        return _tell(tell(place, runtimes(heaps=heaps), _plan(options, (0.1, 0.5)), _say))


def _fleet(options: argparse.Namespace) -> int:
    found = fleet.run(options.clients, say=_say)
    print(found)
    return 0 if found.sound else 1


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(outcome: Outcome) -> int:
    print(outcome)
    for side in outcome.sides:
        print(side)
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
