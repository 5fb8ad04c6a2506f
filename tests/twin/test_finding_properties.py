"""Any interleaving of answers, refusals, losses and time on a handle's way to its broker.

It is never stuck, never open twice, leaves nothing behind on a link, and confirms nothing.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mpy_pulsar.core.handle import CLOSED, CLOSING, IDLE, NEVER, OPENING, READY, WAITING
from mpy_pulsar.errors import ConnectError, PulsarError
from mpy_pulsar.features.late import Late
from mpy_pulsar.port import ticks_add, ticks_diff
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import START, TIMEOUT, Broker

PARTITIONED_METADATA = 21
PARTITIONED_METADATA_RESPONSE = 22
_PLACES = [fake.HERE, fake.THERE, "pulsar://third:6650"]
_NO_PLACES = ["", "http://here:8080", "pulsar://:1"]
_CODES = strategies.integers(0, 30)
_ROUNDS_TO_COME_HOME = 60
_LONGEST_WAIT = 600000
_RARELY = 8  # every so many steps what ends most tries may happen


_OPENINGS = (fake.PRODUCER, fake.SUBSCRIBE)
_CLOSINGS = (fake.CLOSE_PRODUCER, fake.CLOSE_CONSUMER)


def asked(*kinds: int) -> Any:
    """Only where a broker was asked that and has not answered."""
    return precondition(lambda self: any(
        one[0] in kinds for link in self.links.values() if link.connection.connected for one in link.asked
    ))  # fmt: skip


class Link:
    """A connection, and the broker's end of it: what it was asked and what it believes to be open."""

    def __init__(self, url: str, now: int, speculation: int, token: bytes | None) -> None:
        self.url = url
        self.broker = Broker(now=now, token=token, connected=False)
        self.broker.places = [url]
        self.connection = self.broker.connection
        self.connection.speculation = speculation
        self.connection.start("token" if token else "none", token)
        self.asked: list[tuple[int, int, bool]] = []
        """Kind and request id of what was not answered yet; True: an opening that was closed again meanwhile."""
        self.is_open = False

    def listen(self) -> None:
        """Take in what the client has sent."""
        for command in self.broker.heard():
            kind = command.kind
            if kind in _OPENINGS:
                assert not self.is_open and not self.opening(), "opened twice on one link"
                self.asked.append((kind, command[3 if kind == fake.PRODUCER else 5], False))
            elif kind in _CLOSINGS:
                self.is_open = False
                self.asked = [
                    (one, number, closed or one in _OPENINGS)
                    for one, number, closed in self.asked
                ]
                self.asked.append((kind, command[2], False))
            elif kind in (fake.LOOKUP, PARTITIONED_METADATA):
                self.asked.append((kind, command[2], False))

    def opening(self) -> bool:
        """Is there an opening without an answer, which was not closed again?"""
        return any(kind in _OPENINGS and not closed for kind, _, closed in self.asked)


class WayHome(RuleBasedStateMachine):
    """A handle, the links there are, and whoever tends them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.links: dict[str, Link] = {}
        self.speculation = 1
        self.token: bytes | None = None
        self.turn = 0
        self.careful: set[str] = set()
        """Where an opening that left early has cost the link."""
        self.named: str | None = None
        """Where the last look-up's answer said the topic is; None since another attempt began."""

    @initialize(
        producer=strategies.sampled_from([True, True, False]), plain=strategies.sampled_from([True, True, False]),
        partition=strategies.integers(-2, 1), speculation=strategies.sampled_from([1, 1, 1, 0]),
        token=strategies.sampled_from([None, b"secret"]),
    )  # fmt: skip
    def begin(self, producer: bool, plain: bool, partition: int, speculation: int, token: bytes | None) -> None:
        """A handle that nobody has found a broker for."""
        self.core: Any = fake.producer() if producer else fake.consumer()
        self.core.plain = plain
        self.core.partition = partition
        self.speculation = speculation
        self.token = token
        if producer:
            self.core.ring.add(b"waits for its receipt")
        self.tend()

    @property
    def rarely(self) -> bool:
        """Whether it is the turn of what would otherwise end most tries early."""
        return self.turn % _RARELY == 0

    # What the supervisor does

    def tend(self) -> None:
        """Attach the handle where it wants to go, once it may."""
        core = self.core
        self.turn += 1
        for link in self.links.values():
            link.listen()
        if core.state == CLOSED:
            return
        core.sweep(self.now)
        for link in self.links.values():
            link.listen()
        if core.state != IDLE or core.wait_before(self.now):
            return
        url = core.move_to[0] if core.move_to else fake.HERE
        if url not in _PLACES:
            core.refuse_place(ConnectError("no such place"), self.now)
            return
        link = self.links.get(url)
        if link is None:
            link = self.links[url] = Link(url, self.now, 0 if url in self.careful else self.speculation, self.token)
        if not (core.move_to and core.move_to[4]):
            self.named = None
        core.attach(link.connection, self.now)
        link.listen()

    def lose(self, link: Link, error: PulsarError) -> None:
        """The link dies, with all that was on it."""
        del self.links[link.url]
        if link.connection.speculation > 1:
            self.careful.add(link.url)
        for handle in list(link.connection.handles.values()):
            handle.lost(error, self.now)
        self.tend()

    def say(self, link: Link, kind: int, *pairs: Any) -> None:
        """The broker says something."""
        link.broker.now = self.now
        try:
            link.broker.say(kind, *pairs)
        except PulsarError as error:
            self.lose(link, error)
        else:
            self.tend()

    def pick(self, data: Any, kinds: tuple[int, ...]) -> tuple[Link, int, int]:
        """One of the requests that wait for an answer, taken off its list; an opening that was closed since: -kind."""
        waiting = [
            (link, one) for link in self.links.values() if link.connection.connected
            for one in link.asked if one[0] in kinds
        ]  # fmt: skip
        link, one = data.draw(strategies.sampled_from(waiting))
        link.asked.remove(one)
        return link, -one[0] if one[0] in _OPENINGS and one[2] else one[0], one[1]

    # What brokers do

    @precondition(lambda self: any(not link.connection.connected for link in self.links.values()))
    @rule(data=strategies.data())
    def accept_a_connection(self, data: Any) -> None:
        """CONNECTED."""
        waiting = [link for link in self.links.values() if not link.connection.connected]
        link = data.draw(strategies.sampled_from(waiting))
        self.say(link, fake.CONNECTED, 1, "fake", 2, 21, 3, data.draw(strategies.sampled_from([None, 5242880])))

    @asked(fake.LOOKUP)
    @rule(
        data=strategies.data(), response=strategies.sampled_from([0, 1, 1, 1, 1, 2, 3]),
        authoritative=strategies.booleans(),
    )  # fmt: skip
    def answer_a_look_up(self, data: Any, response: int, authoritative: bool) -> None:
        """Redirect, Connect, Failed, or nothing that has a meaning; here, elsewhere or nowhere."""
        link, _, number = self.pick(data, (fake.LOOKUP,))
        if response >= 2:
            code = data.draw(_CODES)
            self.say(link, fake.LOOKUP_RESPONSE, 3, 2 if response == 2 else None, 4, number, 6, code, 7, "no")
            return
        url = data.draw(strategies.sampled_from([link.url, link.url, *_PLACES, *_PLACES, *_NO_PLACES]))
        if response and number == self.core._request and self.core.connection is link.connection:
            self.named = url
        self.say(link, fake.LOOKUP_RESPONSE, 1, url, 3, response, 4, number, 5, authoritative)

    @asked(PARTITIONED_METADATA)
    @rule(data=strategies.data(), count=strategies.sampled_from([0, 0, 0, 3, 3, 1 << 20, -1]))
    def answer_about_partitions(self, data: Any, count: int) -> None:
        """So many partitions, or an error."""
        link, _, number = self.pick(data, (PARTITIONED_METADATA,))
        if count < 0:
            self.say(link, PARTITIONED_METADATA_RESPONSE, 2, number, 3, 1, 4, data.draw(_CODES), 5, "no")
        else:
            self.say(link, PARTITIONED_METADATA_RESPONSE, 1, count, 2, number, 3, 0)

    @asked(*_OPENINGS)
    @rule(data=strategies.data(), accepted=strategies.sampled_from([True, True, False]))
    def answer_an_opening(self, data: Any, accepted: bool) -> None:
        """Success or an error; also for an opening that was closed again since."""
        link, kind, number = self.pick(data, _OPENINGS)
        if not accepted:
            self.say(link, fake.ERROR, 1, number, 2, data.draw(_CODES), 3, "no")
            return
        link.is_open = link.is_open or kind > 0
        if abs(kind) == fake.PRODUCER:
            last = data.draw(strategies.sampled_from([None, 4]))
            self.say(link, fake.PRODUCER_SUCCESS, 1, number, 2, "made", 3, last)
        else:
            self.say(link, fake.SUCCESS, 1, number)

    @asked(*_CLOSINGS)
    @rule(data=strategies.data(), refused=strategies.booleans())
    def answer_a_closing(self, data: Any, refused: bool) -> None:
        """SUCCESS or ERROR."""
        link, _, number = self.pick(data, _CLOSINGS)
        if refused:
            self.say(link, fake.ERROR, 1, number, 2, data.draw(_CODES), 3, "no")
        else:
            self.say(link, fake.SUCCESS, 1, number)

    @precondition(lambda self: self.rarely)
    @asked(fake.LOOKUP, PARTITIONED_METADATA, *_OPENINGS)
    @rule(data=strategies.data())
    def answer_with_what_belongs_elsewhere(self, data: Any) -> None:
        """A sound answer of the wrong kind."""
        link, kind, number = self.pick(data, (fake.LOOKUP, PARTITIONED_METADATA, *_OPENINGS))
        wrong = fake.SUCCESS if abs(kind) == fake.PRODUCER else fake.PRODUCER_SUCCESS
        self.say(link, wrong, 1, number, 2, "odd")

    @precondition(lambda self: self.rarely and self.links)
    @rule(data=strategies.data())
    def close_it_from_the_broker(self, data: Any) -> None:
        """CLOSE_PRODUCER or CLOSE_CONSUMER, at any time."""
        link = data.draw(strategies.sampled_from(list(self.links.values())))
        if link.connection.connected:
            link.is_open = False
            self.say(link, self.core.close_kind, 1, self.core.id, 2, fake.NO_REQUEST)

    @precondition(lambda self: self.rarely and self.links)
    @rule(data=strategies.data())
    def lose_a_link(self, data: Any) -> None:
        """It dies."""
        self.lose(data.draw(strategies.sampled_from(list(self.links.values()))), ConnectError("gone"))

    # What time and the application do

    @rule(milliseconds=strategies.sampled_from([1, 50, 100, 200, 200, 500]))
    def wait(self, milliseconds: int) -> None:
        """Time goes by; links are looked after as well."""
        self.let_pass(milliseconds)

    @precondition(lambda self: self.rarely)
    @rule(milliseconds=strategies.sampled_from([2000, TIMEOUT // 2, TIMEOUT, 3 * TIMEOUT]))
    def wait_long(self, milliseconds: int) -> None:
        """Deadlines pass."""
        self.let_pass(milliseconds)

    def let_pass(self, milliseconds: int) -> None:
        """Time goes by."""
        self.now = ticks_add(self.now, milliseconds)
        for link in list(self.links.values()):
            try:
                link.connection.sweep(self.now)
            except PulsarError as error:
                self.lose(link, error)
        self.tend()

    @precondition(lambda self: self.rarely)
    @rule()
    def close(self) -> None:
        """The application has enough."""
        self.core.start_close(self.now)
        self.tend()

    # What always holds

    @invariant()
    def never_stuck(self) -> None:
        """Some deadline or moment of a new attempt is always ahead."""
        core = getattr(self, "core", None)
        if core is None or core.state in (READY, CLOSED):
            return
        if core.state == IDLE:
            assert 0 < core.wait_before(self.now) <= _LONGEST_WAIT, "nobody takes it up again"
        else:
            assert WAITING <= core.state <= OPENING or core.state == CLOSING
            assert 0 < ticks_diff(core._deadline, self.now) <= TIMEOUT, "no deadline"
            assert 0 < core.sweep(self.now) < NEVER
            assert core.connection is not None and core.connection.handles[core.id] is core

    @invariant()
    def open_at_one_place(self) -> None:
        """READY is it where it is open and where the look-up has led; elsewhere nothing is open or opening."""
        core = getattr(self, "core", None)
        if core is None:
            return
        for link in self.links.values():
            if link.connection is not core.connection or core.state == CLOSED:
                assert not link.is_open and not link.opening(), "left open behind"
        if core.state == READY:
            (here,) = [link for link in self.links.values() if link.connection is core.connection]
            assert here.is_open and self.named == here.url

    @invariant()
    def nothing_left_behind(self) -> None:
        """A link that the handle has left knows nothing of it."""
        for link in self.links.values():
            connection = link.connection
            if self.core.connection is not connection:
                # But for those that close what a given-up opening opens late.
                waiting = [one for one in connection._requests.values() if not isinstance(one, Late)]
                assert not connection.handles and not waiting
                assert connection.speculation <= 1

    @invariant()
    def nothing_confirmed(self) -> None:
        """No receipt, no confirmation."""
        core = getattr(self, "core", None)
        if core is not None and core.ring:
            assert core.ring.oldest == 0 and core.ring.acked_low == -1 and not core.ring.idle()

    def teardown(self) -> None:
        """Once the brokers behave it comes home, or has ended for a reason that is told."""
        core = getattr(self, "core", None)
        if core is None:
            return
        for _ in range(_ROUNDS_TO_COME_HOME):
            if core.state in (READY, CLOSED):
                break
            self._behave()
            self.now = ticks_add(self.now, max(1, core.wait_before(self.now)))
            self.tend()
        assert core.state in (READY, CLOSED), core.state
        assert (core.failure is not None) == (core.state == CLOSED)
        self.never_stuck()
        self.open_at_one_place()
        self.nothing_left_behind()

    def _behave(self) -> None:
        for link in list(self.links.values()):
            if not link.connection.connected:
                self.say(link, fake.CONNECTED, 1, "fake", 2, 21, 3, 5242880)
            for _ in range(_ROUNDS_TO_COME_HOME):
                if not link.asked or link.url not in self.links:
                    break
                kind, number, closed = link.asked.pop(0)
                if kind == fake.LOOKUP:
                    if number == self.core._request and self.core.connection is link.connection:
                        self.named = link.url
                    self.say(link, fake.LOOKUP_RESPONSE, 1, link.url, 3, 1, 4, number, 5, True)
                elif kind == PARTITIONED_METADATA:
                    self.say(link, PARTITIONED_METADATA_RESPONSE, 1, 0, 2, number, 3, 0)
                elif kind == fake.PRODUCER:
                    link.is_open = link.is_open or not closed
                    self.say(link, fake.PRODUCER_SUCCESS, 1, number, 2, "made", 3, None)
                else:
                    link.is_open = link.is_open or (kind == fake.SUBSCRIBE and not closed)
                    self.say(link, fake.SUCCESS, 1, number)


WayHome.TestCase.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
TestWayHome = WayHome.TestCase
