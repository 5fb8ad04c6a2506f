"""The development broker's own side: the oracle's classes, restarts, what tests can look at, keep-alive, tokens."""

import asyncio
import secrets
import time

import pytest

from tests.integration.raw_client import RawClient, message_of
from tools.devbroker import DevBroker, DevBrokerThread, DispatchLimits
from tools.devbroker.frames import ServerError, api, encode, new_command, type_name
from tools.pulsar_api import enum_values, message_class
from tools.tokens import KEY_BYTES, InvalidToken, mint, verify

TOPIC = "persistent://public/default/topic"


# The oracle


def test_message_classes_follow_the_protocol() -> None:
    ping = new_command(api.BaseCommand.PING)
    assert encode(ping) == bytes.fromhex("00000009000000050812920100")
    connect = new_command(
        api.BaseCommand.CONNECT,
        client_version="mpy_pulsar-0.1",
        auth_method_name="none",
        protocol_version=21,
        feature_flags=api.FeatureFlags(supports_auth_refresh=False),
    )
    connect.connect.feature_flags.supports_auth_refresh = True
    decoded = message_class("BaseCommand").FromString(connect.SerializeToString())
    assert decoded.connect.feature_flags.HasField("supports_auth_refresh")
    assert not decoded.connect.HasField("auth_data")
    assert message_class("CommandProducer")().user_provided_producer_name is True
    assert api.ServerError.Name(16) == "ProducerBusy" and enum_values("CommandAck.AckType") == {
        "Individual": 0,
        "Cumulative": 1,
    }
    update = message_class("CommandWatchScalableTopicsUpdate")
    assert {field.name for field in update.DESCRIPTOR.oneofs_by_name["event"].fields} == {"snapshot", "diff"}
    with pytest.raises(KeyError, match="no message 'Absent'"):
        message_class("Absent")


# Restart and store


def test_restart_keeps_entries_and_acknowledgements_and_forgets_the_rest(broker: DevBrokerThread) -> None:
    port = broker.port
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        client.publish(b"0", b"1")
        client.publish_batch(b"a", b"b", first_sequence_id=2)
        client.subscribe(TOPIC, consumer_id=1)
        client.subscribe(TOPIC, consumer_id=2, subscription="reader", durable=False)
        first, _second, batch = [message_of(frame).message_id for frame in client.messages(3)]
        client.acknowledge(first, api.MessageIdData(ledgerId=batch.ledgerId, entryId=2, ack_set=[0b10], batch_size=2))
        broker.restart()
        client.wait_closed()
    assert broker.port == port
    assert broker.call(lambda broker: list(broker.topics[TOPIC].subscriptions)) == ["subscription"]
    with RawClient(broker.url) as client:
        refused = client.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=1)
        assert refused.error == ServerError.ServiceNotReady
        client.open_producer(TOPIC)
        receipt = client.publish(b"new", first_sequence_id=4)[0]
        assert receipt.message_id.ledgerId > first.ledgerId and receipt.message_id.entryId == 0
        client.subscribe(TOPIC)
        messages = [message_of(frame) for frame in client.messages(3)]
        assert [(message.message_id.ledgerId, message.message_id.entryId) for message in messages] == [
            (first.ledgerId, 1),
            (first.ledgerId, 2),
            (receipt.message_id.ledgerId, 0),
        ]
        # What of the batch was acknowledged a broker knows only in memory.
        assert [list(message.ack_set) for message in messages] == [[], [], []]
        old_and_new = client.acknowledge(messages[2].message_id, cumulative=True)
        assert not old_and_new.HasField("error")
    subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"])
    assert subscription.cursor.acknowledged_before == 4


def test_a_broker_that_is_down_refuses_connections() -> None:
    async def scenario() -> None:
        async with DevBroker() as broker:
            restart = asyncio.create_task(broker.restart(down_seconds=0.5))
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(broker.host, broker.port)
            await restart
            _reader, writer = await asyncio.open_connection(broker.host, broker.port)
            await broker.wait_until(lambda: broker.sessions)
            writer.close()
            await broker.wait_until(lambda: not broker.sessions)

    asyncio.run(scenario())


def test_entries_can_be_looked_at(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC, producer_name="name")
        client.publish(b"payload")
    entry = broker.call(lambda broker: broker.topics[TOPIC].entries[0])
    assert (entry.payload, entry.metadata.producer_name, entry.is_batch) == (b"payload", "raw", False)
    broker.wait_until(lambda broker: not broker.topics[TOPIC].producers)
    with pytest.raises(TimeoutError):
        broker.wait_until(lambda broker: len(broker.topics[TOPIC].entries) == 2, timeout_seconds=0.01)


def test_partition_index_comes_from_the_name(broker: DevBrokerThread) -> None:
    broker.call(lambda broker: broker.create_partitioned_topic("topic", 4))
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC + "-partition-3")
        client.publish(b"payload")
        client.subscribe(TOPIC + "-partition-3")
        assert message_of(client.messages(1)[0]).message_id.partition == 3


def test_precise_flow_control_looks_at_the_permits_after_every_entry() -> None:
    with (
        DevBrokerThread(dispatch_limits=DispatchLimits(precise_flow_control=True)) as broker,
        RawClient(broker.url) as client,
    ):
        client.open_producer(TOPIC)
        for first in (0, 2, 4):
            client.publish_batch(b"a", b"b", first_sequence_id=first)
        client.subscribe(TOPIC, permits=3)
        client.round_trip()
        assert len(client.waiting) == 2


def test_lookup_names_the_advertised_address() -> None:
    with (
        DevBrokerThread(advertised_url="pulsar://other:6650", proxy_through_service_url=False) as broker,
        RawClient(broker.url) as client,
    ):
        found = client.look_up(TOPIC)
        assert (found.brokerServiceUrl, found.proxy_through_service_url) == ("pulsar://other:6650", False)


# Keep-alive


def test_silent_peer_is_pinged_then_dropped() -> None:
    with DevBrokerThread(keep_alive_seconds=0.1) as broker, RawClient(broker.url) as client:
        client.answers_pings = False
        started = time.monotonic()
        client.wait_closed()
        assert time.monotonic() - started < 5


def test_peer_that_answers_pings_is_kept() -> None:
    with DevBrokerThread(keep_alive_seconds=0.4) as broker, RawClient(broker.url) as client:
        client.shows_pings = True
        for _ in range(3):
            assert type_name(client.receive().command) == "PING"
            client.send("PONG")


def test_peer_without_connect_is_dropped() -> None:
    with DevBrokerThread(keep_alive_seconds=0.1) as broker, RawClient(broker.url, connect=False) as client:
        assert client.wait_closed() == []


def test_name_of_a_dead_link_goes_to_the_newcomer() -> None:
    with (
        DevBrokerThread(liveness_check_seconds=0.1) as broker,
        RawClient(broker.url) as dead,
        RawClient(broker.url) as newcomer,
    ):
        dead.open_producer(TOPIC, producer_name="name")
        dead.subscribe(TOPIC)
        dead.round_trip()
        assert newcomer.open_producer(TOPIC, producer_name="name").producer_name == "name"
        assert newcomer.subscribe(TOPIC).DESCRIPTOR.name == "CommandSuccess"


# Tokens


def test_tokens() -> None:
    key = secrets.token_bytes(KEY_BYTES)
    assert verify(mint("role", key, 60, nbf=0), key) | {"exp": 0} == {"sub": "role", "exp": 0, "nbf": 0}
    for bad in (
        mint("role", key, -1),
        mint("role", secrets.token_bytes(KEY_BYTES)),
        mint(None, key),
        mint("", key),
        "rubbish",
        "",
        b"\xff\xfe",
    ):
        with pytest.raises(InvalidToken):
            verify(bad, key)
    with pytest.raises(ValueError, match="at least 32"):
        mint("role", b"short")
