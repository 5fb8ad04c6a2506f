"""The development proxy: what it answers itself, what it passes on, and what it drops."""

import collections.abc
import secrets
import types
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, RawClient
from tools.devbroker import DevBrokerThread, DevClusterThread, DevProxy
from tools.devbroker.frames import BaseCommand, ServerError, api, encode, new_command
from tools.devbroker.tls import DevTls
from tools.tokens import KEY_BYTES, mint

TOPIC = "persistent://public/default/topic"
CONNECT = api.CommandLookupTopicResponse.Connect
FAILED = api.CommandLookupTopicResponse.Failed


@pytest.fixture
def broker() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker behind a proxy."""
    with DevBrokerThread(proxy=True, proxy_through_service_url=False) as running:
        yield running


def target(url: str) -> str:
    """What proxy_to_broker_url has to be."""
    return url.removeprefix("pulsar://")


def test_the_proxy_answers_connect_itself_and_finds_topics(broker: DevBrokerThread) -> None:
    with RawClient(broker.proxy_url, connect=False) as client:
        connected = client.connect()
        assert not connected.HasField("max_message_size") and connected.protocol_version == 21
        found = client.look_up(TOPIC)
        assert (found.response, found.brokerServiceUrl) == (CONNECT, broker.url)
        assert found.proxy_through_service_url and found.brokerServiceUrlTls == broker.url
        metadata = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=TOPIC)
        assert metadata.partitions == 0 and not metadata.HasField("error")
        client.round_trip()
        refused = client.look_up("not/a-topic")
        assert (refused.response, refused.error) == (FAILED, ServerError.InvalidTopicName)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("PRODUCER", {"topic": TOPIC, "producer_id": 1}),
        ("SUBSCRIBE", {"topic": TOPIC, "consumer_id": 1, "subscription": "s", "subType": 0}),
    ],
)
def test_what_is_for_a_broker_closes_a_link_for_lookups(
    broker: DevBrokerThread, kind: str, fields: dict[str, Any]
) -> None:
    with RawClient(broker.proxy_url) as client:
        client.look_up(TOPIC)
        client.send(kind, request_id=7, **fields)
        assert client.wait_closed() == []


def test_a_link_to_a_broker_is_passed_on(broker: DevBrokerThread) -> None:
    with RawClient(broker.proxy_url) as finder:
        found = finder.look_up(TOPIC)
    with RawClient(broker.proxy_url, connect=False) as client:
        connected = client.connect(proxy_to_broker_url=target(found.brokerServiceUrl))
        assert connected.max_message_size == 5 * 1024 * 1024
        assert client.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=1).producer_name
        client.publish(b"x" * 1_000_000, b"small")
        client.subscribe(TOPIC)
        assert client.payloads(2) == [b"x" * 1_000_000, b"small"]
    broker.wait_until(lambda broker: not broker.sessions)


def test_what_follows_connect_before_connected_is_dropped(broker: DevBrokerThread) -> None:
    with RawClient(broker.proxy_url, connect=False) as client:
        early = new_command(BaseCommand.LOOKUP, request_id=1, topic=TOPIC)
        connect = new_command(
            BaseCommand.CONNECT, client_version="raw", protocol_version=21, proxy_to_broker_url=target(broker.url)
        )
        client.socket.sendall(encode(connect) + encode(early))
        client.expect("CONNECTED")
        client.send("LOOKUP", request_id=2, topic=TOPIC)
        assert client.expect("LOOKUP_RESPONSE").request_id == 2
        client.round_trip()
        assert not client.waiting


def test_a_broker_of_somebody_elses_is_refused(broker: DevBrokerThread) -> None:
    with RawClient(broker.proxy_url, connect=False) as client:
        refused = client.connect(proxy_to_broker_url="127.0.0.1:1")
        assert (refused.error, refused.request_id) == (ServerError.ServiceNotReady, NO_ID)
        assert client.wait_closed() == []


def test_links_end_together(broker: DevBrokerThread) -> None:
    with RawClient(broker.proxy_url, connect=False) as client:
        client.connect(proxy_to_broker_url=target(broker.url))
        broker.fault("cut")
        assert client.wait_closed() == []
    broker.fault("silence")
    with RawClient(broker.proxy_url, connect=False) as client:
        client.send("CONNECT", client_version="raw", proxy_to_broker_url=target(broker.url))
        broker.wait_until(lambda broker: broker.sessions)
    broker.wait_until(lambda broker: not broker.sessions)


def test_a_dead_broker_closes_the_link_and_fails_lookups() -> None:
    with DevClusterThread(2, proxy=True) as cluster:
        cluster.prefer("topic", 0)
        dead = target(cluster.url(0))
        cluster.kill(0)
        with RawClient(cluster.proxy_url, connect=False) as client:
            client.send("CONNECT", client_version="raw", proxy_to_broker_url=dead)
            assert client.wait_closed() == []
        with RawClient(cluster.proxy_url) as client:
            assert client.look_up(TOPIC).brokerServiceUrl == cluster.url(1)
            cluster.kill(1)
            refused = client.look_up(TOPIC)
            assert (refused.response, refused.error) == (FAILED, ServerError.ServiceNotReady)
            client.round_trip()


def test_the_proxy_follows_redirects_itself() -> None:
    with DevClusterThread(2, lookup="always_redirect", proxy=True) as cluster:
        cluster.prefer("topic", 1)
        with RawClient(cluster.proxy_url) as client:
            for _ in range(2):
                found = client.look_up(TOPIC)
                assert (found.response, found.brokerServiceUrl) == (CONNECT, cluster.url(1))
            cluster.fault(0, "redirect")
            assert "too many redirects" in client.look_up(TOPIC).message


def test_credentials_are_passed_on() -> None:
    key = secrets.token_bytes(KEY_BYTES)
    with DevBrokerThread(token_key=key, proxy=True) as broker:
        with RawClient(broker.proxy_url, mint("role", key)) as client:
            assert client.look_up(TOPIC).response == CONNECT
        with RawClient(broker.proxy_url, "wrong") as client:
            assert client.look_up(TOPIC).message == "Failed to authenticate"
        with RawClient(broker.proxy_url, connect=False) as client:
            refused = client.connect("wrong", proxy_to_broker_url=target(broker.url))
            assert refused.error == ServerError.AuthenticationError
            assert client.wait_closed() == []


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\0", encode(new_command(BaseCommand.PING))])
def test_garbage_and_haste_close_their_link_only(broker: DevBrokerThread, data: bytes) -> None:
    with RawClient(broker.proxy_url) as good, RawClient(broker.proxy_url, connect=False) as bad:
        bad.socket.sendall(data)
        assert bad.wait_closed() == []
        good.round_trip()


def test_a_proxy_needs_plain_listeners() -> None:
    with DevBrokerThread(tls=DevTls(), plain=False) as broker, pytest.raises(ValueError, match="plain listeners"):
        DevProxy([broker.broker])


def test_official_client_produces_and_consumes_through_the_proxy(
    apache: types.ModuleType, apache_client: Any, broker: DevBrokerThread
) -> None:
    client = apache_client(broker.proxy_url)
    producer = client.create_producer(TOPIC)
    consumer = client.subscribe(TOPIC, "subscription", initial_position=apache.InitialPosition.Earliest)
    producer.send(b"payload")
    assert consumer.receive(10_000).data() == b"payload"


def test_command_line_runs_a_proxy(dev_program: Any) -> None:
    program = dev_program("--proxy-port", "0")
    with RawClient(program.address("proxy"), connect=False) as client:
        assert not client.connect().HasField("max_message_size")
        found = client.look_up(TOPIC)
        assert found.brokerServiceUrl == program.address("ready") and found.proxy_through_service_url
        client.send("PRODUCER", request_id=7, topic=TOPIC, producer_id=1)
        assert client.wait_closed() == []
