"""pulsar+ssl:// from every interpreter: whom it trusts, whom it does not, and what it says then."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration import stored
from tests.integration.runs import Program, SideBySide, everyone, fresh_name
from tools.devbroker import DevBrokerThread
from tools.devbroker.tls import DevTls

_SECONDS = 3  # the operation timeout of what must fail; by then the reason has been met
_MESSAGES = 3
_LISTENER = {"listener_name": "local"}


class Brokers:
    """Development brokers that speak TLS. They name themselves localhost by the listener `local`."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.tls = DevTls()
        self.pem = folder / "authority.pem"
        self.der = folder / "authority.der"
        self.tls.write_authority(self.pem)
        self.der.write_bytes(ssl.PEM_cert_to_DER_cert(self.tls.authority_pem.decode()))
        self.both = self._start(self.tls)
        self.only = self._start(self.tls, plain=False)
        self.elsewhere = self._start(DevTls("other.example"))
        self.plain_answers = self._start(self.tls, faults=["misplace url=pulsar://127.0.0.1:1"])
        self.stranger = DevTls().authority_pem
        self.other_authority = self.elsewhere.broker.tls

    def _start(self, tls: DevTls, **settings: Any) -> DevBrokerThread:
        running = self._stack.enter_context(DevBrokerThread(tls=tls, proxy_through_service_url=False, **settings))
        broker = running.broker
        # Nobody can go to the plain one: who arrives has used the other.
        plain = "pulsar://192.0.2.1:6650" if broker.plain else ""
        broker.advertised_listeners["local"] = (plain, url_of(running))
        return running


def url_of(broker: DevBrokerThread) -> str:
    """The TLS listener by name, which a certificate's check on a board needs."""
    return broker.tls_url.replace("127.0.0.1", "localhost")


def attempts(brokers: Brokers) -> list[dict[str, Any]]:
    """What every interpreter tries."""
    pem, der = str(brokers.pem), str(brokers.der)
    both = url_of(brokers.both)

    def good(name: str, url: str, ca: bytes | None = None, **client: Any) -> dict[str, Any]:
        more = {} if ca is None else {"ca": ca.hex()}
        return _attempt(name, url, {**_LISTENER, **client}, messages=_MESSAGES, **more)

    def bad(name: str, url: str, ca: bytes | None = None, **client: Any) -> dict[str, Any]:
        return good(name, url, ca, operation_timeout_seconds=_SECONDS, **client)

    authority = brokers.tls.authority_pem
    assert brokers.other_authority
    return [
        good("pem_file", both, tls_trust_certs_file_path=pem),
        good("der_file", both, tls_trust_certs_file_path=der),
        good("pem_bytes", both, authority),
        good("der_bytes", both, brokers.der.read_bytes()),
        good("insecure", both, tls_allow_insecure_connection=True),
        good("forced", both, authority, force_tls=True),
        good("tls_only", url_of(brokers.only), authority),
        good("another_name_insecurely", url_of(brokers.elsewhere), tls_allow_insecure_connection=True),
        bad("stranger", both, brokers.stranger),
        bad("another_name", url_of(brokers.elsewhere), brokers.other_authority.authority_pem),
        bad("plain_answers", url_of(brokers.plain_answers), authority),
        bad("tls_to_a_plain_port", f"pulsar+ssl://localhost:{brokers.both.port}", authority),
        bad("plain_to_a_tls_port", f"pulsar://localhost:{brokers.both.broker.tls_port}"),
        bad("no_file", both, tls_trust_certs_file_path=pem + ".gone"),
        bad("no_certificate", both, b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"),
        bad("forced_and_plain", brokers.both.url, force_tls=True),
        bad("no_authority", both),
    ]  # fmt: skip


def _attempt(name: str, url: str, client: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "url": url, "topic": fresh_name(name), "client": dict(client), "producer": {}, **more}


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """The brokers."""
    with ExitStack() as stack:
        yield Brokers(stack, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def programs(brokers: Brokers) -> Iterator[Mapping[str, Program]]:
    """Every interpreter has tried everything, and no broker has a link left."""
    with SideBySide() as running:
        made = {
            runtime.name: running.start(runtime, "attempts", {"attempts": attempts(brokers)}) for runtime in everyone()
        }
        for program in made.values():
            program.finish()
        for broker in (brokers.both, brokers.only, brokers.elsewhere, brokers.plain_answers):
            broker.wait_until(lambda broker: not broker.sessions)
        yield made


def said(program: Program, kind: str, name: str) -> dict[str, Any]:
    """What it said of one attempt, which must have ended that way."""
    (record,) = [record for record in program.records if record.get("name") == name]
    assert record["kind"] == kind, record
    return record


@pytest.mark.parametrize(
    "name",
    ["pem_file", "der_file", "pem_bytes", "der_bytes", "insecure", "forced", "tls_only", "another_name_insecurely"],
)
def test_messages_pass(runtime: str, name: str, programs: Mapping[str, Program], brokers: Brokers) -> None:
    done = said(programs[runtime], "done", name)
    topic, ids = done["result"]
    assert len(ids) == _MESSAGES and done["errors"] == []
    broker = {"tls_only": brokers.only, "another_name_insecurely": brokers.elsewhere}.get(name, brokers.both)
    assert len(broker.call(lambda broker: stored.numbers(broker, topic))) == _MESSAGES


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stranger", ["certificate"]),
        ("another_name", ["certificate", "match"]),
        ("plain_answers", ["the broker's answer", "no pulsar+ssl:// address"]),
        ("tls_to_a_plain_port", ["use pulsar://"]),
        ("plain_to_a_tls_port", ["use pulsar+ssl://"]),
    ],
)
def test_what_is_wrong_is_said(
    runtime: str, name: str, words: Sequence[str], programs: Mapping[str, Program]
) -> None:
    refused = said(programs[runtime], "refused", name)
    assert refused["type"] == "Timeout" and all(word in refused["text"] for word in words), refused["text"]
    assert any(words[0] in error for error in refused["errors"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_file", "tls_trust_certs_file_path"),
        ("no_certificate", "tls_trust_certs_file_path"),
        ("forced_and_plain", "force_tls"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    runtime: str, name: str, words: str, programs: Mapping[str, Program]
) -> None:
    refused = said(programs[runtime], "refused", name)
    assert refused["type"] == "ValueError" and words in refused["text"]


def test_without_an_authority_the_system_s_are_asked_where_there_are_any(
    runtime: str, programs: Mapping[str, Program]
) -> None:
    refused = said(programs[runtime], "refused", "no_authority")
    if runtime == "twin":
        assert refused["type"] == "Timeout" and "certificate of localhost is refused" in refused["text"]
    else:
        assert refused["type"] == "ValueError" and "tls_trust_certs_file_path" in refused["text"]
