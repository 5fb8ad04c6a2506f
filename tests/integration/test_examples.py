"""The examples do what they say, at the development broker."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mpy_pulsar import Client, InitialPosition
from tests.integration.runs import fresh_name
from tools.devbroker import DevBrokerThread

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_READINGS = 20
_FOR_EVER = 1_000_000
_COMES_MILLIS = 20_000


def example(name: str) -> ModuleType:
    """One of them as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_client_publishes_its_own_statistics() -> None:
    readings, statistics = fresh_name("readings"), fresh_name("statistics")

    async def run(url: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with Client(url) as client:
            consumer = await client.subscribe(statistics, "all", initial_position=InitialPosition.Earliest)
            sending = asyncio.create_task(
                example("publish_stats").main(url, readings, statistics, _FOR_EVER, interval_ms=5, stats_ms=10)
            )
            while not found or found[-1]["producers"]["acknowledged"] < 2 * _READINGS:
                found.append(json.loads((await consumer.receive(_COMES_MILLIS)).data()))
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            reader = await client.subscribe(readings, "all", initial_position=InitialPosition.Earliest)
            arrived = [(await reader.receive(_COMES_MILLIS)).data() for _ in range(_READINGS)]
        assert arrived == [b"%d" % number for number in range(_READINGS)]
        return found

    with DevBrokerThread() as broker:
        found = asyncio.run(run(broker.url))
    for stats in found:
        sums = stats["producers"]
        dropped = sum(sums["dropped"].values())
        assert sums["sent"] == sums["acknowledged"] + sums["unknown"] + dropped + sums["pending"]
    assert found[-1]["producers"]["round_trip_ms"]
