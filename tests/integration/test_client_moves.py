"""Where a client goes when its topic moves, whom it asks, and what it tells of that, on every interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration import stored
from tests.integration.runs import Program, everyone, fresh_name
from tools.devbroker import DevBrokerThread, DevClusterThread
from tools.devbroker.faults import Fault

_COUNT = 5
_CONNECT_ERROR, _RESTORED = -6, -8
_BROKERS = 3

Start = Callable[..., Program]


@pytest.fixture
def start(runtime: str) -> Iterator[Start]:
    """Starts the program on this interpreter, with a topic; ended whatever happens."""
    started: list[Program] = []
    (found,) = [one for one in everyone() if one.name == runtime]

    def begin(url: str, topic: str, **client: Any) -> Program:
        program = Program(found, "moving", {"url": url, "topic": topic, "client": client})
        started.append(program)
        program.wait_for("open")
        return program

    yield begin
    for program in started:
        with program:
            pass


def _topic() -> str:
    return f"persistent://public/default/{fresh_name('moving')}"


def _look_ups(cluster: DevClusterThread) -> list[Fault]:
    """Faults that do nothing but count the answers to look-ups from now on."""
    return [cluster.fault(number, "delay", on="LOOKUP_RESPONSE", seconds=0) for number in range(_BROKERS)]


def _exchange(program: Program) -> list[list[Any]]:
    """Some messages go through the topic; what was told meanwhile."""
    program.tell(str(_COUNT))
    return program.wait_for("exchanged")["told"]


def _end(program: Program) -> dict[str, Any]:
    program.tell("end")
    said = program.wait_for("closed")
    program.finish()
    assert said["told"] == [] and said["states"][0] == "open" and said["states"][-1] == "closed"
    return said


def _check_told(told: list[list[Any]], topic: str, old: str, new: str, text: str) -> None:
    """Producer and consumer each told of one loss at the one broker, and of one recovery at the other."""
    losses = [one for one in told if one[0] != _RESTORED]
    ends = [one for one in told if one[0] == _RESTORED]
    assert len(losses) == len(ends) == 2, told
    for code, kind, broker, about, said in losses:
        assert (code, kind, broker, about) == (_CONNECT_ERROR, "ConnectError", old, topic) and text in said, told
    for _, kind, broker, about, said in ends:
        assert (kind, broker, about) == ("Restored", new, topic) and f"open again at {new} after" in said, told


def _address(url: str) -> str:
    return url.partition("://")[2]


def _numbers(cluster: DevClusterThread, topic: str) -> list[int]:
    return cluster.call(lambda cluster: [number for _, number in stored.numbers(cluster.brokers[0], topic)])


def test_the_named_broker_is_gone_to_without_a_look_up(start: Start) -> None:
    with DevClusterThread(_BROKERS) as cluster:
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.urls, topic)
        asked = _look_ups(cluster)
        cluster.move(topic, 2, assigned=True)
        told = _exchange(program)
        assert not any(fault.hits for fault in asked)
        _check_told(told, topic, _address(cluster.url(0)), _address(cluster.url(2)), "the topic moves")
        said = _end(program)
        assert said["states"] == ["open", "connecting", "open", "closing", "closed"]
        assert _numbers(cluster, topic) == list(range(3 + _COUNT))


def test_without_a_named_broker_it_is_looked_up(start: Start) -> None:
    with DevClusterThread(_BROKERS) as cluster:
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.urls, topic)
        asked = _look_ups(cluster)
        cluster.move(topic, 1)
        told = _exchange(program)
        assert sum(fault.hits for fault in asked) >= 2
        _check_told(told, topic, _address(cluster.url(0)), _address(cluster.url(1)), "the topic moves")
        _end(program)


def test_with_a_listener_name_the_named_broker_is_looked_up(start: Start) -> None:
    with DevClusterThread(_BROKERS) as cluster:
        for broker in cluster.cluster.brokers:
            broker.advertised_listeners["inside"] = broker.url
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.urls, topic, listener_name="inside")
        asked = _look_ups(cluster)
        cluster.move(topic, 1, assigned=True, assigned_urls=("pulsar://192.0.2.1:6650", ""))
        _exchange(program)
        assert sum(fault.hits for fault in asked) >= 2
        _end(program)


def test_behind_a_proxy_the_named_broker_is_reached_through_it(start: Start) -> None:
    with DevClusterThread(_BROKERS, proxy=True) as cluster:
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.proxy_url, topic)
        direct = [cluster.call(lambda cluster, n=number: len(cluster.brokers[n].sessions)) for number in range(3)]
        asked = _look_ups(cluster)
        cluster.move(topic, 1, assigned=True)
        told = _exchange(program)
        assert not any(fault.hits for fault in asked)
        assert [one[0] for one in told].count(_RESTORED) == 2 and sum(direct) > 0
        _end(program)


def test_a_named_broker_that_is_not_there_is_looked_up_after_all(start: Start) -> None:
    with DevClusterThread(_BROKERS) as cluster:
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.urls, topic)
        cluster.move(topic, 1, assigned=True, assigned_urls=("pulsar://127.0.0.1:1", ""))
        told = _exchange(program)
        assert any(one[2] == "127.0.0.1:1" and one[3] is None for one in told), told
        _end(program)


def test_a_topic_that_migrates_is_found_in_its_new_cluster(start: Start) -> None:
    with DevClusterThread(_BROKERS) as old, DevClusterThread(_BROKERS, lookup="redirect") as new:
        topic = _topic()
        new.prefer(topic, 1)
        program = start(old.urls, topic)
        old.migrate(topic, new.urls)
        told = _exchange(program)
        texts = [one[4] for one in told]
        assert sum("migrates to the cluster at" in text for text in texts) == 2
        assert [one[2] for one in told if one[0] == _RESTORED] == [_address(new.url(1))] * 2
        # It stays there, whatever becomes of the old one.
        for number in range(_BROKERS):
            old.kill(number)
        new.move(topic, 2)
        _exchange(program)
        new.kill(2)
        _exchange(program)
        assert _numbers(old, topic) == [0, 1, 2]
        assert _numbers(new, topic) == list(range(3, 3 + 3 * _COUNT))
        new.start(2)
        _end(program)


def test_a_topic_that_has_migrated_before_is_found_too(start: Start) -> None:
    with DevClusterThread(1) as old, DevBrokerThread() as new:
        topic = _topic()
        old.migrate(topic, new.url)
        program = start(old.urls, topic)
        _exchange(program)
        assert new.call(lambda broker: len(stored.numbers(broker, topic))) == 3 + _COUNT
        _end(program)


def test_a_broker_that_falls_silent_is_noticed_by_its_silence(start: Start) -> None:
    with DevClusterThread(2) as cluster:
        topic = _topic()
        cluster.prefer(topic, 0)
        program = start(cluster.urls, topic, keep_alive_seconds=1)
        cluster.fault(0, "silence")
        cluster.move(topic, 1)
        told = _exchange(program)
        assert any("silent for 1 s" in one[4] and one[2] == _address(cluster.url(0)) for one in told), told
        assert [one[2] for one in told if one[0] == _RESTORED] == [_address(cluster.url(1))] * 2
        cluster.clear_faults(0)
        _end(program)
