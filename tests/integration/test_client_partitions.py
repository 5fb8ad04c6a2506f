"""Partitioned topics, as far as the client knows them: a producer takes one partition, a consumer is told the names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.both_brokers import AUTO_PARTITIONS, PARTITIONING, Side
from tests.integration.runs import Program, SideBySide, everyone, fresh_name

_PARTITIONS = 3
_MESSAGES = 4
_NOT_ALLOWED = 22
_PRODUCERS = 16  # all on the same partition by chance: one run in fourteen million


@dataclass(frozen=True)
class Trial:
    """What an interpreter has tried at one broker; the topics' full names."""

    program: Program
    parent: str
    plain: str
    made_by_itself: str

    def done(self, name: str) -> list[Any]:
        """The topic's name and what came of an attempt, which must have succeeded without any error."""
        (said,) = [record for record in self.program.records if record.get("name") == name]
        assert said["kind"] == "done" and said["errors"] == [], said
        return said["result"]

    def refused(self, name: str) -> dict[str, Any]:
        """What an attempt was refused with."""
        (said,) = [record for record in self.program.records if record.get("name") == name]
        assert said["kind"] == "refused", said
        return said


def attempts(side: Side, parent: str, plain: str, made_by_itself: str) -> list[dict[str, Any]]:
    """What is tried, all at once."""
    produced = {
        "told": (parent, {"partition": 1}),
        "told_one_too_many": (parent, {"partition": _PARTITIONS}),
        "by_name": (f"{parent}-partition-2", {}),
        "plain": (plain, {}),
        "plain_and_said_so": (plain, {"partitioned": False}),
        "said_so_and_is_not": (parent, {"partitioned": False}),
        "made_by_itself": (made_by_itself, {}),
        **{f"any_{number}": (parent, {}) for number in range(_PRODUCERS)},
    }
    others: list[dict[str, Any]] = [
        {"name": "consumer", "topic": parent, "subscription": "s"},
        {"name": "consumer_by_name", "topic": f"{parent}-partition-0", "subscription": "s"},
        {"name": "names", "topic": parent, "partitions": True},
        {"name": "names_of_plain", "topic": plain, "partitions": True},
        {"name": "names_of_one", "topic": f"{parent}-partition-1", "partitions": True},
    ]
    for name, (topic, options) in produced.items():
        others.append({"name": name, "topic": topic, "producer": options, "messages": _MESSAGES})
    return [{"url": side.url, "token": side.token, **one} for one in others]


@pytest.fixture(scope="module", params=["development", pytest.param("real", marks=pytest.mark.real)])
def trials(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Trial]]:
    """Every interpreter at the one broker, then at the other."""
    side: Side = request.getfixturevalue(f"{request.param}_side")
    with SideBySide() as running:
        made = {}
        for runtime in everyone():
            parent, plain = (f"persistent://public/default/{fresh_name(kind)}" for kind in ("parent", "plain"))
            made_by_itself = f"persistent://{PARTITIONING}/{fresh_name('made')}"
            side.create_partitioned_topic(parent, _PARTITIONS)
            tried = attempts(side, parent, plain, made_by_itself)
            program = running.start(runtime, "attempts", {"attempts": tried})
            made[runtime.name] = Trial(program, parent, plain, made_by_itself)
        for trial in made.values():
            trial.program.finish()
        yield made


def test_a_producer_takes_one_partition_and_keeps_it(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    taken = set()
    for number in range(_PRODUCERS):
        topic, ids = trial.done(f"any_{number}")
        (partition,) = {partition for _, _, partition in ids}
        assert topic == f"{trial.parent}-partition-{partition}" and len(ids) == _MESSAGES
        taken.add(partition)
    assert taken <= set(range(_PARTITIONS)) and len(taken) > 1


def test_a_producer_takes_the_partition_it_is_told(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    for name, partition in (("told", 1), ("by_name", 2)):
        topic, ids = trial.done(name)
        assert topic == f"{trial.parent}-partition-{partition}"
        assert {one for _, _, one in ids} == {partition} and len(ids) == _MESSAGES


def test_a_partition_that_is_not_there_is_refused_with_the_names(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    text = trial.refused("told_one_too_many")["text"]
    assert f"{_PARTITIONS} partitions" in text and f"{trial.parent}-partition-{_PARTITIONS - 1}" in text


def test_a_consumer_is_told_the_partitions_names(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    text = trial.refused("consumer")["text"]
    assert f"{_PARTITIONS} partitions" in text and f"{trial.parent}-partition-{_PARTITIONS - 1}" in text
    assert trial.done("consumer_by_name")[0] == f"{trial.parent}-partition-0"


def test_a_topic_without_partitions_is_used_as_it_is(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    for name in ("plain", "plain_and_said_so"):
        topic, ids = trial.done(name)
        assert topic == trial.plain and [one for _, _, one in ids] == [-1] * _MESSAGES


def test_who_says_that_a_partitioned_topic_has_none_is_refused(runtime: str, trials: Mapping[str, Trial]) -> None:
    refused = trials[runtime].refused("said_so_and_is_not")
    assert refused["code"] == _NOT_ALLOWED and trials[runtime].parent in refused["text"]


def test_partitions_that_the_namespace_makes_by_itself_are_used(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    topic, ids = trial.done("made_by_itself")
    names = [f"{trial.made_by_itself}-partition-{number}" for number in range(AUTO_PARTITIONS)]
    assert topic in names and {one for _, _, one in ids} == {names.index(topic)}


def test_the_names_of_partitions_can_be_had(runtime: str, trials: Mapping[str, Trial]) -> None:
    trial = trials[runtime]
    names = [f"{trial.parent}-partition-{number}" for number in range(_PARTITIONS)]
    assert trial.done("names")[1] == names
    assert trial.done("names_of_plain")[1] == [trial.plain]
    assert trial.done("names_of_one")[1] == [names[1]]
