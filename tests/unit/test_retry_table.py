"""Every ServerError at every step, while creating and once established, for producers and consumers; and an hour in
which the credentials are refused."""
from mpy_pulsar.core.handle import CLOSED, IDLE, LOOKING, READY
from mpy_pulsar.errors import AuthenticationError, PulsarError, Restored
from mpy_pulsar.port import ticks_add, ticks_diff
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker
from tests.unit.still_links import with_bench
from tests.unit.test_clock_retry import FINAL, SLOW, VERDICTS

_METADATA = 21
_METADATA_RESPONSE = 22
_HOUR = 3600000
_SLOW_LEAST, _SLOW_MOST = 300000, 600000
_LEAST, _MOST = 15000, 30000

# Before CONNECTED: somebody has to mend those, in either phase. Credentials end what is being created.
_SLOW_LINK = (3, 4, 6, 22)


# The steps at which a broker may refuse: each refuses with `code`


def _refuse_metadata(broker, core, code):
    core.plain = False
    core.attach(broker.connection, broker.now)
    metadata, look_up = broker.heard()
    assert (metadata.kind, look_up.kind) == (_METADATA, fake.LOOKUP)
    broker.say(_METADATA_RESPONSE, 2, metadata[2], 3, 1, 4, code, 5, "why not")


def _refuse_metadata_by_error(broker, core, code):
    core.plain = False
    core.attach(broker.connection, broker.now)
    broker.say(fake.ERROR, 1, broker.heard()[0][2], 2, code, 3, "why not")


def _refuse_look_up(broker, core, code):
    core.attach(broker.connection, broker.now)
    broker.say(fake.LOOKUP_RESPONSE, 3, 2, 4, broker.hear(fake.LOOKUP)[2], 6, code, 7, "why not")


def _refuse_look_up_by_error(broker, core, code):
    core.attach(broker.connection, broker.now)
    broker.say(fake.ERROR, 1, broker.hear(fake.LOOKUP)[2], 2, code, 3, "why not")


def _refuse_opening(broker, core, code):
    asked = broker.attach(core)
    broker.say(fake.ERROR, 1, asked[3] if asked.kind == fake.PRODUCER else asked[5], 2, code, 3, "why not")


_STEPS = (
    _refuse_metadata, _refuse_metadata_by_error, _refuse_look_up, _refuse_look_up_by_error, _refuse_opening,
)


def _handle(make, established):
    broker, core = Broker(), make()
    if established:
        broker.open(core)
        broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)
        broker.heard()
        core.not_before = None
    core._failures = core._mending = 30  # the back-off is at its most, by which slow and fast are told apart
    core.watch.errors.clear()
    return broker, core


def _check(broker, core, code, wanted, where):
    if wanted == FINAL:
        assert core.state == CLOSED and core.failure.code == code, where
        assert core.connection is None and core.watch.errors == [], where
        assert isinstance(core.failure, AuthenticationError) == (code == 3), where
        told = core.failure
    else:
        assert core.state == IDLE and core.failure is None, where
        (told,) = core.watch.errors
        least, most = (_SLOW_LEAST, _SLOW_MOST) if wanted == SLOW else (_LEAST, _MOST)
        assert least <= core.wait_before(broker.now) <= most, (where, core.wait_before(broker.now))
        assert core.move_to is None, where  # by a fresh look-up
    assert told.code == code and "why not" in str(told), where
    assert (told.topic, told.broker) == (fake.TOPIC, "here:6650"), where
    assert broker.connection.handles == {} and broker.heard() == [], where


def test_every_row_at_every_step():
    for code in range(26):
        for established in (False, True):
            for step in _STEPS:
                for make in (fake.producer, fake.consumer):
                    broker, core = _handle(make, established)
                    step(broker, core, code)
                    _check(broker, core, code, VERDICTS[code][established], (code, established, step, make))


def test_codes_of_brokers_to_come_are_tried_again_at_every_step():
    for code in (26, 100, 0xFFFFFFF):
        for established in (False, True):
            for step in _STEPS:
                broker, core = _handle(fake.producer, established)
                step(broker, core, code)
                _check(broker, core, code, "r", (code, established, step))


def test_what_is_not_final_opens_once_the_broker_takes_it():
    for code in range(26):
        for established in (False, True):
            if VERDICTS[code][established] == FINAL:
                continue
            for make in (fake.producer, fake.consumer):
                broker, core = _handle(make, established)
                _refuse_opening(broker, core, code)
                fake.reopen(broker, core)
                assert core.state == READY, (code, established)
                told = [error for error in core.watch.errors if isinstance(error, Restored)]
                assert len(told) == established, (code, established)


def test_what_a_broker_says_that_has_just_started_costs_no_minutes():
    # Long away, then there, and for a moment without its namespaces.
    broker, core = _handle(fake.producer, True)
    core._mending = 0
    for most in (100, 200, 400):
        _refuse_look_up(broker, core, 11)
        assert most // 2 <= core.wait_before(broker.now) <= most
    fake.reopen(broker, core)
    # What goes on and on is tried ever more seldom, also where other failures come in between.
    for _ in range(15):
        core.lost(PulsarError("gone", -6), broker.now)
        _refuse_look_up(broker, core, 11)
    assert core.wait_before(broker.now) >= _SLOW_LEAST


def test_every_row_before_connected():
    async def check(bench):
        for code in range(26):
            created, established = await bench.adopt("created"), await bench.adopt("established")
            established.established = True
            for core in (created, established):
                core._failures = core._mending = 30
            link = bench.link("one")
            link.connection.connected = False
            link.error = AuthenticationError("no") if code == 3 else PulsarError("no", code)
            told = len(bench.reports)
            await bench.run()
            assert len(bench.reports) == told + 1 and bench.reports[-1].code == code, code
            for core in (created, established):
                if code == 3 and core is created:
                    assert core.state == CLOSED and core.failure.code == 3
                    continue
                assert core.state == IDLE and core.failure is None, code
                wait = ticks_diff(core.not_before, bench.now)
                least, most = (_SLOW_LEAST, _SLOW_MOST) if code in _SLOW_LINK else (_LEAST, _MOST)
                assert least <= wait <= most, (code, wait)
                core.start_close(bench.now)
            await bench.run()
            assert bench.supervisor.handles == []

    with_bench(check, service=[("one", 6650)])


# An hour without credentials


def _refuse_link(link):
    """What a broker says to CONNECT with credentials that it does not take, as the link tells it."""
    link.connection.connected = False
    link.error = AuthenticationError("link to one:6650: the connection was refused")
    link.error.broker = "one:6650"


def _open(link, core, last=None):
    link.broker.say(fake.PRODUCER_SUCCESS, 1, core._early or core._request, 2, "made", 3, last)
    assert core.state == READY


def test_an_hour_without_credentials_and_nothing_is_lost():
    async def check(bench):
        core = await bench.adopt("t")
        await bench.found(bench.link("one"), "pulsar://one:6650")
        link = bench.link("one")
        _open(link, core)
        broker = link.broker
        broker.heard()
        tickets = []

        def add(text):
            core.ring.add(text)
            core.ring.close_batch()
            tickets.append(core.tickets.setdefault(core.ring.last_batch(), fake.Ticket()))

        for number in range(3):
            add(b"before %d" % number)
        before = broker.sent(core)
        broker.receipt(0)
        assert len(before) == 3 and len(tickets[0].calls) == 1
        # The token has expired: the broker closes the link, and takes no other.
        start = bench.now
        attempts = 0
        _refuse_link(link)
        await bench.run()
        while ticks_diff(bench.now, start) < _HOUR:
            assert core.state == IDLE and core.failure is None
            if attempts < 3:
                add(b"meanwhile %d" % attempts)
            wait = core.wait_before(bench.now)
            assert 50 <= wait <= _SLOW_MOST
            await bench.run(wait - 1)
            assert bench.link("one") is None
            await bench.run(1)
            link = bench.link("one")
            assert link is not None
            attempts += 1
            _refuse_link(link)
            await bench.run()
        # Few tries, each told, none of them final.
        assert 10 <= attempts <= 30, attempts
        assert len(bench.reports) == attempts + 1
        assert {error.__class__ for error in bench.reports} == {AuthenticationError}
        # Somebody repairs it: the next try finds the broker by itself.
        await bench.run(core.wait_before(bench.now))
        link = bench.link("one")
        assert core.state == LOOKING and core.connection is link.connection
        await bench.found(link, "pulsar://one:6650")
        _open(link, core, 0)
        told = bench.reports[-1]
        assert isinstance(told, Restored) and "at try %d" % (attempts + 1) in str(told)
        assert ticks_diff(bench.now, start) >= _HOUR
        sent = link.broker.sent(core)
        assert sent[:2] == before[1:] and len(sent) == 5  # unchanged, in order, and what came meanwhile behind them
        for number in range(3):
            assert b"meanwhile %d" % number in sent[2 + number]
        for sequence in range(1, 6):
            link.broker.receipt(sequence, sequence)
        assert [[error for _, _, error in ticket.calls] for ticket in tickets] == [[None]] * 6
        assert core.ring.idle() and core.refused is None

    with_bench(check, service=[("one", 6650)])


def test_an_hour_without_any_network_and_nothing_is_lost():
    async def check(bench):
        core = await bench.adopt("t")
        await bench.found(bench.link("one"), "pulsar://one:6650")
        link = bench.link("one")
        _open(link, core)
        core.ring.add(b"kept")
        before = link.broker.sent(core)
        start = bench.now
        attempts = 0
        while ticks_diff(bench.now, start) < _HOUR:
            link = bench.link("one") or bench.link("two")
            link.error = PulsarError("no route", -6)
            link.connection.connected = attempts == 0
            await bench.run()
            wait = core.wait_before(bench.now)
            assert 50 <= wait <= _MOST  # a link is tried again at least twice a minute
            await bench.run(wait)
            attempts += 1
        assert 120 <= attempts <= 260, attempts
        link = bench.link("one") or bench.link("two")
        await bench.found(link, link.broker.places[0])
        _open(link, core)
        assert link.broker.sent(core) == before

    with_bench(check)


def test_ticks_that_begin_anew_cost_no_try():
    async def check(bench):
        bench.now = ticks_add(0, -20000)
        core = await bench.adopt("t")
        core.established = True
        for _ in range(40):
            link = bench.link("one")
            link.connection.connected = False
            link.error = PulsarError("no", 0)
            await bench.run()
            wait = core.wait_before(bench.now)
            assert 50 <= wait <= _MOST
            await bench.run(wait)
            assert core.state == LOOKING

    with_bench(check, service=[("one", 6650)])
