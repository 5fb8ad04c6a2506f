"""One whole run: every interpreter sends to a topic of its own and receives from it while links and brokers fail."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tools.chaos import official
from tools.chaos.fates import Delivery, Received, Told, Verdict, judge, judge_delivery
from tools.chaos.places import Place
from tools.chaos.running import Process, Runtime

SUBSCRIPTION = "drain"
_OPEN_SECONDS = 90
_WATCH_SECONDS = 0.05
_SHOWN = 8
_SAY_SECONDS = 10


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    seed: int
    messages: int = 0
    """Acknowledged at least, of all interpreters together."""
    link_faults: int = 0
    """At least."""
    deeds: int = 0
    """Things done to the broker at least."""
    pause: tuple[float, float] = (0.1, 0.5)
    """Seconds between two deeds, at least and at most."""
    tasks: int = 40
    """How many of the twin send and wait for their receipts."""
    pace_ms: int = 50
    """Between two messages of a task."""
    board_pace_ms: int = 2
    """Between two messages of a MicroPython."""
    send_timeout_ms: int = 0
    """Of the twin, which has memory for it."""
    receive: bool = True
    finish_seconds: float = 120
    most_seconds: float = 0
    """It ends then, whatever there was by then; 0: no limit."""


@dataclass
class Side:
    """One interpreter's part."""

    name: str
    topic: str
    told: Told = field(default_factory=Told)
    received: Received = field(default_factory=Received)
    verdict: Verdict = field(default_factory=Verdict)
    delivery: Delivery | None = None
    backlog: int = 0

    @property
    def sound(self) -> bool:
        """Nothing lost, doubled, out of order, or told wrongly."""
        delivered = self.delivery is None or (self.delivery.sound and self.backlog == 0)
        return self.verdict.sound and delivered

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.verdict}"]
        if self.delivery is not None:
            one = self.delivery
            lines.append(f"{one.received:,} received, {one.again:,} of them again, in {one.runs + 1:,} runs")
            lines += [f"{name}: {found[:_SHOWN]}" for name, found in vars(one).items()
                      if isinstance(found, list) and found]  # fmt: skip
            if self.backlog:
                lines.append(f"backlog {self.backlog}")
        lines += [f"at the end: {text}" for text in self.told.closing]
        return "; ".join(lines)


@dataclass
class Outcome:
    """What there was, and what came of it."""

    sides: list[Side]
    link_faults: Counter[str]
    broker_faults: Counter[str]
    seconds: float

    @property
    def sound(self) -> bool:
        """Every side is."""
        return all(side.sound for side in self.sides)

    def __str__(self) -> str:
        struck, done = self.link_faults, self.broker_faults
        return (f"{self.seconds:.0f} s; {struck.total():,} faults of links {dict(struck)}, {done.total():,} of the"
                f" broker {dict(done)}")  # fmt: skip


def tell(place: Place, runtimes: Sequence[Runtime], plan: Plan, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Run it. Raises RuntimeError where a program does not end well, or something never happens."""
    started = time.monotonic()
    name = uuid.uuid4().hex[:12]
    sides = [Side(one.name, f"persistent://{place.namespace}/chaos-{name}-{one.name}") for one in runtimes]
    with contextlib.ExitStack() as stack:
        drains: list[Process] = []
        presses: list[Process] = []
        for runtime, side in zip(runtimes, sides, strict=True):
            if plan.receive:
                drain = stack.enter_context(Process(runtime, "drain", side.received.hear))
                drains.append(drain.start(place.receiving_url, side.topic, SUBSCRIPTION, place.receiving_listener, 0))
            press = stack.enter_context(Process(runtime, "flow" if runtime.small else "press", side.told.hear))
            more = () if runtime.small else (plan.tasks, plan.send_timeout_ms)
            presses.append(
                press.start(
                    place.sending_url, side.topic, f"press-{name}", place.sending_listener, 0,
                    plan.board_pace_ms if runtime.small else plan.pace_ms, *more,
                )
            )  # fmt: skip
        for side in sides:
            _await(lambda side=side: side.told.open and (side.received.open or not plan.receive), _OPEN_SECONDS,
                   [*presses, *drains], f"{side.name} opened producer and consumer")  # fmt: skip
        place.proxies.begin()
        done = _do_deeds(place, presses, plan, sides, say)
        place.mend()
        place.proxies.calm()
        for press in presses:
            press.stop()
        for press in presses:
            press.finish(plan.finish_seconds)
        say("reading")
        for side, stored in zip(sides, (official.read(place.direct_url, side.topic) for side in sides), strict=True):
            side.verdict = judge(side.told, stored)
            if plan.receive:
                _finish_receiving(place, side, drains, {one.number for one in stored}, plan)
                side.delivery = judge_delivery(side.received, stored)
        for drain in drains:
            drain.stop()
        for drain in drains:
            drain.finish(plan.finish_seconds)
    struck = Counter({kind.value: count for kind, count in place.proxies.struck().items()})
    return Outcome(sides, struck, done, time.monotonic() - started)


def _do_deeds(
    place: Place, presses: Sequence[Process], plan: Plan, sides: Sequence[Side], say: Callable[[str], None]
) -> Counter[str]:
    """What is done to the broker, until there was enough of everything; how often each was."""
    chance = random.Random(plan.seed)
    done: Counter[str] = Counter()
    started = time.monotonic()
    said = started
    order = _order(place, chance)
    while True:
        struck = place.proxies.struck().total()
        sent = sum(side.told.acknowledged for side in sides)
        now = time.monotonic()
        if now - said > _SAY_SECONDS:
            said = now
            say(f"{now - started:.0f} s: {sent:,} acknowledged, {struck:,} link faults, {dict(done)}")
        enough = sent >= plan.messages and struck >= plan.link_faults and done.total() >= plan.deeds
        if enough or (plan.most_seconds and now - started > plan.most_seconds):
            return done
        for press in presses:
            if not press.is_running():
                raise RuntimeError(press.describe("ended before it was told to"))
        if place.deeds:
            name = next(order)
            place.deeds[name].do()
            done[name] += 1
        time.sleep(chance.uniform(*plan.pause))


def _order(place: Place, chance: random.Random) -> Iterator[str]:
    """Each deed as often as its weight says, in an order by chance, then so again."""
    names = [name for name, deed in place.deeds.items() for _ in range(deed.weight)]
    while names:
        chance.shuffle(names)
        yield from names


def _finish_receiving(
    place: Place, side: Side, drains: Sequence[Process], stored: set[int], plan: Plan
) -> None:
    """Until the consumer has had everything and the broker knows it; else it shows in the verdict."""
    deadline = time.monotonic() + plan.finish_seconds
    while time.monotonic() < deadline:
        side.backlog = place.backlog(side.topic, SUBSCRIPTION)
        if side.backlog == 0 and stored <= side.received.seen:
            return
        if not all(drain.is_running() for drain in drains):
            break
        time.sleep(0.1)


def _await(condition: Callable[[], bool], seconds: float, processes: Sequence[Process], what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        for process in processes:
            if not process.is_running():
                process.finish(1)
        if time.monotonic() > deadline:
            raise RuntimeError("\n".join([f"waited {seconds:.0f} s in vain until {what}",
                                          *(process.describe("runs") for process in processes)]))  # fmt: skip
        time.sleep(_WATCH_SECONDS)
