"""Rounds of `send_through_faults` on every interpreter, and what must hold after each, whatever the broker did."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.integration import stored
from tests.integration.runs import Program, Runtime, everyone, fresh_name
from tests.integration.stored import Place
from tools.devbroker import DevBrokerThread

TOTAL = 150
DEDUPLICATING = "public/deduplicating"
NOWHERE = -1
"""The ledger of a receipt for what the broker weeded out as stored before."""
_ROUND_SECONDS = 30
_STRIKE_SECONDS = 15


@dataclass(frozen=True)
class Round:
    """Faults, and what is expected of a client that sends through them."""

    name: str
    during: Sequence[str] = ()
    """Put in force once the producer is open; each must strike."""
    before: Sequence[str] = ()
    """Put in force before the client is there; each must strike."""
    then: Sequence[str] = ()
    """Put in force when the first of `during` has struck; those of `during` end then."""
    deduplication: bool = False
    reported: str = ""
    """What one of the errors that belong to no call says."""
    silent: bool = False
    """No such error is expected at all."""
    refuses: bool = False
    """Messages may fail, if that is told truly."""
    ends: str = ""
    """What the error says that ends the producer."""
    reorders: bool = False
    """The broker lost a message without a word, or had one sent again: what came after it may stand before it."""
    client: Mapping[str, Any] = field(default_factory=dict)
    producer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What the program said of a round, and what the broker has."""

    said: Mapping[str, Any]
    store: Sequence[tuple[Place, int]]
    struck: Sequence[int]
    """How often each fault has struck, those of `before`, then those of `during`; refusing connections counts none."""


def run_all(rounds: Sequence[Round]) -> dict[str, dict[str, Callable[[], Outcome]]]:
    """Every interpreter goes through all the rounds, side by side, each with a broker of its own.

    By interpreter and round, a function that gives the outcome, or raises what went wrong.
    """
    runtimes = everyone()
    with ThreadPoolExecutor(len(runtimes)) as threads:
        outcomes = threads.map(lambda runtime: _run_on(runtime, rounds), runtimes)
        return {runtime.name: found for runtime, found in zip(runtimes, outcomes, strict=True)}


def _run_on(runtime: Runtime, rounds: Sequence[Round]) -> dict[str, Callable[[], Outcome]]:
    outcomes: dict[str, Callable[[], Outcome]] = {}
    with DevBrokerThread(proxy_through_service_url=False) as broker:
        broker.call(lambda broker: broker.set_policy(DEDUPLICATING, deduplication=True))
        program = None
        for one in rounds:
            program = program or Program(runtime, "send_through_faults", {})
            try:
                outcome = _run_one(program, broker, one)
                outcomes[one.name] = lambda outcome=outcome: outcome
            except Exception as error:  # noqa: BLE001 - each round's test raises what its round met

                def fail(error: Exception = error) -> Outcome:
                    raise error

                outcomes[one.name] = fail
                with program:  # the next round gets a fresh one
                    broker.clear_faults()
                program = None
        if program:
            with program:
                program.tell("end")
                program.finish()
    return outcomes


def _run_one(program: Program, broker: DevBrokerThread, one: Round) -> Outcome:
    namespace = DEDUPLICATING if one.deduplication else "public/default"
    topic = f"persistent://{namespace}/{fresh_name('fault')}"
    early = [broker.fault(fault) for fault in one.before]
    program.tell(json.dumps({
        "url": broker.url, "topic": topic, "total": TOTAL, "client": dict(one.client),
        "producer": {"producer_name": fresh_name("press"), **one.producer},
    }))  # fmt: skip
    program.wait_for("open", _ROUND_SECONDS)
    faults = [broker.fault(fault) for fault in one.during]
    program.tell("go")
    if one.then:
        broker.wait_until(lambda _: faults[0].hits, _STRIKE_SECONDS)
        for fault in one.then:
            broker.fault(fault)
        for fault in faults:
            broker.clear_faults(fault)
    said = program.wait_for("sent", _ROUND_SECONDS)
    broker.wait_until(lambda broker: not broker.sessions)
    broker.clear_faults()
    store = broker.call(lambda broker: stored.numbers(broker, topic))
    return Outcome(said, store, [fault.hits for fault in (*early, *faults)])


# What must hold


def check(one: Round, outcome: Outcome) -> None:
    """Raise AssertionError where something was lost, told wrongly, out of order, or came twice without a reason."""
    said = outcome.said
    for fault, hits in zip((*one.before, *one.during), outcome.struck, strict=True):
        assert hits or fault.startswith("refuse"), f"{fault!r} did not strike"
    places: dict[int, list[Place]] = {}
    for place, number in outcome.store:
        places.setdefault(number, []).append(place)
    _check_fates(one, said, places)
    _check_order(one, [number for _, number in outcome.store])
    _check_repeats(one, said, places)
    errors = said["errors"]
    if one.silent:
        assert not errors
    assert not one.reported or any(one.reported in error for error in errors), errors


def _check_fates(one: Round, said: Mapping[str, Any], places: Mapping[int, list[Place]]) -> None:
    """Whoever was told something was told the truth."""
    told = {}
    for number, ledger, entry, index in said["acknowledged"]:
        told[number] = "acknowledged"
        assert number in places, f"message {number} was acknowledged and is not there"
        # Without a place: the broker weeded it out as one it has already.
        weeded_out = one.deduplication and ledger == NOWHERE
        found = weeded_out or Place(ledger, entry, max(index, 0)) in places[number]
        assert found, f"message {number} is at {places[number]}, said was {ledger}:{entry}:{index}"
    for number, text in said["failed"]:
        assert number not in told
        told[number] = text
        if text.endswith("not stored") or text.endswith("not sent"):
            assert number not in places, f"message {number} is there, said was: {text}"
        else:
            assert "fate is unknown" in text, text
    bare = {number for first, last in said["bare"] for number in range(first, last + 1)}
    assert not bare & told.keys()
    assert len(bare) + len(told) == said["count"], "somebody was told nothing"
    if said["flushed"] is None:
        assert bare <= places.keys(), f"never stored, and nobody was told: {sorted(bare - places.keys())}"
    if one.ends:
        assert said["ended"] and one.ends in said["ended"], said["ended"]
    else:
        assert said["ended"] is None
        assert said["count"] >= TOTAL
    if not (one.refuses or one.ends):
        assert not said["failed"] and said["flushed"] is None


def _check_order(one: Round, numbers: Sequence[int]) -> None:
    if one.refuses and one.reorders:
        return
    # Where a message was lost without a word, all that followed it came again behind it.
    last = {number: position for position, number in enumerate(numbers)} if one.reorders else {}
    first: dict[int, int] = {}
    for position, number in enumerate(numbers):
        first.setdefault(number, position)
    positions = [(last or first)[number] for number in sorted(first)]
    assert positions == sorted(positions), f"out of order: {numbers}"


def _check_repeats(one: Round, said: Mapping[str, Any], places: Mapping[int, list[Place]]) -> None:
    repeated = {number for number, found in places.items() if len(found) > 1}
    if one.deduplication:
        assert not repeated, f"twice, in spite of deduplication: {sorted(repeated)}"
    unknown = {number for first, last in said["lost"] for number in range(first, last + 1)}
    assert repeated <= unknown, f"twice, though confirmed or never transmitted: {sorted(repeated - unknown)}"
