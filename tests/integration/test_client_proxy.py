"""The client through a proxy as Pulsar's own: how it finds brokers, goes on after losses, and passes credentials."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration import stored
from tests.integration.cluster_stories import Outcome, Story, check_story, move, tell
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread
from tools.tokens import KEY_BYTES, mint

_MESSAGES = 3
STORIES = [
    Story("moves", [move(1), move(2, assigned=True), move(0)], settings={"proxy": True, "lookup": "always_redirect"}),
    Story("kills", kills=[0, 1, 2], reported="link to 127.0.0.1", settings={"proxy": True}),
]
_BY_NAME = {story.name: story for story in STORIES}
# Early: PRODUCER leaves together with the look-up, which a proxy closes the link for.
CASES: dict[str, dict[str, Any]] = {
    "cold": {"producer": {}},
    "early": {"producer": {"partitioned": False}},
    "one_link": {"producer": {}, "client": {"max_links": 1}},
}


@dataclass
class Behind:
    """What was sent through the proxy of a broker that wants tokens, and of one that does not."""

    programs: Mapping[str, Program]
    brokers: Mapping[bool, DevBrokerThread]


def attempts(brokers: Mapping[bool, DevBrokerThread], key: bytes) -> list[dict[str, Any]]:
    """What one interpreter tries."""
    wrong = {
        "name": "wrong_token", "url": brokers[True].proxy_url, "topic": fresh_name("wrong"), "producer": {},
        "token": mint("app", secrets.token_bytes(KEY_BYTES)), "client": {"operation_timeout_seconds": 2},
    }  # fmt: skip
    return [wrong] + [
        {
            "name": f"{name}-{token}",
            "url": broker.proxy_url,
            "topic": fresh_name(name),
            "messages": _MESSAGES,
            **case,
            **({"token": mint("app", key)} if token else {}),
        }
        for name, case in CASES.items()
        for token, broker in brokers.items()
    ]


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    """Every interpreter has sent some messages in each way, with and without a token."""
    key = secrets.token_bytes(KEY_BYTES)
    with (
        DevBrokerThread(proxy=True) as open_to_all,
        DevBrokerThread(proxy=True, token_key=key) as guarded,
        SideBySide() as running,
    ):
        brokers = {False: open_to_all, True: guarded}
        programs = {
            runtime.name: running.start(runtime, "attempts", {"attempts": attempts(brokers, key)})
            for runtime in everyone()
        }
        for program in programs.values():
            program.finish()
        for broker in brokers.values():
            broker.wait_until(lambda broker: not broker.sessions)
        yield Behind(programs, brokers)


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_messages_pass_the_proxy(runtime: str, name: str, token: bool, behind: Behind) -> None:
    (done,) = [said for said in behind.programs[runtime].of_kind("done") if said["name"] == f"{name}-{token}"]
    topic, ids = done["result"]
    found = behind.brokers[token].call(lambda broker: stored.numbers(broker, topic))
    assert [number for _, number in found] == list(range(_MESSAGES)) and len(ids) == _MESSAGES
    if name == "early" and not token:
        # Before CONNECTED nobody knows that it is a proxy: one link is lost for it, which is not tried again.
        assert len(done["errors"]) == 1 and "closed by the broker" in done["errors"][0], done["errors"]
    else:
        assert done["errors"] == []


def test_a_token_that_the_broker_refuses_is_told(runtime: str, behind: Behind) -> None:
    (refused,) = behind.programs[runtime].of_kind("refused")
    assert refused["name"] == "wrong_token" and refused["type"] in ("AuthenticationError", "Timeout"), refused
    assert "Invalid token" in refused["text"] or "authenticat" in refused["text"], refused["text"]


@pytest.fixture(scope="module", params=_BY_NAME)
def outcomes(request: pytest.FixtureRequest) -> tuple[Story, dict[str, Outcome]]:
    """A story that happens behind a proxy, and what each interpreter said of it."""
    story = _BY_NAME[request.param]
    return story, tell(story)


def test_what_happens_behind_the_proxy_loses_nothing(
    runtime: str, outcomes: tuple[Story, dict[str, Outcome]]
) -> None:
    story, found = outcomes
    check_story(story, found[runtime])
