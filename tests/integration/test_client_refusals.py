"""Every ServerError as the answer to what opens a producer or a consumer, from a broker that gives it for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from mpy_pulsar import Client, PulsarError, Restored
from mpy_pulsar.consumer import Consumer
from mpy_pulsar.core.verdicts import verdict
from mpy_pulsar.producer import Producer
from tests.integration import stored
from tests.integration.programs import numbered
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBroker, DevBrokerThread

CODES = range(26)
_MESSAGES = 2
_ASKED = ("PARTITIONED_METADATA", "LOOKUP", "PRODUCER")
_SECONDS = 20


def _topic(command: str, code: int) -> str:
    return f"persistent://public/default/{fresh_name(f'{command.lower()}-{code}')}"


# While creating, on every interpreter


@pytest.fixture(scope="module")
def created() -> Iterator[Mapping[str, Program]]:
    """Every interpreter has tried to make a producer on 78 topics, each refused once in its own way."""
    with DevBrokerThread(proxy_through_service_url=False) as broker, SideBySide() as programs:
        found = {}
        for runtime in everyone():
            attempts = []
            for command in _ASKED:
                for code in CODES:
                    topic = _topic(command, code)
                    broker.fault("error", on=command, code=code, times=1, topic=topic)
                    attempts.append({
                        "name": f"{command} {code}", "url": broker.url, "topic": topic, "messages": _MESSAGES,
                        "producer": {}, "client": {"operation_timeout_seconds": _SECONDS},
                    })  # fmt: skip
            found[runtime.name] = programs.start(runtime, "attempts", {"attempts": attempts})
        for program in found.values():
            program.finish()
        yield found


def test_what_is_refused_while_it_is_made(runtime: str, created: Mapping[str, Program]) -> None:
    program = created[runtime]
    done = {record["name"]: record for record in program.of_kind("done")}
    refused = {record["name"]: record for record in program.of_kind("refused")}
    assert len(done) + len(refused) == len(_ASKED) * len(CODES)
    for command in _ASKED:
        for code in CODES:
            name = f"{command} {code}"
            if verdict(code, False) == "f":
                assert refused[name]["code"] == code and refused[name]["errors"] == [], name
            else:
                assert len(done[name]["result"][1]) == _MESSAGES, name
                (error,) = done[name]["errors"]
                assert f"the broker answered {code}" in error, name


# Once established


async def _refused_on_the_way_back(broker: DevBroker, command: str, code: int) -> None:
    """A topic moves, and the way back is refused once: nothing is lost, and the recovery is told; or it is the end."""
    topic = _topic(command, code)
    errors: list[PulsarError] = []
    async with Client(broker.url, on_error=errors.append) as client:
        consumer = await client.subscribe(topic, "sub", initial_position=1)
        producer = await client.create_producer(topic)
        watched: Consumer | Producer = consumer if command == "SUBSCRIBE" else producer
        await _exchange(producer, consumer, 0)
        # A PRODUCER that leaves with its look-up is tried again without a word.
        times = 1 if command == "SUBSCRIBE" else 2
        fault = broker.fault("error", on=command, code=code, times=times, topic=topic)
        broker.topics[topic].close_all()
        while watched.state() == "open":
            await watched.state_changed()
        while watched.state() == "connecting":
            await watched.state_changed()
        if verdict(code, True) == "f":
            assert watched.state() == "failed"
            with pytest.raises(PulsarError) as caught:
                await (consumer.receive() if command == "SUBSCRIBE" else producer.send(b"never"))
            assert caught.value.code == code
            return
        await _exchange(producer, consumer, _MESSAGES)
        told = [error.code for error in errors if error.topic == topic]
        assert fault.hits == times and code in told and Restored.code in told
    assert [number for _, number in stored.numbers(broker, topic)] == list(range(2 * _MESSAGES))


async def _exchange(producer: Producer, consumer: Consumer, first: int) -> None:
    wanted = set(range(first, first + _MESSAGES))
    for number in sorted(wanted):
        await producer.send(numbered.message(number))
    while wanted:  # some of before may come once more
        message = await consumer.receive(20000)
        wanted.discard(numbered.number_of(message.data()))
        await consumer.acknowledge(message)


@pytest.mark.parametrize("command", ["LOOKUP", "PRODUCER", "SUBSCRIBE"])
def test_what_is_refused_on_the_way_back(command: str) -> None:
    async def run() -> None:
        async with DevBroker(proxy_through_service_url=False) as broker:
            await asyncio.gather(*(_refused_on_the_way_back(broker, command, code) for code in CODES))

    asyncio.run(asyncio.wait_for(run(), _SECONDS + 40))
