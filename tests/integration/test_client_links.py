"""One link for topics on two brokers: the one that waits says so, keeps its messages and goes on by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.integration import stored
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevClusterThread


@dataclass(frozen=True)
class Trial:
    """An interpreter's program, and its topics."""

    program: Program
    topics: Mapping[str, str]


@pytest.fixture(scope="module")
def trials() -> Iterator[tuple[DevClusterThread, Mapping[str, Trial]]]:
    """Every interpreter has ended; its topics lived on two instances, and one has moved."""
    with DevClusterThread(2) as cluster, SideBySide() as running:
        made = {}
        for runtime in everyone():
            topics = {name: f"persistent://public/default/{fresh_name(name)}" for name in ("here", "there", "moving")}
            for name, topic in topics.items():
                cluster.prefer(topic, 1 if name == "there" else 0)
            program = running.start(runtime, "one_link", {"url": cluster.url(0), **topics})
            made[runtime.name] = Trial(program, topics)
        for trial in made.values():
            trial.program.wait_for("both")
            cluster.move(trial.topics["moving"], 1)
        for trial in made.values():
            trial.program.finish()
        yield cluster, made


def test_who_waits_for_the_link_goes_on_once_it_is_free(
    runtime: str, trials: tuple[DevClusterThread, Mapping[str, Trial]]
) -> None:
    cluster, made = trials
    trial = made[runtime]
    assert len(trial.program.of_kind("told")) == 2
    for name, count in (("here", 3), ("there", 1), ("moving", 6)):
        topic = trial.topics[name]
        found = cluster.call(lambda cluster, topic=topic: stored.numbers(cluster.brokers[0], topic))
        assert [number for _, number in found] == list(range(count)), name
    assert cluster.call(lambda cluster: cluster.owner(trial.topics["moving"])) == 1


def test_no_link_is_left_at_any_broker(trials: tuple[DevClusterThread, Mapping[str, Trial]]) -> None:
    cluster, _ = trials
    cluster.wait_until(lambda cluster: not any(broker.sessions for broker in cluster.brokers))
