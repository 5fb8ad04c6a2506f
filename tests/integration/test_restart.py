"""The broker goes away in the middle of 100,000 messages: none is lost, none out of order, and only what was not
confirmed at that moment may come twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.programs import numbered
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread
from tools.realbroker.standalone import Standalone

TOTAL = 100_000
_READ_MILLISECONDS = 20_000
# From one stage to the next: less than keep-alive's 30 s, which would wake what a restart left asleep.
_STAGE_SECONDS = 25


class Sent(NamedTuple):
    """What an interpreter has sent through the restarts."""

    program: Program
    topic: str

    def last(self) -> dict[str, Any]:
        """The count of all messages, and ledger and entry of the last."""
        (record,) = self.program.of_kind("sent")
        return record


def send_through_restarts(url: str, cuts: int, restart: Callable[[], None]) -> dict[str, Sent]:
    """Every interpreter sends to a topic of its own while `restart()` is called `cuts` times."""
    with SideBySide() as programs:
        sent: dict[str, Sent] = {}
        for runtime in everyone():
            topic = f"persistent://public/default/{fresh_name('restart')}"
            options = {"url": url, "topic": topic, "cuts": cuts, "total": TOTAL}
            sent[runtime.name] = Sent(programs.start(runtime, "send_numbers", options), topic)
        for _ in range(cuts):
            for one in sent.values():
                one.program.wait_for("ready", _STAGE_SECONDS)
            # All of them at once, so that the cut finds every one in full flow.
            for one in sent.values():
                one.program.tell("go")
            for one in sent.values():
                one.program.wait_for("flowing", _STAGE_SECONDS)
            restart()
        for one in sent.values():
            one.program.finish(_STAGE_SECONDS)
        return sent


def check(sent: Sent, runs: list[list[int]], cuts: int) -> None:
    """`runs` of consecutive numbers, in the topic's order, are all that was sent, with nothing but allowed repeats."""
    count = sent.last()["count"]
    assert count > TOTAL
    unconfirmed: set[int] = set()
    for lost in losses(sent, cuts):
        unconfirmed.update(range(lost["first"], lost["last"] + 1))
    following = 0
    for first, last in runs:
        assert first <= following, f"{following} to {first - 1} are missing or late"
        repeated = set(range(first, min(last + 1, following)))
        assert repeated <= unconfirmed, f"came again though confirmed: {sorted(repeated - unconfirmed)[:10]}"
        following = max(following, last + 1)
    assert following == count, f"{following} to {count - 1} are missing"
    assert len(unconfirmed) < TOTAL // 10, "so many were unconfirmed that the check of repeats says nothing"


def losses(sent: Sent, cuts: int) -> list[dict[str, Any]]:
    """The records of losses; each cut must have met messages in flight."""
    found: list[dict[str, Any]] = []
    met = [False] * cuts
    cut = -1
    for record in sent.program.records:
        if record["kind"] == "ready":
            cut += 1
        elif record["kind"] == "lost":
            found.append(record)
            met[cut] = met[cut] or record["first"] <= record["last"]
    assert met == [True] * cuts, f"a restart found nothing in flight: {found}"
    return found


# The development broker, twice


_DEV_CUTS = 2


class DevTransfer(NamedTuple):
    """What was sent, and the programs that read it back."""

    sent: dict[str, Sent]
    readers: dict[str, Program]


@pytest.fixture(scope="module")
def dev_transfer() -> Iterator[DevTransfer]:
    """Sent through two restarts; each interpreter reads its own topic."""
    with DevBrokerThread() as broker, SideBySide() as programs:
        sent = send_through_restarts(broker.url, _DEV_CUTS, broker.restart)
        readers = {}
        for runtime in everyone():
            one = sent[runtime.name]
            last = one.last()
            options = {"url": broker.url, "topic": one.topic, "ledger": last["ledger"], "entry": last["entry"]}
            readers[runtime.name] = programs.start(runtime, "receive_numbers", options)
        yield DevTransfer(sent, readers)


def test_two_restarts_of_the_development_broker_lose_nothing(runtime: str, dev_transfer: DevTransfer) -> None:
    reader = dev_transfer.readers[runtime]
    reader.finish()
    (record,) = reader.of_kind("runs")
    check(dev_transfer.sent[runtime], record["runs"], _DEV_CUTS)


# Pulsar itself, killed once


@pytest.fixture(scope="module")
def real_transfer(
    real_broker_jars: None, tmp_path_factory: pytest.TempPathFactory, apache: Any, apache_client: Callable[..., Any]
) -> Iterator[tuple[dict[str, Sent], Any]]:
    """What was sent through a crash of the broker, and a client of Apache's to read it."""
    directory: Path = tmp_path_factory.mktemp("restarted_broker")
    with Standalone(directory, memory=False) as broker:

        def crash() -> None:
            broker.kill()
            broker.restart()

        sent = send_through_restarts(broker.url, 1, crash)
        yield sent, apache_client(broker.url)


def test_a_crash_of_pulsar_itself_loses_nothing(
    runtime: str, real_transfer: tuple[dict[str, Sent], Any], apache: Any
) -> None:
    sent, client = real_transfer
    runs: list[list[int]] = []
    reader = client.create_reader(sent[runtime].topic, apache.MessageId.earliest, receiver_queue_size=10_000)
    while reader.has_message_available():
        numbered.add_to_runs(runs, numbered.number_of(reader.read_next(_READ_MILLISECONDS).data()))
    reader.close()
    check(sent[runtime], runs, 1)
