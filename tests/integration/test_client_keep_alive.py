"""A broker that falls silent in the middle: the keep-alive ends the link, and nothing is lost.

With the twin alone, which can be told what a handshake may take; every interpreter meets a silent broker in
test_client_moves, and the rules are tested on each with time that is passed in (tests/unit/test_connection.py).
"""

import asyncio
from collections.abc import Sequence

import pytest

from mpy_pulsar import Client
from mpy_pulsar.core import connection
from tests.integration import stored
from tests.integration.programs import numbered
from tests.integration.runs import fresh_name
from tools.devbroker import DevBroker

_INTERVAL = 0.6  # seconds
_HANDSHAKE = 2000  # ms
_BEFORE, _COUNT = 10, 40


async def through_silence(faults: Sequence[str], idle: bool) -> tuple[list[int], list[str]]:
    """The numbers in the topic, and what was reported, where the broker falls silent; idle: before anything is sent."""
    errors: list[str] = []
    topic = f"persistent://public/default/{fresh_name('silent')}"
    async with DevBroker(proxy_through_service_url=False) as broker:
        client = Client(broker.url, on_error=lambda error: errors.append(str(error)), keep_alive_seconds=_INTERVAL)
        async with client:
            producer = await client.create_producer(topic)
            for number in range(_BEFORE):
                await producer.send(numbered.message(number))
            made = [broker.fault(fault, link=1) for fault in faults]
            if idle:
                await broker.wait_until(lambda: not any(session.number == 1 for session in broker.sessions))
            sends = [producer.send(numbered.message(number)) for number in range(_BEFORE, _COUNT)]
            await asyncio.gather(*sends)
            assert all(fault.hits for fault in made)
        await broker.wait_until(lambda: not broker.sessions)
        return [number for _, number in stored.numbers(broker, topic)], errors


@pytest.fixture(autouse=True)
def _short_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CONNECT_TIMEOUT", _HANDSHAKE)


@pytest.mark.parametrize("idle", [False, True])
def test_silence_ends_the_link_and_loses_nothing(idle: bool) -> None:
    numbers, errors = asyncio.run(through_silence(["silence"], idle))
    assert numbers == list(range(_COUNT))
    assert len(errors) == 2 and "the broker has been silent for" in errors[0] and "open again" in errors[1]


def test_a_broker_that_handles_and_never_answers_gets_what_it_has_again() -> None:
    numbers, errors = asyncio.run(through_silence(["silence handled=yes"], False))
    again = list(range(_BEFORE, _COUNT))
    assert numbers == [*range(_BEFORE), *again, *again]
    assert len(errors) == 2 and "the broker has been silent for" in errors[0] and "open again" in errors[1]


def test_a_host_that_takes_connections_and_says_nothing_is_left_for_the_next() -> None:
    async def open_at_the_second() -> list[str]:
        errors: list[str] = []
        async with DevBroker(faults=["silence"]) as dead, DevBroker() as alive:
            url = f"{dead.url},127.0.0.1:{alive.port}"
            async with Client(url, on_error=lambda error: errors.append(str(error))) as client:
                await (await client.create_producer(fresh_name("second"))).send(b"arrived")
        return errors

    errors = asyncio.run(open_at_the_second())
    assert errors and all("no CONNECTED within" in error for error in errors)


def test_an_idle_link_is_kept_alive_by_questions() -> None:
    async def wait_for_questions() -> None:
        async with DevBroker() as broker:
            answers = broker.fault("delay on=PONG seconds=0")
            async with Client(broker.url, keep_alive_seconds=1) as client:
                producer = await client.create_producer(fresh_name("idle"))
                await broker.wait_until(lambda: answers.hits >= 2)
                await producer.send(b"still there")

    asyncio.run(wait_for_questions())
