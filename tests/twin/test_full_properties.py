"""A producer whose send buffer is full, with each policy, and with messages that get old: whatever comes in whatever
order, what is dropped is told of, what is transmitted stays as it is and in order, and the sums of `stats` balance."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies
from hypothesis.stateful import initialize, invariant, precondition, rule

from mpy_pulsar.core.handle import IDLE
from mpy_pulsar.errors import AlreadyClosed, ConnectError, MessageTooBig, PulsarError, QueueFull
from mpy_pulsar.features.dropping import first_unsent
from mpy_pulsar.features.send_timeout import SendTimeout
from mpy_pulsar.features.when_full import set_policy
from tests.twin import test_producer_properties as properties
from tests.twin.broker_model import look, patience

_SEND_TIMEOUT = 1000
_LIFE = 700  # ms
_LARGEST = 5242880
_DROPPED = "dropped for newer ones"
_EXPIRED = "the message expired"


class FullLife(properties.ProducerLife):
    """The same life, with a policy, and mostly without enough room."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = "block"
        self.untaken = 0
        """Messages that drop_newest has not taken."""
        self.reported = 0

    @initialize(
        size=strategies.sampled_from([500, 700, 1200, 2400]),
        slots=strategies.integers(2, 6),
        messages=strategies.integers(1, 4),
        delay=strategies.sampled_from([0, 0, 40]),
        pending=strategies.sampled_from([0, 0, 0, 3, 7]),
        timeout=strategies.booleans(),
        batching=strategies.sampled_from([True, True, False]),
        weeds_out=strategies.booleans(),
        opened=strategies.sampled_from([True, True, False]),
        policy=strategies.sampled_from(["drop_oldest"] * 4 + ["drop_newest", "drop_newest", "error", "block"]),
        old=strategies.booleans(),
    )
    def begin(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        size: int,
        slots: int,
        messages: int,
        delay: int,
        pending: int,
        timeout: bool,
        batching: bool,
        weeds_out: bool,
        opened: bool,
        policy: str,
        old: bool,
    ) -> None:
        """A producer with a policy."""
        self.policy = policy
        super().begin(
            size=size,
            slots=slots,
            messages=messages,
            delay=delay,
            pending=pending,
            timeout=False,
            first=0,
            known=-1,
            batching=batching,
            block=policy != "error",
            weeds_out=weeds_out,
            persistent=True,
            largest=_LARGEST,
            opened=opened,
        )
        if timeout or old:
            SendTimeout(self.core, _SEND_TIMEOUT if timeout else 0, _LIFE if old else 0)
        set_policy(self.producer, policy, None)
        self.core.report = self.hear

    def hear(self, error: PulsarError) -> None:
        """The error stream."""
        self.reported += "messages dropped" in str(error)

    @precondition(lambda self: self.core.state == IDLE and not self.half)
    @rule()
    def attach(self, less: bool = False) -> None:
        """Always to a broker that takes what the buffer holds."""
        super().attach(False)

    @rule(data=strategies.data())
    def send_nowait(self, data: Any) -> None:
        """One that nobody waits for."""
        self.queue(self.size_of(data))
        self.after()

    @rule(size=strategies.integers(0, 150), count=strategies.integers(3, 12))
    def flood(self, size: int, count: int) -> None:
        """Several at once."""
        for _ in range(count):
            self.queue(size)
        self.after()

    @precondition(lambda self: self.link and not self.half)
    @rule(count=strategies.integers(1, 3), size=strategies.integers(0, 150))
    def outage(self, count: int, size: int) -> None:
        """Some frames are on their way, others are not, and the link is lost."""
        self.queue(size)
        self.write(count)
        for _ in range(count + 2):
            self.queue(size)
        if self.link:
            self.lose(ConnectError("gone"))

    def queue(self, size: int) -> None:
        """What `send_nowait` says is so."""
        ring = self.ring
        payload = self.payload(size)
        room = self.producer.has_room(len(payload))
        before = self.core.counts[11]
        first = first_unsent(ring)
        try:
            self.producer.send_nowait(payload)
        except QueueFull:
            assert not room and not ring.idle() and self.policy != "drop_newest"
            assert self.core.counts[11] == before, "dropped, and nothing gained by it"
            assert self.policy != "drop_oldest" or first > ring.oldest
        except (MessageTooBig, AlreadyClosed) as error:
            assert not room
            assert self.core.failure or ring.failure or len(payload) + 120 > self.largest, error  # noqa: PT017
        except PulsarError:
            assert self.core.failure
        else:
            if self.policy == "drop_newest" and self.core.counts[11] != before:
                assert self.core.counts[11] == before + 1
                self.untaken += 1
                return
            assert not room or self.core.counts[11] == before, "dropped without need"
            self.accept(payload, self.ticket(ring.last_batch()))
            self.unwatched.add(payload)

    def answered(self, payload: bytes, error: BaseException | None, task: Any) -> None:
        """With drop_newest, QueueFull says that it is gone."""
        if payload not in self.accepted and self.policy == "drop_newest" and isinstance(error, QueueFull):
            assert "dropped" in str(error)
            self.untaken += 1
            return
        super().answered(payload, error, task)

    @invariant()
    def bytes_of_live_batches_are_apart(self) -> None:
        """No batch stands in another."""
        if not hasattr(self, "core"):
            return
        ring = self.ring
        places = []
        for number in range(ring.oldest, ring.open):
            slot = number % ring._slots
            if slot not in ring.own and ring.holds(number):
                start = ring._frames[slot] if ring._frames[slot] >= 0 else ring._entries[slot] - ring.head_room
                places.append((start, ring._ends[slot]))
        if ring._count or ring._limit:
            places.append((ring._start - ring.head_room, ring._limit))
        places.sort()
        for (_, end), (start, _) in zip(places, places[1:]):
            assert end <= start, places
        assert not places or (places[0][0] >= 0 and places[-1][1] <= len(ring.buffer))

    @invariant()
    def sums_balance(self) -> None:
        """What was taken is acknowledged, failed or pending; each outcome stands in its place."""
        if not hasattr(self, "core"):
            return
        stats = self.producer.stats()
        dropped = stats["dropped"]
        failed = stats["unknown"] + sum(dropped.values())
        assert stats["sent"] == stats["acknowledged"] + failed + stats["pending"]
        assert self.untaken_by_lists() >= 0
        if self.core.failure:
            return  # receipts that still come find everybody told
        outcomes = [str(error) if error else "" for error in self.outcomes.values()]
        assert stats["acknowledged"] == outcomes.count("")
        assert stats["pending"] == len(self.accepted) - len(outcomes)
        assert stats["unknown"] == sum("unknown" in one for one in outcomes)
        assert dropped["full"] == sum(_DROPPED in one for one in outcomes) + self.untaken + self.untaken_by_lists()
        assert dropped["expired"] == sum(_EXPIRED in one for one in outcomes)
        told = dropped["full"] + dropped["expired"]
        assert bool(told) >= bool(self.reported) and self.reported <= told
        if stats["round_trip_ms"]:
            least, mean, most = stats["round_trip_ms"]
            assert 0 <= least <= mean <= most

    def untaken_by_lists(self) -> int:
        """Messages of lists that drop_newest has not taken."""
        return self.core.counts[11] - self.untaken if self.policy == "drop_newest" else 0

    @invariant()
    def what_was_transmitted_is_not_dropped(self) -> None:
        """Nor is any of it said to be."""
        for payload, error in self.outcomes.items():
            if error and (_DROPPED in str(error) or _EXPIRED in str(error)):
                assert payload not in self.stored or payload in self.moved

    @precondition(lambda self: self.core.state == IDLE)
    @rule()
    def nothing_old_is_sent(self) -> None:
        """After a long time without a link what is left of it is dropped before anything goes out again."""
        self.pass_time(1)  # the supervisor sees what there is, as it would have been woken to do
        first = first_unsent(self.ring)
        tickets = [ticket for number, ticket in self.core.tickets.items() if number >= first]
        old = [payload for ticket in tickets for payload in ticket.payloads]
        self.pass_time(_LIFE)
        if self.core.timeouts and self.core.timeouts._time_to_live and not self.core.failure:
            assert all(payload in self.outcomes for payload in old)


FullLife.TestCase.settings = look(400, 40)
TestFullLife = patience()(FullLife.TestCase)
