"""Which link a handle goes on, how many there are, and who hears of errors: the supervisor, over still links."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.core.handle import CLOSED, IDLE, LOOKING, OPENING
from mpy_pulsar.errors import AuthenticationError, ConnectError, PulsarError
from mpy_pulsar.net import supervisor as room
from mpy_pulsar.net.link import Link
from mpy_pulsar.port import ERRORS, ticks_add, ticks_diff
from tests.unit import fake_broker as fake
from tests.unit.still_links import SERVICE, TURNS, StillLink, with_bench
from tests.unit.support import raises


def test_one_link_is_enough_for_a_topic_that_lives_elsewhere():
    async def check(bench):
        core = await bench.adopt("t")
        first = bench.link("one")
        await bench.found(first, "pulsar://elsewhere:6650")
        assert first.stopped and core.state == OPENING and core.connection is bench.link("elsewhere").connection
        assert len(bench.supervisor._links) == 1 and bench.reports == []

    with_bench(check, max_links=1)


def test_a_link_for_which_there_is_no_memory_is_tried_again_soon():
    # Found by chaos on a heap of 64 KB, seed 3: the supervisor slept for ten minutes.
    async def check(bench):
        def full(*_):
            raise MemoryError()

        room.Link = full
        core = await bench.adopt("t")
        assert core.state == IDLE and "no memory" in str(bench.reports[-1])
        bench.now = ticks_add(bench.now, 1000)
        bench.supervisor._wake.clear()
        pause = await bench.supervisor._tend(bench.now)
        if bench.supervisor._wake.is_set():
            pause = await bench.supervisor._tend(bench.now)
        assert 0 < pause <= 200
        bench.now = ticks_add(bench.now, pause)
        room.Link = StillLink
        await bench.supervisor._tend(bench.now)
        assert core.connection is bench.link("one").connection

    with_bench(check)


def test_a_topic_that_needs_one_link_too_many_waits_and_says_who_has_them():
    async def check(bench):
        at_one = await bench.adopt("at-one")
        await bench.found(bench.link("one"), "pulsar://one:6650")
        core = await bench.adopt("elsewhere")
        await bench.found(bench.link("one"), "pulsar://three:6650")
        assert core.state == IDLE and core.failure is None and bench.link("three") is None
        text = str(bench.reports[-1])
        for part in (core.topic, at_one.topic, "three:6650", "one:6650", "max_links=1"):
            assert part in text, text
        # Once the link is free it goes there, by itself.
        bench.link("one").broker.heard()
        at_one.start_close(bench.now)
        await bench.run(200)
        await bench.found(bench.link("one"), "pulsar://three:6650")
        assert core.state == OPENING and list(bench.supervisor._links) == [(("three", 6650), None)]

    with_bench(check, max_links=1)


def test_who_waits_for_a_link_goes_on_the_moment_one_is_free():
    async def check(bench):
        at_one = await bench.adopt("at-one")
        await bench.found(bench.link("one"), "pulsar://one:6650")
        core = await bench.adopt("elsewhere")
        await bench.found(bench.link("one"), "pulsar://three:6650")
        while core.wait_before(bench.now) < 2000:  # in vain, until the next try is seconds away
            await bench.run(core.wait_before(bench.now))
            await bench.found(bench.link("one"), "pulsar://three:6650")
            assert core.state == IDLE
        bench.link("one").broker.heard()
        at_one.start_close(bench.now)
        await bench.run()
        await bench.found(bench.link("one"), "pulsar://three:6650")
        assert core.state == OPENING and bench.link("one") is None
        assert bench.supervisor._starved == []

    with_bench(check, max_links=1)


def test_the_deadline_of_a_new_link_is_watched_from_the_start():
    pauses = []
    genuine = room.wait

    async def wait(event, milliseconds):
        pauses.append(milliseconds)
        await genuine(event, milliseconds)

    async def check(bench):
        core = fake.producer()
        core.timeout = core._patience = 400000  # the handle's own deadlines are far away
        bench.supervisor.adopt(core)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert core.state == LOOKING and pauses[-1] == bench.link("one").connection.sweep(bench.now)

    room.wait = wait
    try:
        with_bench(check)
    finally:
        room.wait = genuine


def test_a_look_up_goes_over_any_link_there_is():
    async def check(bench):
        await bench.adopt("a")
        await bench.found(bench.link("one"), "pulsar://elsewhere:6650")
        await bench.run(40000)  # nobody needs the first link any more
        await bench.run(1)
        assert bench.link("one") is None
        core = await bench.adopt("b")
        assert core.state == LOOKING and core.connection is bench.link("elsewhere").connection
        assert len(bench.supervisor._links) == 1

    with_bench(check)


def test_a_link_without_a_handle_is_closed_after_half_a_minute():
    async def check(bench):
        await bench.adopt("a")
        first = bench.link("one")
        await bench.found(first, "pulsar://elsewhere:6650")
        await bench.run(29999)
        assert not first.stopped
        await bench.run(1)
        assert first.stopped and bench.link("one") is None and not bench.link("elsewhere").stopped

    with_bench(check)


def test_a_place_that_closed_the_link_for_an_early_opening_gets_none_again():
    async def check(bench):
        core = await bench.adopt("a")
        first = bench.link("one")
        assert [command.kind for command in first.broker.heard()] == [fake.LOOKUP, fake.PRODUCER]
        first.error = ConnectError("closed")
        await bench.run()
        assert first.stopped and core.state == IDLE
        await bench.run(200)
        second = bench.link("one")
        assert second is not first and [command.kind for command in second.broker.heard()] == [fake.LOOKUP]

    with_bench(check, service=SERVICE[:1])


def test_the_hosts_of_the_service_url_are_tried_in_turn():
    async def check(bench):
        core = await bench.adopt("a")
        core.established = True
        for host in ("one", "two", "one", "two"):
            link = bench.link(host)
            assert core.connection is link.connection
            link.connection.connected = False
            link.error = ConnectError("nobody there")
            await bench.run()
            await bench.run(2000)

    with_bench(check)


def test_what_a_broker_says_before_connected_is_tried_again_slowly():
    async def check(bench):
        for code, slow in ((4, True), (6, True), (22, True), (0, False)):
            core = await bench.adopt("a")
            core.established = True
            core._failures = core._mending = 20
            link = bench.link("one") or bench.link("two")
            link.connection.connected = False
            link.error = PulsarError("refused", code)
            await bench.run()
            assert core.failure is None and (ticks_diff(core.not_before, bench.now) > 30000) == slow
            core.start_close(bench.now)
            await bench.run()

    with_bench(check, service=SERVICE[:1])


def test_credentials_that_are_refused_end_what_is_being_created_and_delay_the_rest():
    async def check(bench):
        created, established = await bench.adopt("a"), await bench.adopt("b")
        established.established = True
        link = bench.link("one")
        link.connection.connected = False
        link.error = AuthenticationError("no")
        await bench.run()
        assert created.state == CLOSED and isinstance(created.failure, AuthenticationError)
        assert established.failure is None and established.state == IDLE

    with_bench(check)


def test_a_moment_without_memory_costs_no_handle_and_not_the_client():
    async def check(bench):
        core = await bench.adopt("a")
        other = await bench.adopt("b")
        await bench.found(bench.link("one"), "pulsar://one:6650")
        for handle in (core, other):
            handle.lost(ConnectError("gone"), bench.now)
            handle.established = True

        def full(request_id):
            raise MemoryError

        other._place_known = True
        attach, other.attach = other.attach, lambda *_: full(1)
        await bench.run(1000)
        assert other.failure is None and other.state == IDLE and core.state == LOOKING
        other.attach = attach
        await bench.run(31000)
        assert other.state == LOOKING and bench.supervisor._failure is None

    with_bench(check)


def test_a_link_without_memory_for_its_last_word_ends_all_the_same():
    async def run():
        class Full(Link):
            def __init__(self):
                self.error = None
                self._supervisor = self
                self.attended = 0

            def attend(self):
                self.attended += 1

            def _reason(self, error, failure):
                raise MemoryError

        async def broken():
            raise OSError(104)

        link = Full()
        await link._guard(broken())
        assert isinstance(link.error, ConnectError) and link.attended == 1

    asyncio.run(run())


def test_errors_asked_for_after_the_end_are_none():
    async def run():
        client = Client("pulsar://localhost")
        await client.close()
        async for error in client.errors():
            raise AssertionError(error)

    asyncio.run(run())


def test_a_timeout_of_weeks_is_one_of_days():
    assert Client("pulsar://localhost", operation_timeout_seconds=10**7)._timeout < 1 << 29


def test_errors_of_no_call_reach_stream_function_and_logger():
    class Log:
        def __init__(self):
            self.lines = []

        def warning(self, text):
            self.lines.append(text)

    async def run():
        heard, log = [], Log()
        client = Client("pulsar://localhost", on_error=heard.append, logger=log)
        stream = client.errors()
        for number in range(ERRORS + 3):
            client._report(PulsarError("error %d" % number))
        assert len(heard) == ERRORS + 3 and log.lines[-1] == "error %d" % (ERRORS + 2)
        assert stream.dropped == 3
        await client.close()
        taken = []
        async for error in stream:
            taken.append(str(error))
        assert taken == ["error %d" % number for number in range(3, ERRORS + 3)]

    asyncio.run(run())


def test_a_stream_waits_for_an_error_and_ends_with_the_client():
    async def run():
        client = Client("pulsar://localhost")
        stream = client.errors()
        taken = []

        async def take():
            async for error in stream:
                taken.append(str(error))
            taken.append("end")

        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        client._report(PulsarError("one"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert taken == ["one"]
        client.shutdown()
        await task
        assert taken == ["one", "end"]
        client._report(PulsarError("after the end"))
        assert stream._errors == []

    asyncio.run(run())


def test_a_function_for_errors_that_fails_harms_nobody():
    def fail(_):
        raise OSError("the disk is full")

    client = Client("pulsar://localhost", on_error=fail)
    client._report(PulsarError("one"))


def test_options_that_are_not_there_are_refused_by_name():
    for option, kind in (("use_tls", ValueError), ("io_threads", ValueError), ("operation_timeout", TypeError)):
        assert option in str(raises(kind, Client, "pulsar://localhost", **{option: 1}))
    Client("pulsar://localhost", io_threads=None, use_tls=False)
