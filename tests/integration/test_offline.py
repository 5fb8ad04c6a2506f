"""wait=False: a program starts before its broker does, meets refusals first, and then works, with nothing lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.integration import stored
from tests.integration.runs import Program, Runtime, everyone, fresh_name
from tools.devbroker import DevBrokerThread

COUNT = 60
_SECONDS = 60
_NO_SUCH_HOST = "no-such-host.invalid"
# What somebody has to mend first: credentials, the topic, permissions.
REFUSALS = (
    "error on=CONNECT code=AuthenticationError times=1", "error on=LOOKUP code=TopicNotFound times=2",
    "error on=PRODUCER code=AuthorizationError times=1", "error on=SUBSCRIBE code=AuthorizationError times=2",
)  # fmt: skip
_CODES = {3, 11, 4}


def taken_port() -> socket.socket:
    """A socket on a port of its own on which nobody listens."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", 0))
    return taken


def start_before_the_broker(runtime: Runtime, refusals: tuple[str, ...], host: str, name: str | None) -> Program:
    """The whole story on one interpreter; the program, which has ended."""
    topic = f"persistent://public/default/{fresh_name('offline')}"
    with ExitStack() as around:
        taken = around.enter_context(closing(taken_port()))
        port = taken.getsockname()[1]
        hosts = f"{host}:6650,127.0.0.1:{port}" if host else f"127.0.0.1:{port}"
        options = {"url": f"pulsar://{hosts}", "topic": topic, "name": name, "count": COUNT}
        program = around.enter_context(Program(runtime, "offline", options))
        program.wait_for("queued", _SECONDS)
        program.wait_for("trouble", _SECONDS)
        taken.close()
        late = DevBrokerThread(port=port)
        faults = [late.broker.fault(fault) for fault in refusals]
        broker = around.enter_context(late)
        program.finish(_SECONDS)
        numbers = [number for _, number in broker.call(lambda broker: stored.numbers(broker, topic))]
        assert numbers == list(range(COUNT))
        assert all(fault.hits for fault in faults), [(str(fault), fault.hits) for fault in faults]
    return program


@pytest.fixture(scope="module")
def programs() -> Iterator[dict[str, list[Program]]]:
    """By interpreter: one that meets refusals and has a name, one whose first host has no address and that has none."""
    runtimes = everyone()
    with ThreadPoolExecutor(len(runtimes)) as threads:
        refused = threads.map(lambda runtime: start_before_the_broker(runtime, REFUSALS, "", "press"), runtimes)
        lost = threads.map(lambda runtime: start_before_the_broker(runtime, (), _NO_SUCH_HOST, None), runtimes)
        both = zip(runtimes, refused, lost, strict=True)
        yield {runtime.name: [first, second] for runtime, first, second in both}


def test_it_works_once_the_broker_is_there_and_lets_it(runtime: str, programs: dict[str, list[Program]]) -> None:
    refused, _ = programs[runtime]
    (record,) = refused.of_kind("received")
    assert record["received"] == record["read"] == list(range(COUNT))
    assert set(record["codes"]) >= _CODES
    assert refused.of_kind("made")[0]["name"] == "press"


def test_a_host_without_an_address_is_no_obstacle(runtime: str, programs: dict[str, list[Program]]) -> None:
    _, lost = programs[runtime]
    (record,) = lost.of_kind("received")
    assert record["received"] == record["read"] == list(range(COUNT))
    assert lost.of_kind("made")[0]["name"].startswith("mpy_pulsar-")
