"""What can never be opened ends in time, with an error that says why, and leaves nothing behind."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread

_TIMEOUT = 2  # seconds, the client's operation timeout
_LATE = 20  # a machine that is busy may take so much longer


@dataclass(frozen=True)
class Case:
    """A broker with a fault for ever, and the error that ends an opening there: class and parts of its text."""

    name: str
    fault: str
    kind: str
    text: str
    reported: str = ""
    """Part of an error that belongs to no call."""


CASES = [
    Case("redirects_without_end", "redirect", "Timeout", "redirects, the brokers disagree", "the brokers disagree"),
    Case("always_somewhere_else", "misplace", "Timeout", "link to 127.0.0.1", "link to 127.0.0.1"),
    Case("never_connected", "swallow on=CONNECT", "Timeout", "took longer than 2000 ms"),
    Case("never_looked_up", "swallow on=LOOKUP", "Timeout", "took longer than 2000 ms"),
    Case("never_counted", "swallow on=PARTITIONED_METADATA", "Timeout", "took longer than 2000 ms"),
    Case("never_opened", "swallow on=PRODUCER", "Timeout", "took longer than 2000 ms"),
    Case("silence", "silence", "Timeout", "took longer than 2000 ms"),
    Case("nobody_listens", "refuse", "Timeout", "link to 127.0.0.1", "link to 127.0.0.1"),
    Case("reset", "reset", "Timeout", "link to 127.0.0.1", "link to 127.0.0.1"),
    Case("cut", "cut on=CONNECT", "Timeout", "link to 127.0.0.1", "link to 127.0.0.1"),
    Case("garbage_for_connected", "garbage on=CONNECTED", "Timeout", "link to 127.0.0.1", "link to"),
    Case("garbage_for_a_look_up", "garbage on=LOOKUP_RESPONSE", "Timeout", "link to 127.0.0.1", "link to"),
    Case("too_large", "oversize on=CONNECTED", "Timeout", "length above 2^28", "length above 2^28"),
    Case("text", "garbage hex=485454502f312e3120343030204261640d0a on=CONNECTED", "Timeout", "link to 127.0.0.1"),
    Case("a_look_up_for_somebody_else", "wrong_id on=LOOKUP_RESPONSE", "Timeout", "took longer than 2000 ms"),
    Case("an_opening_for_somebody_else", "wrong_id on=PRODUCER_SUCCESS shift=9", "Timeout", "took longer than 2000"),
    Case("never_ready", "error on=PRODUCER code=ServiceNotReady", "Timeout", "the broker answered 6"),
    Case("never_ready_to_look_up", "error on=LOOKUP code=ServiceNotReady", "Timeout", "the broker answered 6"),
    Case("never_ready_to_connect", "error on=CONNECT code=ServiceNotReady", "Timeout", "the broker answered 6"),
    Case("not_authenticated", "error on=CONNECT code=AuthenticationError", "AuthenticationError", "check the token"),
    Case("not_authorized", "error on=PRODUCER code=AuthorizationError", "PulsarError", "opening of persistent://"),
    Case("no_such_topic", "error on=LOOKUP code=TopicNotFound text=gone", "PulsarError", "(gone)"),
    Case("no_such_namespace", "error on=PARTITIONED_METADATA code=TopicNotFound", "PulsarError", "partition look-up"),
    Case("ended", "error on=PRODUCER code=TopicTerminatedError", "PulsarError", "the broker answered 15"),
]
_BY_NAME = {case.name: case for case in CASES}
_CODES = {"ended": 15, "no_such_topic": 11, "no_such_namespace": 11, "not_authorized": 4, "not_authenticated": 3}


@pytest.fixture(scope="module")
def programs() -> Iterator[Mapping[str, Program]]:
    """Every interpreter tries all of them at once; a broker for each case."""
    with SideBySide() as running, ExitStack() as stack:
        brokers = {
            case.name: stack.enter_context(DevBrokerThread(proxy_through_service_url=False, faults=[case.fault]))
            for case in CASES
        }
        made = {}
        for runtime in everyone():
            attempts: list[dict[str, Any]] = [
                {
                    "name": case.name,
                    "url": brokers[case.name].url,
                    "topic": fresh_name("vain"),
                    "client": {"operation_timeout_seconds": _TIMEOUT},
                    "producer": {},
                }
                for case in CASES
            ]
            made[runtime.name] = running.start(runtime, "attempts", {"attempts": attempts})
        for program in made.values():
            program.finish()
        for broker in brokers.values():
            broker.wait_until(lambda broker: not broker.sessions)
        yield made


@pytest.mark.parametrize("name", _BY_NAME)
def test_an_opening_in_vain_ends_and_says_why(runtime: str, name: str, programs: Mapping[str, Program]) -> None:
    case = _BY_NAME[name]
    (said,) = [record for record in programs[runtime].of_kind("refused") if record["name"] == name]
    assert said["type"] == case.kind and case.text in said["text"], said["text"]
    assert said["code"] == (-2 if case.kind == "Timeout" else _CODES[name])
    assert not case.reported or any(case.reported in error for error in said["errors"]), said["errors"]
    assert said["seconds"] < _TIMEOUT + _LATE
