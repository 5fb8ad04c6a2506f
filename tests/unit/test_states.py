"""The state of a client, a producer, a consumer in a word, and waiting for another one."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.consumer import Consumer
from mpy_pulsar.endpoint import Endpoint
from mpy_pulsar.errors import AlreadyClosed, ConnectError, PulsarError
from mpy_pulsar.producer import Producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker
from tests.unit.still_links import with_bench

_TURNS = 20


async def _turns():
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _watch(endpoint, seen):
    """Every state from now on, until the last."""
    state = endpoint.state()
    while state not in ("closed", "failed"):
        state = await endpoint.state_changed()
        seen.append(state)


def test_a_handle_says_what_it_is_at():
    async def run():
        for make, kind in ((fake.producer, Producer), (fake.consumer, Consumer)):
            broker = Broker()
            core = make()
            endpoint = kind(core)
            assert endpoint.state() == "connecting"
            core.plain = True
            asked = broker.attach(core)
            assert endpoint.state() == "connecting"
            broker.say(fake.ERROR, 1, asked[3 if kind is Producer else 5], 2, 6, 3, "not yet")
            assert endpoint.state() == "connecting"
            fake.reopen(broker, core)
            assert endpoint.state() == "open" and endpoint.is_connected()
            broker.heard()
            broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)
            assert endpoint.state() == "connecting"
            fake.reopen(broker, core)
            broker.heard()
            core.start_close(broker.now)
            assert endpoint.state() == "closing"
            broker.say(fake.SUCCESS, 1, broker.hear(core.close_kind)[2])
            assert endpoint.state() == "closed"

    asyncio.run(run())


def test_a_handle_that_was_ended_has_failed():
    async def run():
        core = fake.producer()
        endpoint = Endpoint(core)
        core.fail(PulsarError("terminated", 15))
        assert endpoint.state() == "failed"
        core = fake.producer()
        endpoint = Endpoint(core)
        core.fail(AlreadyClosed("closed"))
        assert endpoint.state() == "closed"

    asyncio.run(run())


def test_several_wait_for_another_state_at_the_same_time():
    async def run():
        broker, core = Broker(), fake.consumer()
        consumer = Consumer(core)
        seen = [[], [], []]
        tasks = [asyncio.create_task(_watch(consumer, one)) for one in seen]
        await _turns()
        assert seen == [[], [], []]
        broker.open(core)
        await _turns()
        broker.heard()
        core.lost(ConnectError("gone"), broker.now)
        await _turns()
        fake.reopen(broker, core)
        broker.heard()
        await _turns()
        core.start_close(broker.now)
        await _turns()
        broker.say(fake.SUCCESS, 1, broker.hear(core.close_kind)[2])
        await _turns()
        assert seen == [["open", "connecting", "open", "closing", "closed"]] * 3
        assert [task.done() for task in tasks] == [True] * len(tasks)
        assert await consumer.state_changed() == "closed"

    asyncio.run(run())


def test_what_changes_nothing_ends_no_wait():
    async def run():
        broker, core = Broker(), fake.consumer()
        consumer = Consumer(core)
        seen = []
        task = asyncio.create_task(_watch(consumer, seen))
        await _turns()
        core.attach(broker.connection, broker.now)
        core.lost(ConnectError("gone"), broker.now)
        core.changed()
        await _turns()
        assert seen == []
        core.fail(PulsarError("fenced", 25))
        await _turns()
        assert seen == ["failed"] and task.done()

    asyncio.run(run())


def test_who_asks_a_closed_one_again_and_again_stops_nobody():
    async def run():
        core = fake.producer()
        endpoint = Endpoint(core)
        core.start_close(0)
        others = []

        async def other():
            for _ in range(3):
                await asyncio.sleep(0)
                others.append(1)

        task = asyncio.create_task(other())
        for _ in range(10):
            assert await endpoint.state_changed() == "closed"
        assert len(others) == 3 and task.done()

    asyncio.run(run())


def _client_of(bench):
    client = Client("pulsar://one")
    client._supervisor = bench.supervisor
    return client


def test_a_client_s_state_is_that_of_all_it_holds():
    async def check(bench):
        client = _client_of(bench)
        seen = []
        task = asyncio.create_task(_watch(client, seen))
        assert client.state() == "idle"
        await bench.run()
        core = await bench.adopt("a")
        assert client.state() == "connecting"
        await bench.found(bench.link("one"), "pulsar://one:6650")
        broker = bench.link("one").broker
        broker.say(fake.PRODUCER_SUCCESS, 1, core._early or core._request, 2, "made")
        await bench.run()
        assert client.state() == "open"
        other = await bench.adopt("b")
        assert client.state() == "connecting"
        await bench.run()
        other.start_close(bench.now)
        await bench.run()
        assert client.state() == "open"
        bench.link("one").error = ConnectError("gone")
        await bench.run()
        core.fail(PulsarError("terminated", 15))
        await bench.run()
        assert client.state() == "idle"
        client.shutdown()
        await bench.supervisor.ended()
        await _turns()
        assert seen == ["connecting", "open", "connecting", "open", "connecting", "idle", "closed"], seen
        assert task.done() and client.state() == "closed"

    with_bench(check)


def test_a_client_without_anything_can_be_watched_too():
    async def run():
        client = Client("pulsar://one")
        assert client.state() == "idle"
        seen = []
        tasks = [asyncio.create_task(_watch(client, seen)) for _ in range(2)]
        await _turns()
        await client.close()
        await _turns()
        assert seen == ["closed"] * 2 and [task.done() for task in tasks] == [True] * len(tasks)
        assert await client.state_changed() == "closed"

    asyncio.run(run())


def test_a_client_that_is_closing_says_so():
    async def check(bench):
        client = _client_of(bench)
        core = await bench.adopt("a")
        core.owner = Endpoint(core)
        await bench.found(bench.link("one"), "pulsar://one:6650")
        broker = bench.link("one").broker
        broker.say(fake.PRODUCER_SUCCESS, 1, core._early or core._request, 2, "made")
        broker.heard()
        await bench.run()
        seen = []
        watching = asyncio.create_task(_watch(client, seen))
        closing = asyncio.create_task(client.close())
        await bench.run()
        assert client.state() == "closing"
        broker.say(fake.SUCCESS, 1, broker.hear(fake.CLOSE_PRODUCER)[2])
        await bench.run()
        await closing
        await watching
        assert seen == ["closing", "closed"]

    with_bench(check)


def test_a_fault_in_the_client_ends_the_wait():
    async def check(bench):
        client = _client_of(bench)
        seen = []
        task = asyncio.create_task(_watch(client, seen))
        await bench.run()

        async def faulty(now):
            raise RuntimeError("a fault")

        bench.supervisor._tend = faulty
        await bench.run()
        assert seen == ["failed"] and task.done() and client.state() == "failed"

    with_bench(check)


def test_intervals_that_are_none_are_refused():
    for seconds in (0, -1, 0.09):
        try:
            Client("pulsar://one", keep_alive_seconds=seconds)
        except ValueError as error:
            assert "keep_alive_seconds" in str(error)
        else:
            raise AssertionError(seconds)
