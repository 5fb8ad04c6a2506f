"""Topics live on one of several instances, move between them while messages are sent, and instances die."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration import stored
from tests.integration.fault_rounds import Outcome, Round, check
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread, DevCluster, DevClusterThread

_TOTAL = 400
_STEP = 40  # messages that every topic must have got before the next thing happens
_FINISH_SECONDS = 60
_NOWHERE = ("pulsar://127.0.0.1:1", "")

Step = Callable[[DevClusterThread, str], None]


def move(number: int, **settings: Any) -> Step:
    """The topic moves to that instance."""
    return lambda cluster, topic: cluster.move(topic, number, **settings)


def begin_transfer(cluster: DevClusterThread, topic: str) -> None:
    """From now on what is sent to the topic is dropped without a word."""
    cluster.begin_transfer(topic)


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


_MOVES = [move(1), move(2, assigned=True), move(2), move(0), move(1, assigned=True, transfer_seconds=0.1)]
STORIES = [
    Story("named_at_once", _MOVES, settings={"lookup": "connect"}),
    Story("redirected", _MOVES, settings={"lookup": "redirect"}),
    Story("always_redirected", _MOVES, settings={"lookup": "always_redirect"}),
    Story("said_to_move_to_where_nobody_is", [move(1, assigned=True, assigned_urls=_NOWHERE), move(2)]),
    Story("weeding_out", _MOVES, settings={"lookup": "always_redirect", "deduplication": True}),
    Story("killed", kills=[0, 1, 2], reported="link to 127.0.0.1", settings={"lookup": "redirect"}),
    Story("killed_and_named_for_a_while", kills=[0, 1, 2], reported="link to 127.0.0.1",
          settings={"session_seconds": 0.4}),
]  # fmt: skip
_BY_NAME = {story.name: story for story in STORIES}


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


@pytest.fixture(scope="module", params=_BY_NAME)
def outcomes(request: pytest.FixtureRequest) -> tuple[Story, dict[str, Outcome]]:
    """A story, and what each interpreter said of it."""
    story = _BY_NAME[request.param]
    with DevClusterThread(3, **story.settings) as cluster, SideBySide() as programs:
        sendings: dict[str, Sending] = {}
        for number, runtime in enumerate(everyone()):
            topic = f"persistent://public/default/{fresh_name('moving')}"
            cluster.prefer(topic, number % 3)
            program = programs.start(runtime, "send_through_faults", {})
            order = {"url": cluster.urls, "topic": topic, "total": _TOTAL, "producer": {"producer_name": fresh_name("p")}}
            program.tell(json.dumps(order))
            sendings[runtime.name] = Sending(program, topic)
        for sending in sendings.values():
            sending.program.wait_for("open")
        for sending in sendings.values():
            sending.program.tell("go")
        _tell(story, cluster, sendings)
        found = {}
        for name, sending in sendings.items():
            said = sending.program.wait_for("sent", _FINISH_SECONDS)
            sending.program.tell("end")
            sending.program.finish()
            store = cluster.call(lambda cluster, topic=sending.topic: stored.numbers(cluster.brokers[0], topic))
            found[name] = Outcome(said, store, ())
        assert cluster.call(lambda cluster: not any(broker.sessions for broker in cluster.brokers))
        return story, found


def _tell(story: Story, cluster: DevClusterThread, sendings: Mapping[str, Sending]) -> None:
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


def test_a_topic_that_moves_loses_nothing(runtime: str, outcomes: tuple[Story, dict[str, Outcome]]) -> None:
    story, found = outcomes
    expected = Round(story.name, reported=story.reported, deduplication=bool(story.settings.get("deduplication")))
    check(expected, found[runtime])


# Listener names


@pytest.fixture(scope="module")
def listeners() -> Iterator[Mapping[str, Program]]:
    """A broker that names an address of documentation, and by the listener `inside` its own under another name."""
    with (
        DevBrokerThread(proxy_through_service_url=False, advertised_url="pulsar://192.0.2.1:6650") as broker,
        SideBySide() as programs,
    ):
        broker.broker.advertised_listeners["inside"] = f"pulsar://localhost:{broker.port}"
        attempts = [
            {
                "name": name,
                "url": broker.url,
                "topic": fresh_name(name),
                "client": {"listener_name": name, "operation_timeout_seconds": seconds},
                "producer": {},
                "messages": 2,
            }
            for name, seconds in (("inside", 20), ("unheard-of", 1))
        ]
        found = {runtime.name: programs.start(runtime, "attempts", {"attempts": attempts}) for runtime in everyone()}
        for program in found.values():
            program.finish()
        yield found


def test_a_listener_s_address_is_used(runtime: str, listeners: Mapping[str, Program]) -> None:
    (done,) = listeners[runtime].of_kind("done")
    assert done["name"] == "inside" and len(done["result"][1]) == 2 and done["errors"] == []


def test_a_listener_that_is_unknown_is_told(runtime: str, listeners: Mapping[str, Program]) -> None:
    (refused,) = listeners[runtime].of_kind("refused")
    assert refused["name"] == "unheard-of" and refused["type"] == "Timeout"
    assert "do not have unheard-of listener" in refused["text"]
