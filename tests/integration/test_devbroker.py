"""The development broker's own side: Apache's client on it, restarts, keep-alive, hostile peers, its command line."""

import asyncio
import collections.abc
import importlib
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.raw_client import Closed, RawClient, batch_entry, message_of, single_entry
from tools.devbroker import DevBroker, DevBrokerThread, DispatchLimits
from tools.devbroker.frames import ServerError, api, encode, new_command, type_name
from tools.pulsar_api import enum_values, message_class
from tools.tokens import KEY_BYTES, InvalidToken, mint, verify

TOPIC = "persistent://public/default/topic"
RECEIVE_MILLISECONDS = 10_000


@pytest.fixture
def broker() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker without tokens."""
    with DevBrokerThread() as running:
        yield running


@pytest.fixture
def pulsar() -> types.ModuleType:
    """The module of Apache's own Python client."""
    try:
        return importlib.import_module("pulsar")
    except ImportError:
        missing("the official client is not installed here (`pip install pulsar-client`)")


@pytest.fixture
def official(pulsar: types.ModuleType) -> collections.abc.Iterator[collections.abc.Callable[..., Any]]:
    """Makes clients of Apache's own, closed after the test."""
    clients = []

    def connect(url: str, token: str | None = None, seconds: int = 10) -> Any:
        authentication = None if token is None else pulsar.AuthenticationToken(token)
        quiet = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
        clients.append(pulsar.Client(url, authentication, operation_timeout_seconds=seconds, logger=quiet))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


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


# Apache's own client


@pytest.mark.parametrize("batching", [False, True])
@pytest.mark.parametrize("with_token", [False, True])
def test_official_client_sends_and_receives(
    pulsar: types.ModuleType, official: Any, batching: bool, with_token: bool
) -> None:
    key = secrets.token_bytes(KEY_BYTES) if with_token else None
    with DevBrokerThread(token_key=key) as broker:
        client = official(broker.url, mint("device", key, 600) if key else None)
        producer = client.create_producer("topic", batching_enabled=batching, batching_max_publish_delay_ms=1)
        consumer = client.subscribe("topic", "subscription", batch_index_ack_enabled=True)
        for number in range(50):
            producer.send_async(b"%d" % number, None, properties={"number": str(number)}, partition_key="key")
        producer.flush()
        received = [consumer.receive(RECEIVE_MILLISECONDS) for _ in range(50)]
        assert [message.data() for message in received] == [b"%d" % number for number in range(50)]
        assert received[7].properties() == {"number": "7"} and received[7].partition_key() == "key"
        for message in received:
            consumer.acknowledge(message)
        consumer.close()
        subscription = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"])
        entries = broker.call(lambda broker: len(broker.topics[TOPIC].entries))
        assert (entries == 50) is not batching
        broker.wait_until(lambda _: subscription.cursor.acknowledged_before == entries)


def test_official_client_with_a_bad_token_is_refused(
    pulsar: types.ModuleType, official: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with DevBrokerThread(token_key=secrets.token_bytes(KEY_BYTES)) as broker:
        client = official(broker.url, mint("device", secrets.token_bytes(KEY_BYTES)), seconds=1)
        # Apache's client keeps on asking until its time is over, with a real broker as well.
        with pytest.raises(pulsar.Timeout):
            client.create_producer("topic")
        assert broker.call(lambda broker: broker.topics) == {}
    assert any("InvalidSignatureError" in record.message for record in caplog.records)


def test_official_client_seeks_reads_and_unsubscribes(
    pulsar: types.ModuleType, official: Any, broker: DevBrokerThread
) -> None:
    client = official(broker.url)
    producer = client.create_producer("topic", batching_enabled=False)
    sent = [producer.send(b"%d" % number) for number in range(5)]
    consumer = client.subscribe("topic", "subscription", initial_position=pulsar.InitialPosition.Earliest)
    assert [consumer.receive(RECEIVE_MILLISECONDS).data() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    consumer.seek(sent[2])  # Apache's client goes on after the id it was given.
    assert consumer.receive(RECEIVE_MILLISECONDS).data() == b"3"
    consumer.redeliver_unacknowledged_messages()
    assert consumer.get_last_message_id() == sent[4]
    reader = client.create_reader("topic", sent[1])
    assert reader.read_next(RECEIVE_MILLISECONDS).data() == b"2"
    assert reader.has_message_available()
    consumer.unsubscribe()
    reader.close()
    broker.wait_until(lambda broker: not broker.topics[TOPIC].subscriptions)


def test_official_client_shares_a_subscription_and_rejects(
    pulsar: types.ModuleType, official: Any, broker: DevBrokerThread
) -> None:
    client = official(broker.url)
    consumers = [
        client.subscribe(
            "topic", "shared", consumer_type=pulsar.ConsumerType.Shared, negative_ack_redelivery_delay_ms=100
        )
        for _ in range(2)
    ]
    producer = client.create_producer("topic", batching_enabled=False)
    for number in range(4):
        producer.send(b"%d" % number)
    rejected = consumers[0].receive(RECEIVE_MILLISECONDS)
    consumers[0].negative_acknowledge(rejected)
    others = [consumers[0].receive(RECEIVE_MILLISECONDS)] + [
        consumers[1].receive(RECEIVE_MILLISECONDS) for _ in range(2)
    ]
    assert {message.data() for message in [rejected, *others]} == {b"0", b"1", b"2", b"3"}
    broker.wait_until(
        lambda broker: any(broker.topics[TOPIC].subscriptions["shared"].redelivery_counts.values())
    )


def test_official_client_carries_on_after_a_restart(official: Any, broker: DevBrokerThread) -> None:
    client = official(broker.url)
    producer = client.create_producer("topic")
    consumer = client.subscribe("topic", "subscription")
    producer.send(b"before")
    before = consumer.receive(RECEIVE_MILLISECONDS)
    consumer.acknowledge(before)
    broker.wait_until(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].cursor.acknowledged_before)
    broker.restart()
    producer.send(b"after")
    after = consumer.receive(RECEIVE_MILLISECONDS)
    assert after.data() == b"after"
    assert after.message_id().ledger_id() > before.message_id().ledger_id()


def test_hundred_thousand_messages_in_large_batches(official: Any, broker: DevBrokerThread) -> None:
    entry = batch_entry((b"x" * 100,) * 1000)
    with RawClient(broker.url) as sender:
        sender.open_producer(TOPIC)
        for number in range(100):
            sender.send_entry(entry, sequence_id=1000 * number, num_messages=1000)
        assert [sender.expect("SEND_RECEIPT").message_id.entryId for _ in range(100)] == list(range(100))
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 100_000
    with RawClient(broker.url) as receiver:
        receiver.subscribe(TOPIC, permits=100_000)
        assert all(frame.payload == entry for frame in receiver.messages(100))


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
        assert [list(message.ack_set) for message in messages] == [[], [0b10], []]
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


# Hostile and slow peers

_CONNECTED_FIRST = {
    "a short command": b"\0\0\0\x04\0\0\0\x09",
    "a frame of nothing": b"\0\0\0\0",
    "no command": b"\0\0\0\x06\0\0\0\x02\xff\xff",
    "a type without content": bytes.fromhex("00000006000000020812"),
    "an unknown type": bytes.fromhex("000000080000000408e3070a"),
    "a command for clients": bytes.fromhex("0000000b00000007080d6a03080100"),
}


@pytest.mark.parametrize("garbage", _CONNECTED_FIRST.values(), ids=_CONNECTED_FIRST)
def test_garbage_closes_its_own_link_only(
    broker: DevBrokerThread, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with RawClient(broker.url) as good, RawClient(broker.url) as bad:
        bad.socket.sendall(garbage)
        assert bad.wait_closed() == []
        good.round_trip()
    assert any("closing the link: " in record.message for record in caplog.records)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "entry", [b"", b"\x0e\x01\0", b"\xff\xff\xff\xff", b"\0\0\0\3\xff\xff\xff", b"\0\0\0\2\x08\x01"]
)
def test_entry_that_is_none_closes_the_link(broker: DevBrokerThread, entry: bytes) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        client.send_entry(entry)
        assert client.wait_closed() == []
    assert broker.call(lambda broker: broker.topics[TOPIC].entries) == []


def test_random_bytes_never_hurt_the_broker(broker: DevBrokerThread, caplog: pytest.LogCaptureFixture) -> None:
    generator = random.Random(20240501)
    frames = [
        single_entry(b"payload"),
        bytes.fromhex("00000026000000220802121e0a0e6d70795f70756c7361722d302e3120152a046e6f6e65520408011001"),
    ]
    for number in range(60):
        with RawClient(broker.url, connect=number % 2 == 0) as client:
            data = bytearray(generator.choice(frames) + generator.randbytes(generator.randrange(40)))
            for _ in range(generator.randrange(1, 4)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            client.socket.sendall(bytes(data))
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        assert client.publish(b"still here")[0].message_id.entryId == 0
    assert not any(record.exc_info for record in caplog.records)


def test_requests_not_supported_get_an_error(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        assert client.request("CONSUMER_STATS", consumer_id=1).error == ServerError.NotAllowedError


def test_peer_that_does_not_read_gets_no_more_than_its_buffer(broker: DevBrokerThread) -> None:
    with RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        entry = single_entry(b"x" * 1_000_000)
        for number in range(60):
            client.send_entry(entry, sequence_id=number)
            client.expect("SEND_RECEIPT")
        with RawClient(broker.url) as slow, RawClient(broker.url) as other:
            slow.subscribe(TOPIC, permits=60)
            broker.wait_until(lambda broker: not all(session.writable for session in broker.sessions))
            cursor = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].cursor)
            assert cursor.read_index < 30
            other.round_trip()
            assert all(frame.payload == entry for frame in slow.messages(60))


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


# Command line


@pytest.fixture
def command_line() -> collections.abc.Iterator[collections.abc.Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m tools.devbroker` on a free port."""
    processes = []
    root = Path(__file__).resolve().parents[2]

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tools.devbroker", *arguments]
        process = subprocess.Popen(
            command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_command_line_serves_restarts_and_ends(command_line: Any, tmp_path: Path) -> None:
    key = secrets.token_bytes(KEY_BYTES)
    (tmp_path / "key").write_bytes(key)
    process = command_line("--port", "0", "--token-key-file", str(tmp_path / "key"))
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()
    ready = process.stdout.readline()
    assert ready.startswith("ready pulsar://127.0.0.1:")
    url = ready.split()[1]
    with RawClient(url, mint("role", key)) as client:
        client.open_producer(TOPIC)
        client.publish(b"kept")
        process.send_signal(signal.SIGHUP)
        with pytest.raises(Closed):
            client.receive()
    assert process.stdout.readline() == ready
    with RawClient(url, mint("role", key)) as client:
        client.subscribe(TOPIC)
        assert client.payloads(1) == [b"kept"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "for development only" in process.stderr.read()
    watchdog.cancel()


def test_command_line_says_what_is_wrong(command_line: Any, broker: DevBrokerThread, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"short")
    for arguments, text in (
        (["--port", str(broker.port)], "cannot listen"),
        (["--token-key-file", str(tmp_path / "absent")], "cannot read the token key"),
        (["--token-key-file", str(tmp_path / "short")], "32 raw bytes"),
    ):
        process = command_line(*arguments)
        _output, error = process.communicate(timeout=20)
        assert process.returncode != 0
        assert text in error
        assert "Traceback" not in error
