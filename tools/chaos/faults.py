"""What happens to links: kinds of faults, and the seeded schedule that deals them out."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_EARLY = 0.2
_OPENING = 400  # bytes of CONNECT, look-up and PRODUCER or SUBSCRIBE, either way


class Kind(enum.Enum):
    """Kinds of link faults."""

    CUT = "cut"
    """After some bytes of one direction the link is closed, as a rule in the middle of a frame."""
    RESET = "reset"
    """The same with a TCP reset, which may overtake what was sent before."""
    HALF_OPEN = "half_open"
    """From some byte on everything is swallowed, both ways; it ends with a reset."""
    DELAY = "delay"
    """One direction stands still for some time, then goes on."""
    THROTTLE = "throttle"
    """One direction has few bytes a second for some time."""
    DRIBBLE = "dribble"
    """One direction's bytes come in pieces of 1 to 7 for some time."""
    REFUSE = "refuse"
    """The link is reset, and nobody listens for some time."""


ENDING = frozenset({Kind.CUT, Kind.RESET, Kind.HALF_OPEN, Kind.REFUSE})
"""Kinds that end the link."""


@dataclass(frozen=True)
class LinkFault:
    """One fault. It strikes once so many bytes have passed in its direction since the link's fault before."""

    kind: Kind
    after: int
    upward: bool
    """Counted, and where the kind has a direction, struck from client to broker."""
    seconds: float
    """How long it lasts; of cuts and resets 0."""


@dataclass(frozen=True)
class Schedule:
    """Deals out the faults of each link: the same seed and number of a link give the same faults.

    weights: how often each kind comes. most_bytes: faults strike after 1 to so many bytes: one in five at an opening
    (clients double their waits while nothing goes through), the others later, small numbers as often as large ones.
    longest: seconds that a fault lasts at most. upward: the chance that the client's bytes are counted.
    """

    seed: int
    weights: Mapping[Kind, int] = field(
        default_factory=lambda: {
            Kind.CUT: 30, Kind.RESET: 30, Kind.HALF_OPEN: 4, Kind.DELAY: 6, Kind.THROTTLE: 4, Kind.DRIBBLE: 4,
            Kind.REFUSE: 6,
        }
    )  # fmt: skip
    most_bytes: int = 20_000
    longest: float = 0.5
    upward: float = 0.5

    def of_link(self, number: int) -> Iterator[LinkFault]:
        """The faults of the link of that number, in their order; without end, since not every fault ends a link."""
        chance = random.Random(f"{self.seed} {number}")
        kinds, weights = list(self.weights), list(self.weights.values())
        while True:
            kind = chance.choices(kinds, weights)[0]
            early = chance.random() < _EARLY
            least, most = (1, _OPENING) if early else (_OPENING, self.most_bytes)
            after = round(math.exp(chance.uniform(math.log(least), math.log(most))))
            seconds = 0.0 if kind in (Kind.CUT, Kind.RESET) else chance.uniform(0.01, self.longest)
            yield LinkFault(kind, after, chance.random() < self.upward, seconds)


def receiving_schedule(seed: int) -> Schedule:
    """Faults for links of consumers. After a loss within 5 s of the last, a consumer waits twice as long as before, so
    these links live longer.
    """
    weights = {Kind.CUT: 3, Kind.RESET: 3, Kind.HALF_OPEN: 1, Kind.DELAY: 3, Kind.THROTTLE: 1, Kind.DRIBBLE: 1}
    return Schedule(seed + 1, weights, most_bytes=2_000_000, upward=0.2)
