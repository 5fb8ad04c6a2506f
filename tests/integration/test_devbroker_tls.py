"""The development broker speaks TLS, and asks for fresh tokens."""

import asyncio
import collections.abc
import contextlib
import secrets
import ssl
import time
import types
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, RawClient
from tools.devbroker import DevBroker, DevBrokerThread, DevClusterThread, DevProxy
from tools.devbroker.frames import BaseCommand, ServerError, api, encode, new_command, type_name
from tools.devbroker.tls import DevTls
from tools.tokens import KEY_BYTES, mint

TOPIC = "persistent://public/default/topic"
REFRESHABLE = api.FeatureFlags(supports_auth_refresh=True)


@pytest.fixture(scope="module")
def tls() -> DevTls:
    """An authority and a server's certificate for this machine."""
    return DevTls()


@pytest.fixture
def broker(tls: DevTls) -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker with both listeners."""
    with DevBrokerThread(tls=tls) as running:
        yield running


def test_messages_pass_over_tls(broker: DevBrokerThread, tls: DevTls) -> None:
    assert broker.tls_url.startswith("pulsar+ssl://127.0.0.1:")
    with RawClient(broker.tls_url, tls=tls.client_context()) as client:
        client.open_producer(TOPIC)
        client.publish(b"x" * 1_000_000)
        client.subscribe(TOPIC)
        assert client.payloads(1) == [b"x" * 1_000_000]
    broker.wait_until(lambda broker: not broker.sessions)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(broker: DevBrokerThread, tls: DevTls, version: ssl.TLSVersion) -> None:
    context = tls.client_context()
    context.minimum_version = context.maximum_version = version
    with RawClient(broker.tls_url, tls=context) as client:
        client.round_trip()


def test_lookup_names_both_addresses_whichever_way_one_asks(broker: DevBrokerThread, tls: DevTls) -> None:
    for link in (RawClient(broker.url), RawClient(broker.tls_url, tls=tls.client_context())):
        with link as client:
            found = client.look_up(TOPIC)
            assert (found.brokerServiceUrl, found.brokerServiceUrlTls) == (broker.url, broker.tls_url)


def test_tls_only(tls: DevTls) -> None:
    with (
        DevBrokerThread(tls=tls, plain=False) as broker,
        RawClient(broker.url, tls=tls.client_context()) as client,
    ):
        found = client.look_up(TOPIC)
        assert not found.HasField("brokerServiceUrl") and found.brokerServiceUrlTls == broker.url == broker.tls_url
        broker.restart()
        client.wait_closed()
        RawClient(broker.url, tls=tls.client_context()).close()
    with pytest.raises(ValueError, match="plain listener"):
        DevBrokerThread(plain=False)


def test_advertised_tls_address(tls: DevTls) -> None:
    plain, safe = "pulsar://there:1", "pulsar+ssl://there:2"
    with (
        DevBrokerThread(tls=tls, advertised_url=plain, advertised_tls_url=safe) as broker,
        RawClient(broker.url) as client,
    ):
        found = client.look_up(TOPIC)
        assert (found.brokerServiceUrl, found.brokerServiceUrlTls) == (plain, safe)


def test_foreign_authority_and_wrong_name_fail_at_the_client(broker: DevBrokerThread) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer|self-signed"):
        RawClient(broker.tls_url, tls=DevTls().client_context())
    other = DevTls("other.example", rsa=True)
    with DevBrokerThread(tls=other) as wrong, pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        RawClient(wrong.tls_url, tls=other.client_context())


def test_each_listener_closes_what_speaks_the_other_way(broker: DevBrokerThread, tls: DevTls) -> None:
    with RawClient(broker.tls_url, connect=False) as plain:
        plain.socket.sendall(encode(new_command(BaseCommand.CONNECT, client_version="raw")))
        with contextlib.suppress(ConnectionResetError):
            while plain.socket.recv(4096):
                pass
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        RawClient(broker.url, tls=tls.client_context())
    with RawClient(broker.url) as client:
        client.round_trip()


def test_faults_strike_over_tls(broker: DevBrokerThread, tls: DevTls) -> None:
    with RawClient(broker.tls_url, tls=tls.client_context()) as client:
        broker.fault("dribble", size=1, ms=0.1)
        client.round_trip()
        broker.clear_faults()
        broker.fault("cut", sent=5)
        client.send("PING")
        assert client.socket.recv(4096) == encode(new_command(BaseCommand.PONG))[:5]
        assert client.wait_closed() == []
        broker.fault("cut", on="CONNECT", rst=True)
        with RawClient(broker.tls_url, connect=False, tls=tls.client_context()) as another:
            another.send("CONNECT", client_version="raw")
            assert another.wait_closed() == []


def test_official_client_speaks_tls(
    apache: types.ModuleType, broker: DevBrokerThread, tls: DevTls, tmp_path: Path
) -> None:
    tls.write_authority(tmp_path / "authority.pem")
    client = apache.Client(
        broker.tls_url,
        tls_trust_certs_file_path=str(tmp_path / "authority.pem"),
        tls_validate_hostname=True,
        logger=apache.ConsoleLogger(apache.LoggerLevel.Error),
    )
    with contextlib.closing(client):
        consumer = client.subscribe(TOPIC, "subscription")
        client.create_producer(TOPIC).send(b"payload")
        assert consumer.receive(10_000).data() == b"payload"


def test_moves_name_the_tls_address_too(tls: DevTls) -> None:
    with DevClusterThread(2, tls=tls) as cluster:
        cluster.prefer("topic", 0)
        with RawClient(cluster.url(0)) as client:
            client.open_producer(TOPIC)
            cluster.move("topic", 1, assigned=True)
            closed = client.expect("CLOSE_PRODUCER")
            urls = cluster.call(lambda cluster: cluster.brokers[1].urls())
            assert (closed.assignedBrokerServiceUrl, closed.assignedBrokerServiceUrlTls) == urls


def test_a_proxy_that_speaks_tls(tls: DevTls) -> None:
    async def scenario() -> None:
        async with DevBroker() as broker, DevProxy([broker], tls=tls) as proxy:
            await asyncio.to_thread(look_up, proxy.url)

    def look_up(url: str) -> None:
        with RawClient(url, tls=tls.client_context()) as client:
            found = client.look_up(TOPIC)
            assert found.brokerServiceUrlTls == found.brokerServiceUrl and found.proxy_through_service_url

    asyncio.run(scenario())


def test_command_line_speaks_tls_and_writes_the_authority(dev_program: Any, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    program = dev_program("--tls", str(authority))
    context = ssl.create_default_context(cafile=str(authority))
    with RawClient(program.address("ready", place=2), tls=context) as client:
        found = client.look_up(TOPIC)
        assert [found.brokerServiceUrl, found.brokerServiceUrlTls] == program.lines[-1][1:]
    program = dev_program("--tls", str(authority), "--tls-only", "--tls-name", "other.example")
    assert program.address("ready").startswith("pulsar+ssl://") and len(program.lines[-1]) == 2
    context = ssl.create_default_context(cafile=str(authority))
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        RawClient(program.address("ready"), tls=context)


# Fresh tokens


KEY = secrets.token_bytes(KEY_BYTES)
_TICK = 2.1
"""Seconds: far enough apart that a slow test is still in time with its answers."""


@pytest.fixture
def refreshing() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker that looks at tokens ten times a second."""
    with DevBrokerThread(token_key=KEY, authentication_refresh_seconds=0.1) as running:
        yield running


def soon_expired(role: str = "role") -> str:
    """A token that is good for one more second, or two."""
    return mint(role, KEY, 2)


def answer(client: RawClient, token: str, method: str = "token") -> None:
    """AUTH_RESPONSE."""
    response = api.AuthData(auth_method_name=method, auth_data=token.encode())
    client.send("AUTH_RESPONSE", client_version="raw", protocol_version=21, response=response)


def connect_refreshable(broker: DevBrokerThread, token: str) -> RawClient:
    """A link whose client can refresh."""
    client = RawClient(broker.url, connect=False)
    client.connect(token, feature_flags=REFRESHABLE)
    return client


def test_a_fresh_token_keeps_the_link_and_what_is_on_it() -> None:
    with DevBrokerThread(token_key=KEY, authentication_refresh_seconds=_TICK) as broker:
        with connect_refreshable(broker, soon_expired()) as client:
            client.open_producer(TOPIC)
            challenge = client.expect("AUTH_CHALLENGE").challenge
            assert (challenge.auth_method_name, challenge.auth_data) == ("token", b"PulsarAuthRefresh")
            client.publish(b"between challenge and answer")
            answer(client, soon_expired())
            client.publish(b"after it")
            client.expect("AUTH_CHALLENGE")
            answer(client, mint("role", KEY))
            client.round_trip()
            answer(client, "an answer that nobody asked for")
            client.publish(b"payload")
            assert not client.waiting


def test_no_answer_closes_the_link_without_a_word(refreshing: DevBrokerThread) -> None:
    with connect_refreshable(refreshing, soon_expired()) as client:
        assert client.wait_closed() == ["AUTH_CHALLENGE"]


def test_a_bad_token_in_the_answer_is_an_error_and_another_role_closes_without_a_word() -> None:
    with (
        DevBrokerThread(token_key=KEY, authentication_refresh_seconds=_TICK) as broker,
        contextlib.ExitStack() as links,
    ):
        clients = [links.enter_context(connect_refreshable(broker, soon_expired())) for _ in range(4)]
        for client in clients:
            client.expect("AUTH_CHALLENGE")
        *refused, other_role = clients
        for client, token in zip(
            refused, (mint("role", KEY, -1), "rubbish", mint("role", secrets.token_bytes(KEY_BYTES))), strict=True
        ):
            answer(client, token)
            error = client.expect("ERROR")
            assert (error.error, error.request_id) == (ServerError.AuthenticationError, NO_ID)
            assert error.message == "Failed to authenticate"
            assert client.wait_closed() == []
        answer(other_role, mint("another", KEY))
        assert other_role.wait_closed() == []


def test_a_client_that_cannot_refresh_is_closed(refreshing: DevBrokerThread) -> None:
    with RawClient(refreshing.url, soon_expired()) as client:
        client.round_trip()
        assert client.wait_closed() == []


def test_a_token_without_expiry_is_never_challenged(refreshing: DevBrokerThread) -> None:
    with RawClient(refreshing.url, mint("role", KEY)) as client, RawClient(refreshing.url, soon_expired()) as other:
        assert other.wait_closed() == [], "by now there were ticks enough"
        client.round_trip()
        assert not client.waiting


def test_command_line_refreshes_tokens(dev_program: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    program = dev_program("--token-key-file", str(tmp_path / "key"), "--token-refresh-seconds", "0.1")
    with RawClient(program.address("ready"), connect=False) as client:
        client.connect(soon_expired(), feature_flags=REFRESHABLE)
        deadline = time.monotonic() + 10
        while (kind := type_name(client.receive().command)) != "AUTH_CHALLENGE":
            assert time.monotonic() < deadline, kind
