"""How often a client waits for the broker between an open TCP connection and the first message acknowledged.

Nobody measures time: a relay holds every answer back until a whole flight of commands has come, so a client that waits
for more answers than it needs never gets to its receipt.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.flights import FlightRelay, Flights
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread
from tools.tokens import KEY_BYTES, mint


@dataclass(frozen=True)
class Start:
    """A way to begin, and what leaves together in each flight; each flight is a round trip."""

    name: str
    token: bool
    flights: Flights
    partition: bool = False
    producer: Mapping[str, Any] | None = None


_FIND = ["PARTITIONED_METADATA", "LOOKUP"]
_PLAIN = {"partitioned": False}
STARTS = [
    Start("warm", False, [["CONNECT", "LOOKUP", "PRODUCER"], ["SEND"]], producer=_PLAIN),
    Start("partition", False, [["CONNECT", "LOOKUP", "PRODUCER"], ["SEND"]], partition=True),
    Start("warm_with_token", True, [["CONNECT"], ["LOOKUP", "PRODUCER"], ["SEND"]], producer=_PLAIN),
    Start("partition_with_token", True, [["CONNECT"], ["LOOKUP", "PRODUCER"], ["SEND"]], partition=True),
    Start("cold", False, [["CONNECT", *_FIND], ["PRODUCER"], ["SEND"]]),
    Start("cold_with_token", True, [["CONNECT"], _FIND, ["PRODUCER"], ["SEND"]]),
]
_BY_NAME = {start.name: start for start in STARTS}
_ROUND_TRIPS = {
    "warm": 2, "partition": 2, "warm_with_token": 3, "partition_with_token": 3, "cold": 3, "cold_with_token": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """An interpreter that has begun in every way, and the relays it went through."""

    program: Program
    relays: Mapping[str, FlightRelay]


@pytest.fixture(scope="module")
def trials() -> Iterator[Mapping[str, Trial]]:
    """Every interpreter, side by side."""
    key = secrets.token_bytes(KEY_BYTES)
    parent = fresh_name("parent")
    with (
        DevBrokerThread(partitioned={parent: 2}) as open_to_all,
        DevBrokerThread(partitioned={parent: 2}, token_key=key) as guarded,
        ExitStack() as stack,
        SideBySide() as running,
    ):
        made = {}
        for runtime in everyone():
            relays, attempts = {}, []
            for start in STARTS:
                broker = guarded if start.token else open_to_all
                relay = relays[start.name] = stack.enter_context(FlightRelay(broker.port, start.flights))
                listener = fresh_name("relay")
                broker.broker.advertised_listeners[listener] = relay.url
                attempts.append({
                    "name": start.name, "url": relay.url, "messages": 1, "producer": dict(start.producer or {}),
                    "topic": f"{parent}-partition-1" if start.partition else fresh_name(start.name),
                    "client": {"listener_name": listener}, **({"token": mint("app", key)} if start.token else {}),
                })  # fmt: skip
            program = running.start(runtime, "attempts", {"attempts": attempts})
            made[runtime.name] = Trial(program, relays)
        for trial in made.values():
            trial.program.finish()
        yield made


@pytest.mark.parametrize("name", _BY_NAME)
def test_a_start_takes_so_many_round_trips(runtime: str, name: str, trials: Mapping[str, Trial]) -> None:
    start, trial = _BY_NAME[name], trials[runtime]
    (done,) = [record for record in trial.program.of_kind("done") if record["name"] == name]
    assert len(done["result"][1]) == 1 and done["errors"] == []
    assert trial.relays[name].heard() == [[command for flight in start.flights for command in flight]]
    assert len(start.flights) == _ROUND_TRIPS[name]
