"""What became of every message: as its sender was told, and as the topic has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

NOWHERE = -1
"""The ledger of a receipt for what a broker with deduplication has already."""
_SHOWN = 8

_UNTOLD, _ACKNOWLEDGED, _NOT_SENT, _UNKNOWN = range(4)
# The ends of error texts that say a message is certainly not in the topic.
_ABSENT = ("not sent", "not stored")


class Stored(NamedTuple):
    """A message of a topic; `batch_index` is 0 where it is alone in its entry."""

    number: int
    ledger: int
    entry: int
    batch_index: int


class Told:
    """What a `press` was told of each message; give its lines to `hear`."""

    def __init__(self) -> None:
        self.open = False
        self.count: int | None = None
        """How many numbers were used, once it has said so."""
        self.places: dict[int, tuple[int, int, int]] = {}
        self.errors: list[str] = []
        """Those that belong to no call."""
        self.closing: list[str] = []
        """What the flush at the end raised, or closing."""
        self.acknowledged = 0
        self.strange: list[str] = []
        """Lines that were not understood, and fates that were told twice."""
        self._fates = bytearray()
        self._confirmed = -1

    def hear(self, line: str) -> None:
        """A line of the program's."""
        kind, _, rest = line.partition(" ")
        if kind == "a":
            number, ledger, entry, index = map(int, rest.split())
            self.places[number] = (ledger, entry, max(index, 0))
            self._set(number, _ACKNOWLEDGED)
        elif kind == "k":
            for number in range(self._confirmed + 1, int(rest) + 1):
                self._set(number, _ACKNOWLEDGED)
            self._confirmed = int(rest)
        elif kind == "f":
            number, text = rest.split(" ", 1)
            self._refused(int(number), text)
        elif kind == "e":
            self.errors.append(rest)
        elif kind == "x":
            self.closing.append(rest)
        elif kind == "c":
            self.count = int(rest)
        elif kind == "o":
            self.open = True
        else:
            self.strange.append(line)

    def _refused(self, number: int, text: str) -> None:
        if text.endswith(_ABSENT):
            self._set(number, _NOT_SENT)
        elif "unknown" in text or text.endswith("may be stored or not"):
            self._set(number, _UNKNOWN)
        else:
            self.strange.append(f"{number}: {text}")

    def _set(self, number: int, fate: int) -> None:
        if number >= len(self._fates):
            self._fates.extend(bytes(number + 1 - len(self._fates)))
        if self._fates[number]:
            self.strange.append(f"{number} was told {self._fates[number]}, then {fate}")
        self._fates[number] = fate
        self.acknowledged += fate == _ACKNOWLEDGED

    def of_fate(self, fate: int) -> list[int]:
        """The numbers of one fate."""
        count = len(self._fates) if self.count is None else self.count
        padded = self._fates[:count] + bytes(max(0, count - len(self._fates)))
        return [number for number in range(count) if padded[number] == fate]


@dataclass
class Verdict:
    """The comparison; `sound` where the lists of faults are all empty."""

    messages: int = 0
    acknowledged: int = 0
    not_sent: int = 0
    unknown: int = 0
    lost: list[int] = field(default_factory=list)
    """Acknowledged, and not in the topic."""
    duplicated: list[int] = field(default_factory=list)
    """In the topic more than once."""
    reordered: list[int] = field(default_factory=list)
    """First found behind a message of a higher number."""
    resurrected: list[int] = field(default_factory=list)
    """Told not to have been sent, and in the topic."""
    untold: list[int] = field(default_factory=list)
    """Nobody was told anything of them."""
    foreign: list[int] = field(default_factory=list)
    """In the topic, and never sent."""
    misplaced: list[int] = field(default_factory=list)
    """At another place than its receipt said."""
    strange: list[str] = field(default_factory=list)
    """What the program said that makes no sense."""

    @property
    def faults(self) -> dict[str, list[int] | list[str]]:
        """The lists that ought to be empty and are not."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: found for name, found in named.items() if isinstance(found, list) and found}

    @property
    def sound(self) -> bool:
        """Was every message told of truly, and nothing lost, doubled, or out of order?"""
        return not self.faults

    def __str__(self) -> str:
        counts = (f"{self.messages:,} messages: {self.acknowledged:,} acknowledged, {self.not_sent:,} not sent,"
                  f" {self.unknown:,} unknown")  # fmt: skip
        faults = [f"{name}: {len(found):,} ({found[:_SHOWN]})" for name, found in self.faults.items()]
        return "; ".join([counts, *faults])


def judge(told: Told, stored: Sequence[Stored]) -> Verdict:
    """Compare what a press was told with its topic."""
    verdict = Verdict(messages=told.count or 0, strange=list(told.strange))
    if told.count is None:
        verdict.strange.append("the program did not say how many it sent")
    places: dict[int, tuple[int, int, int]] = {}
    highest = -1
    for number, *place in stored:
        if number in places:
            verdict.duplicated.append(number)
            continue
        places[number] = (place[0], place[1], place[2])
        if number < highest:
            verdict.reordered.append(number)
        highest = max(highest, number)
    acknowledged = told.of_fate(_ACKNOWLEDGED)
    not_sent, unknown = told.of_fate(_NOT_SENT), told.of_fate(_UNKNOWN)
    verdict.acknowledged, verdict.not_sent, verdict.unknown = len(acknowledged), len(not_sent), len(unknown)
    verdict.lost = [number for number in acknowledged if number not in places]
    verdict.resurrected = [number for number in not_sent if number in places]
    verdict.untold = told.of_fate(_UNTOLD)
    verdict.foreign = [number for number in places if number >= verdict.messages]
    twice = set(verdict.duplicated)
    verdict.misplaced = [
        number for number, place in told.places.items()
        if place[0] != NOWHERE and number in places and number not in twice and places[number] != place
    ]  # fmt: skip
    return verdict


class Received:
    """What a `drain` has received; give its lines to `hear`."""

    def __init__(self) -> None:
        self.open = False
        self.numbers: list[int] = []
        self.seen: set[int] = set()
        self.errors: list[str] = []
        self.strange: list[str] = []

    def hear(self, line: str) -> None:
        """A line of the program's."""
        kind, _, rest = line.partition(" ")
        if kind == "m":
            self.numbers.append(int(rest))
            self.seen.add(self.numbers[-1])
        elif kind == "e":
            self.errors.append(rest)
        elif kind == "o":
            self.open = True
        else:
            self.strange.append(line)


@dataclass
class Delivery:
    """What a consumer got, compared with the topic; `sound` where the lists are all empty."""

    received: int = 0
    again: int = 0
    """Deliveries of what had been delivered before."""
    runs: int = 0
    """How often it went back to an earlier message."""
    missing: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    """Came while one before it had never been delivered."""
    foreign: list[int] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Was everything delivered, and in order?"""
        return not (self.missing or self.skipped or self.foreign or self.strange)


def judge_delivery(received: Received, stored: Sequence[Stored]) -> Delivery:
    """Compare what a drain has received with its topic."""
    order = list(dict.fromkeys(one.number for one in stored))
    position = {number: index for index, number in enumerate(order)}
    found = Delivery(received=len(received.numbers), strange=list(received.strange))
    seen: set[int] = set()
    complete = 0  # positions below were all delivered
    before = -1
    for number in received.numbers:
        at = position.get(number)
        if at is None:
            found.foreign.append(number)
            continue
        while complete < at and order[complete] in seen:
            complete += 1
        if complete < at:
            found.skipped.append(number)
        found.runs += at < before
        found.again += number in seen
        seen.add(number)
        before = at
    found.missing = [number for number in order if number not in seen]
    return found
