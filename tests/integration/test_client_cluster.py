"""Topics live on one of several instances, move between them while messages are sent, and instances die."""

from collections.abc import Iterator, Mapping

import pytest

from tests.integration.cluster_stories import Outcome, Story, check_story, move, tell
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread

_NOWHERE = ("pulsar://127.0.0.1:1", "")
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


@pytest.fixture(scope="module", params=_BY_NAME)
def outcomes(request: pytest.FixtureRequest) -> tuple[Story, dict[str, Outcome]]:
    """A story, and what each interpreter said of it."""
    story = _BY_NAME[request.param]
    return story, tell(story)


def test_a_topic_that_moves_loses_nothing(runtime: str, outcomes: tuple[Story, dict[str, Outcome]]) -> None:
    story, found = outcomes
    check_story(story, found[runtime])


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
