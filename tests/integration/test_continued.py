"""A process is killed in mid-stream and another goes on from what the first had noted: with deduplication nothing is
stored twice, and nothing is lost, at the development broker and at Pulsar itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from mpy_pulsar import AuthenticationToken, Client, MessageId
from tests.integration.both_brokers import DEDUPLICATING, Side
from tests.integration.programs import numbered
from tests.integration.runs import Program, Runtime, everyone, fresh_name

TOTAL = 1200
HOWS = ("ids", "offline", "batches")
_KILLED_AFTER = 300
# Noted so much earlier than confirmed: what is behind it is sent again.
_OVERLAP = 37
_SECONDS = 60


def send_with_a_kill(runtime: Runtime, side: Side, how: str) -> str:
    """Both processes, one after the other; the topic."""
    topic = f"persistent://{DEDUPLICATING}/{fresh_name('continued')}"
    options = {
        "url": side.url, "token": side.token, "topic": topic, "name": "press 7", "how": how, "total": TOTAL,
    }  # fmt: skip
    with Program(runtime, "continued", {**options, "stored": -1}) as program:
        confirmed = -1
        while confirmed < _KILLED_AFTER:
            confirmed = program.wait_for("stored", _SECONDS)["id"]
        # `with` kills it, wherever it is.
    assert confirmed < TOTAL - 1, "it was done before it could be killed"
    with Program(runtime, "continued", {**options, "stored": confirmed - _OVERLAP}) as program:
        program.finish(_SECONDS)
    return topic


async def numbers(side: Side, topics: Mapping[str, str]) -> dict[str, list[int]]:
    """What each topic holds, in its order, by the names of `topics`."""
    async with Client(side.url, authentication=AuthenticationToken(side.token)) as client:
        found = {}
        for name, topic in topics.items():
            async with await client.create_reader(topic, MessageId.earliest) as reader:
                found[name] = []
                while await reader.has_message_available():
                    found[name].append(numbered.number_of((await reader.read_next()).data()))
        return found


@pytest.fixture(scope="module", params=["development", pytest.param("real", marks=pytest.mark.real)])
def stored(request: pytest.FixtureRequest) -> dict[str, list[int]]:
    """The numbers that are stored, by interpreter and way, such as "twin ids"."""
    side: Side = request.getfixturevalue(f"{request.param}_side")
    runtimes = everyone()
    with ThreadPoolExecutor(len(runtimes)) as threads:
        started = {
            f"{runtime.name} {how}": threads.submit(send_with_a_kill, runtime, side, how)
            for how in HOWS for runtime in runtimes
        }  # fmt: skip
        topics = {name: future.result() for name, future in started.items()}
    return asyncio.run(numbers(side, topics))


@pytest.mark.parametrize("how", HOWS)
def test_nothing_is_doubled_and_nothing_lost(runtime: str, how: str, stored: dict[str, list[int]]) -> None:
    assert stored[f"{runtime} {how}"] == list(range(TOTAL))
