"""A broker that closes a handle and says where to go, a cluster that hands its topics over, and what is told of it."""
from mpy_pulsar.core.handle import CLOSED, IDLE, LOOKING, OPENING, READY, WAITING
from mpy_pulsar.errors import ConnectError, PulsarError, Restored, Timeout
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import HERE, THERE, TIMEOUT, Broker
from tests.unit.still_links import with_bench

TLS_THERE = "pulsar+ssl://there:6651"
MIGRATED = 68
_ASSIGNED_WAIT = 3000


def _opened(make=fake.producer, **answer):
    """A broker and a handle that is READY by its look-up."""
    broker, core = Broker(), make()
    core.attach(broker.connection, broker.now, answer.pop("listener_name", None))
    broker.answer_lookup(**answer)
    asked = broker.hear(core.close_kind - 10 if core.close_kind == fake.CLOSE_PRODUCER else fake.SUBSCRIBE)
    _accept(broker, core, asked)
    return broker, core


def _accept(broker, core, asked):
    if core.close_kind == fake.CLOSE_PRODUCER:
        broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    else:
        broker.say(fake.SUCCESS, 1, asked[5])
    assert core.state == READY
    broker.heard()


def _close(broker, core, *more):
    broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST, *more)


def test_the_named_broker_is_gone_to_at_once_and_without_a_look_up():
    for make in (fake.producer, fake.consumer):
        broker, core = _opened(make)
        _close(broker, core, 3, THERE, 4, TLS_THERE)
        assert core.state == IDLE and core.wait_before(broker.now) == 0
        assert core.move_to == (THERE, TLS_THERE, False, False, _ASSIGNED_WAIT)
        (error,) = core.watch.errors
        assert error.topic == fake.TOPIC and error.broker == "here:6650"
        there = Broker()
        core.attach(there.connection, there.now)
        asked = there.hear(fake.PRODUCER if make is fake.producer else fake.SUBSCRIBE)
        assert core.state == OPENING
        _accept(there, core, asked)


def test_without_a_named_broker_a_short_wait_and_a_look_up():
    broker, core = _opened()
    _close(broker, core)
    assert core.move_to is None and 50 <= core.wait_before(broker.now) <= 100


def test_a_named_broker_is_reached_the_way_that_the_last_look_up_said():
    broker, core = _opened(proxied=True)
    _close(broker, core, 3, THERE)
    assert core.move_to[2] is True
    broker, core = _opened()
    _close(broker, core, 4, TLS_THERE)
    assert core.move_to[:3] == ("", TLS_THERE, False)


def test_with_a_listener_name_the_named_broker_is_looked_up():
    broker, core = _opened(listener_name="outside")
    _close(broker, core, 3, THERE)
    assert core.move_to is None and core.wait_before(broker.now) > 0


def test_a_named_broker_without_a_link_in_three_seconds_is_given_up_for_a_look_up():
    for start in (fake.START, ticks_add(0, -1000)):
        broker, core = _opened()
        _close(broker, core, 3, THERE)
        there = Broker(now=start, connected=False)
        core.attach(there.connection, start)
        assert core.state == WAITING and core.sweep(ticks_add(start, _ASSIGNED_WAIT - 1)) == 1
        there.connection.now = ticks_add(start, _ASSIGNED_WAIT)
        core.sweep(there.connection.now)
        error = core.watch.errors[-1]
        assert core.state == IDLE and core.move_to is None and core.failure is None
        assert isinstance(error, Timeout)


def test_a_named_broker_with_a_link_has_its_time_to_open():
    broker, core = _opened()
    _close(broker, core, 3, THERE)
    there = Broker(connected=False)
    core.attach(there.connection, there.now)
    there.connection.start("none", None)
    assert core.state == OPENING
    assert core.sweep(ticks_add(there.now, _ASSIGNED_WAIT)) == TIMEOUT


def test_a_named_broker_that_refuses_is_asked_once():
    broker, core = _opened()
    _close(broker, core, 3, THERE)
    there = Broker()
    core.attach(there.connection, there.now)
    asked = there.hear(fake.PRODUCER)
    there.say(fake.ERROR, 1, asked[3], 2, 6, 3, "not served by this instance")
    assert core.move_to is None and 75 <= core.wait_before(there.now) <= 150
    core.not_before = None
    core.attach(there.connection, there.now)
    assert core.state == LOOKING


def test_brokers_that_send_it_to_and_fro_are_not_followed_without_a_pause():
    broker, core = _opened()
    waits = []
    for _ in range(6):
        _close(broker, core, 3, HERE)
        waits.append(core.wait_before(broker.now))
        fake.reopen(broker, core) if core.move_to is None else _reopen_at_once(broker, core)
        broker.heard()
    assert waits[0] == 0 and waits[1] >= 75 and waits[-1] >= 300


def _reopen_at_once(broker, core):
    core.attach(broker.connection, broker.now)
    _accept(broker, core, broker.hear(fake.PRODUCER))


def test_not_even_where_they_take_a_message_each_time():
    broker, core = _opened()
    core.ring.add(b"0")
    waits = []
    for number in range(6):
        _close(broker, core, 3, HERE)
        waits.append(core.wait_before(broker.now))
        fake.reopen(broker, core) if core.move_to is None else _reopen_at_once(broker, core)
        broker.heard()
        broker.sent(core)
        broker.receipt(number, number)
        core.ring.add(b"%d" % (number + 1))
    assert waits[0] == 0 and sum([wait >= 50 for wait in waits]) == 3, waits


def test_a_named_broker_is_as_good_as_a_found_one_once_it_has_proved_so():
    broker, core = _opened()
    for _ in range(3):
        _close(broker, core, 3, HERE)
        assert core.wait_before(broker.now) == 0
        _reopen_at_once(broker, core)
        broker.now = ticks_add(broker.now, 6000)


# What the supervisor makes of it


def _producer_at(bench, link, core):
    """The PRODUCER asked of the link's broker last is accepted."""
    asked = [one for one in link.broker.heard() if one.kind == fake.PRODUCER][-1]
    link.broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    assert core.state == READY


async def _ready(bench, topic="t", url="pulsar://one:6650"):
    core = await bench.adopt(topic)
    await bench.found(bench.link("one"), url)
    if core.state == OPENING:
        # It left with the look-up.
        link = bench.link(url.split("//")[1].split(":")[0])
        number = core._early or core._request
        link.broker.say(fake.PRODUCER_SUCCESS, 1, number, 2, "made")
    assert core.state == READY
    bench.link("one").broker.heard()
    return core


def test_the_supervisor_dials_the_named_broker_at_once():
    async def check(bench):
        core = await _ready(bench)
        _close(bench.link("one").broker, core, 3, "pulsar://three:6650")
        await bench.run()
        there = bench.link("three")
        assert core.state == OPENING and core.connection is there.connection
        _producer_at(bench, there, core)

    with_bench(check)


def test_a_named_broker_in_the_clear_is_not_dialled_where_a_token_would_go_there():
    async def check(bench):
        core = await _ready(bench)
        bench.supervisor._plaintext_refused = True
        for address in ("pulsar://elsewhere:6650", "pulsar+ssl://elsewhere:6651", "nonsense"):
            core._failures = 0
            core.not_before = None
            _close(core.connection.owner, core, 3, address)
            await bench.run()
            assert core.state == IDLE and bench.link("elsewhere") is None
            assert isinstance(bench.reports[-1], ConnectError) and bench.reports[-1].topic == core.topic
            bench.supervisor._plaintext_refused = address.startswith("nonsense")
            await bench.run(1000)
            await bench.found(bench.link("one"), "pulsar://one:6650")
            number = core._early or core._request
            bench.link("one").broker.say(fake.PRODUCER_SUCCESS, 1, number, 2, "made")
            assert core.state == READY
            bench.link("one").broker.heard()
            bench.supervisor._plaintext_refused = True

    with_bench(check)


def _migrate(core, url, tls_url=None):
    core.connection.owner.say(MIGRATED, 1, core.id, 2, 0, 3, url, 4, tls_url)


def test_a_migrated_topic_is_looked_up_at_its_new_cluster_once_the_old_one_closes_it():
    async def check(bench):
        core = await _ready(bench)
        other = await _ready(bench, "other")
        _migrate(core, "pulsar://new:6650", "pulsar+ssl://new:6651")
        await bench.run()
        assert core.state == READY and bench.link("new") is None
        assert "new:6650" in str(bench.reports[-1]) and bench.reports[-1].topic == core.topic
        _close(bench.link("one").broker, core)
        await bench.run(100)
        new = bench.link("new")
        assert core.state == LOOKING and core.connection is new.connection
        await bench.found(new, "pulsar://new:6650")
        assert core.connection is new.connection and core.state == OPENING
        assert other.state == READY and other.connection is bench.link("one").connection

    with_bench(check)


def test_nobody_else_is_looked_up_in_the_cluster_that_a_topic_has_migrated_to():
    async def check(bench):
        core = await _ready(bench)
        _migrate(core, "pulsar://new:6650")
        bench.link("one").error = ConnectError("gone")
        await bench.run()
        await bench.run(2000)
        assert core.connection is bench.link("new").connection
        other = await bench.adopt("other")
        assert other.state == LOOKING and other.connection is bench.link("two").connection
        # Nor in one of its brokers.
        await bench.found(bench.link("new"), "pulsar://new-two:6650")
        await bench.run()
        bench.link("two").error = ConnectError("gone")
        await bench.run()
        await bench.run(2000)
        assert other.connection is bench.link("one").connection
        assert core.connection is bench.link("new-two").connection

    with_bench(check)


def test_a_migrated_topic_comes_back_to_its_new_cluster_after_every_loss():
    async def check(bench):
        core = await _ready(bench)
        _migrate(core, "pulsar://new:6650")
        for _ in range(3):
            link = bench.link("new") or bench.link("one")
            link.error = ConnectError("gone")
            await bench.run()
            await bench.run(2000)
            assert core.connection is bench.link("new").connection and core.state == LOOKING

    with_bench(check)


def test_behind_a_proxy_the_new_cluster_s_is_used():
    async def check(bench):
        core = await _ready(bench)
        _migrate(core, "pulsar://new:6650")
        _close(bench.link("one").broker, core)
        await bench.run(100)
        new = bench.link("new")
        asked = [one for one in new.broker.heard() if one.kind == fake.LOOKUP][-1]
        new.broker.places = []
        new.broker.say(fake.LOOKUP_RESPONSE, 1, "pulsar://inside:6650", 3, 1, 4, asked[2], 5, True, 8, True)
        await bench.run()
        assert core.state in (WAITING, OPENING)
        assert (("new", 6650), "inside:6650") in bench.supervisor._links

    with_bench(check)


def test_several_hosts_of_a_new_cluster_are_tried_in_turn():
    async def check(bench):
        assert bench.supervisor.place("pulsar://a:1,b:2", "", False) == (("a", 1), None)
        bench.supervisor._turn += 1
        assert bench.supervisor.place("pulsar://a:1,b:2", "", False) == (("b", 2), None)

    with_bench(check)


def test_a_new_cluster_that_may_not_be_dialled_is_told_and_the_old_one_stays():
    async def check(bench):
        core = await _ready(bench)
        bench.supervisor._plaintext_refused = True
        _migrate(core, "pulsar://new:6650")
        bench.supervisor._service[:] = [("127.0.0.1", 6650)]
        _close(bench.link("one").broker, core)
        await bench.run(100)
        assert bench.link("new") is None and "in the clear" in str(bench.reports[-1])
        await bench.run(1000)
        assert core.state == LOOKING and core.failure is None

    with_bench(check, service=[("one", 6650)])


def test_a_cluster_that_repeats_itself_is_told_once():
    broker, core = _opened()
    for _ in range(3):
        broker.say(MIGRATED, 1, core.id, 2, 0, 3, THERE)
    assert len(core.watch.errors) == 1
    broker.say(MIGRATED, 1, 99, 2, 0, 3, THERE)  # of nobody


# What is told


def test_a_recovery_is_told_once_with_time_and_tries():
    for start in (fake.START, ticks_add(0, -300)):
        broker, core = Broker(now=start), fake.producer()
        broker.open(core)
        assert core.watch.errors == []
        core.lost(ConnectError("gone"), broker.now)
        for pause in (100, 400):
            broker.now = ticks_add(broker.now, pause)
            asked = broker.attach(core)
            broker.say(fake.ERROR, 1, asked[3], 2, 6, 3, "not yet")
        broker.now = ticks_add(broker.now, 250)
        core.watch.errors.clear()
        broker.open(core)
        (told,) = core.watch.errors
        assert isinstance(told, Restored) and isinstance(told, PulsarError) and told.code == -8
        assert "open again at here:6650 after 750 ms, at try 3" in str(told)
        assert (told.topic, told.broker) == (fake.TOPIC, "here:6650")
        core.lost(ConnectError("gone"), broker.now)
        broker.open(core)
        assert "after 0 ms, at try 1" in str(core.watch.errors[-1]) and len(core.watch.errors) == 2


def test_a_first_opening_is_no_recovery():
    broker, core = Broker(), fake.consumer()
    for _ in range(3):
        asked = broker.attach(core)
        broker.say(fake.ERROR, 1, asked[5], 2, 6, 3, "starting")
    broker.open(core)
    assert not [error for error in core.watch.errors if isinstance(error, Restored)]


def test_weeks_without_a_broker_are_told_right():
    broker, core = fake.opened_producer()
    core.lost(ConnectError("gone"), broker.now)
    for _ in range(60):
        broker.now = ticks_add(broker.now, 43200000)
        core.lost(ConnectError("still gone"), broker.now)
    broker.open(core)
    assert "after %d ms, at try 61" % (60 * 43200000) in str(core.watch.errors[-1])


def test_no_memory_for_the_news_costs_nothing():
    broker, core = fake.opened_producer()

    def full(error):
        raise MemoryError

    core.lost(ConnectError("gone"), broker.now)
    core.reporter = full
    broker.open(core)
    assert core.state == READY


def test_an_error_says_where_it_belongs_also_when_raised_anew():
    broker, core = Broker(), fake.consumer()
    asked = broker.attach(core)
    broker.say(fake.ERROR, 1, asked[5], 2, 11, 3, "no such topic")
    assert core.state == CLOSED
    for error in (core.failure, core.failure.again(" and more")):
        assert (error.broker, error.topic) == ("here:6650", fake.TOPIC)
    assert PulsarError("nobody's").broker is None and PulsarError("nobody's").topic is None


def test_there_is_advice_for_every_code():
    texts = [PulsarError("x", code).advice() for code in range(-8, 26)]
    assert all(len(text) > 10 for text in texts)
    unknown = PulsarError("x", 4711).advice()
    assert unknown not in texts and PulsarError("x", -9).advice() == unknown
    assert Restored("x").advice() != Timeout("x").advice()


def test_a_flood_is_none():
    # Whatever fails again and again is tried ever more rarely: told at most so often in an hour.
    broker, core = fake.opened_producer()
    now = broker.now
    end = ticks_add(now, 3600000)
    told = 0
    while now < end:
        core.lost(ConnectError("gone"), now)
        told += 1
        now = ticks_add(now, core.wait_before(now))
    assert told < 260


