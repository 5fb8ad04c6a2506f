"""What happens to topics on several instances while every interpreter sends to one: moves, deaths, come-backs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.integration import stored
from tests.integration.fault_rounds import Outcome, Round, check
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevCluster, DevClusterThread

_TOTAL = 500
_TOTAL_OF_KILLS = 1200  # the fastest interpreter must still be at it when the last instance dies
_STEP = 40  # messages that every topic must have got before the next thing happens
_FINISH_SECONDS = 60

Step = Callable[[DevClusterThread, str], None]


def move(number: int, **settings: Any) -> Step:
    """The topic moves to that instance."""
    return lambda cluster, topic: cluster.move(topic, number, **settings)


@dataclass(frozen=True)
class Story:
    """What happens to the topics of a cluster while they are written to."""

    name: str
    steps: Sequence[Step] = ()
    """One after the other for each topic, each after some more messages of it."""
    kills: Sequence[int] = ()
    """Instances that die and come back, one after the other."""
    reported: str = "the broker closed it, the topic moves"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Sending:
    """An interpreter that sends to a topic of its own."""

    program: Program
    topic: str
    wanted: int = 0

    def wait(self, cluster: DevClusterThread) -> None:
        """Until the topic has some more messages."""
        self.wanted += _STEP
        cluster.wait_until(lambda cluster: _count(cluster, self.topic) >= self.wanted, _FINISH_SECONDS)


def _count(cluster: DevCluster, topic: str) -> int:
    found = cluster.store.topics.get(topic)
    return sum(entry.message_count for entry in found.entries) if found else 0


def tell(story: Story) -> dict[str, Outcome]:
    """The story happens; what each interpreter said, by its name."""
    with DevClusterThread(3, **story.settings) as cluster, SideBySide() as programs:
        sendings: dict[str, Sending] = {}
        for number, runtime in enumerate(everyone()):
            topic = f"persistent://public/default/{fresh_name('moving')}"
            cluster.prefer(topic, number % 3)
            program = programs.start(runtime, "send_through_faults", {})
            order = {
                "url": cluster.proxy_url or cluster.urls, "topic": topic,
                "total": _TOTAL_OF_KILLS if story.kills else _TOTAL, "producer": {"producer_name": fresh_name("p")},
            }  # fmt: skip
            program.tell(json.dumps(order))
            sendings[runtime.name] = Sending(program, topic)
        for sending in sendings.values():
            sending.program.wait_for("open")
        for sending in sendings.values():
            sending.program.tell("go")
        _happen(story, cluster, sendings)
        found = {}
        for name, sending in sendings.items():
            said = sending.program.wait_for("sent", _FINISH_SECONDS)
            sending.program.tell("end")
            sending.program.finish()
            store = cluster.call(lambda cluster, topic=sending.topic: stored.numbers(cluster.brokers[0], topic))
            found[name] = Outcome(said, store, ())
        assert cluster.call(lambda cluster: not any(broker.sessions for broker in cluster.brokers))
        return found


def _happen(story: Story, cluster: DevClusterThread, sendings: Mapping[str, Sending]) -> None:
    for step in story.steps:
        for sending in sendings.values():
            sending.wait(cluster)
            step(cluster, sending.topic)
    for number in story.kills:
        for sending in sendings.values():
            sending.wait(cluster)
        cluster.kill(number)
        for sending in sendings.values():
            sending.wait(cluster)  # others serve its topics now
        cluster.start(number)


def check_story(story: Story, outcome: Outcome) -> None:
    """Raise AssertionError where the sender lost something, or told something that is not so."""
    check(Round(story.name, reported=story.reported, deduplication=bool(story.settings.get("deduplication"))), outcome)
