"""The development broker misbehaves on command: faults of links, and how faults are described."""

import collections.abc
import random
import socket
import time

import pytest

from tests.integration.raw_client import Closed, RawClient, single_entry
from tools.devbroker import DevBrokerThread, FaultError
from tools.devbroker.faults import KINDS, make
from tools.devbroker.frames import ProtocolViolation

TOPIC = "persistent://public/default/topic"


@pytest.fixture
def broker() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker without faults."""
    with DevBrokerThread() as running:
        yield running


@pytest.fixture
def client(broker: DevBrokerThread) -> collections.abc.Iterator[RawClient]:
    """A link to it."""
    with RawClient(broker.url) as link:
        yield link


def read_all(link: socket.socket) -> bytes:
    """What comes until the broker closes the link."""
    data = b""
    try:
        while piece := link.recv(4096):
            data += piece
    except ConnectionResetError:
        data += b"RST"
    return data


# Bytes and connections


def test_cut_after_bytes_sent_lets_just_those_through(broker: DevBrokerThread, client: RawClient) -> None:
    fault = broker.fault("cut", sent=20, times=1)
    client.send("PING")
    client.send("PING")
    assert len(read_all(client.socket)) == 20
    assert fault.hits == 1
    with RawClient(broker.url) as another:
        for _ in range(5):
            another.round_trip()


def test_cut_after_bytes_received_handles_what_was_whole(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    entry = single_entry(b"payload")
    broker.fault("cut", received=200, link=1)
    for sequence_id in range(10):
        try:
            client.send_entry(entry, sequence_id=sequence_id)
        except ConnectionError:
            break
    client.wait_closed()
    size = len(entry) + 8 + 10  # The frame's head and a command of two small ids.
    assert broker.call(lambda broker: len(broker.topics[TOPIC].entries)) in (200 // size, 200 // (size - 2))


def test_cut_at_a_command_and_at_an_answer(broker: DevBrokerThread) -> None:
    for on, stored in (("SEND", 0), ("SEND_RECEIPT", 1)):
        broker.fault("cut", on=on, times=1, topic="topic")
        with RawClient(broker.url) as client:
            client.open_producer(TOPIC)
            client.send_entry(single_entry(b"payload"))
            assert client.wait_closed() == []
        assert broker.call(lambda broker: len(broker.topics[TOPIC].entries)) == stored


def test_cut_at_once_with_a_reset_hits_the_link_it_is_aimed_at(broker: DevBrokerThread, client: RawClient) -> None:
    with RawClient(broker.url) as other:
        broker.fault("cut link=1 rst=yes")
        assert read_all(client.socket) == b"RST"
        other.round_trip()


def test_delay_holds_answers_back_in_their_order(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    fault = broker.fault("late_receipt", seconds=1000, times=1)
    for sequence_id in range(3):
        client.send_entry(single_entry(b"payload"), sequence_id=sequence_id)
    client.round_trip()
    assert not client.waiting
    broker.clear_faults()
    assert [client.expect("SEND_RECEIPT").sequence_id for _ in range(3)] == [0, 1, 2]
    assert fault.hits == 1
    broker.fault("late_receipt", seconds=0.1, times=1)
    started = time.monotonic()
    client.publish(b"payload")
    assert time.monotonic() - started >= 0.1
    broker.wait_until(lambda broker: not broker.faults.active)


def test_delay_of_everything_ends_when_it_is_cleared(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("delay", seconds=1000)
    client.send("PING")
    client.send("LOOKUP", request_id=1, topic=TOPIC)
    broker.wait_until(lambda broker: broker.faults.active[0].hits == 2)
    assert broker.clear_faults() == 1
    client.expect("PONG")
    assert not client.waiting
    client.expect("LOOKUP_RESPONSE")


def test_dribble_sends_small_pieces_and_loses_nothing(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.publish(b"x" * 300)
    broker.fault("dribble", size=7, ms=0.1)
    client.subscribe(TOPIC)
    assert client.payloads(1) == [b"x" * 300]


def test_dribbled_bytes_can_be_cut_in_the_middle(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("dribble", size=2, ms=0.1)
    broker.fault("cut", sent=5)
    client.send("PING")
    assert len(read_all(client.socket)) == 5


def test_silence_answers_nothing_and_never_closes() -> None:
    with DevBrokerThread(keep_alive_seconds=0.05) as broker, RawClient(broker.url) as client:
        fault = broker.fault("silence")
        with RawClient(broker.url, connect=False) as mute:
            client.send("PING")
            mute.send("CONNECT", client_version="raw")
            broker.wait_until(lambda _: fault.hits == 2)
            for link in (client, mute):
                link.socket.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    link.receive()
        broker.call(lambda broker: setattr(broker, "keep_alive_seconds", 30))
        broker.clear_faults("silence")
        client.socket.settimeout(15)
        client.round_trip()


def test_silence_can_lose_the_answers_only(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    broker.fault("silence handled=yes")
    client.send_entry(single_entry(b"payload"))
    broker.wait_until(lambda broker: len(broker.topics[TOPIC].entries) == 1)
    broker.clear_faults()
    client.round_trip()
    assert not client.waiting


def test_refused_connections_and_links_that_stay(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("refuse")
    with pytest.raises(ConnectionRefusedError):
        RawClient(broker.url)
    client.round_trip()
    broker.clear_faults()
    RawClient(broker.url).close()


def test_refusal_outlasts_a_restart_and_ends_by_itself(broker: DevBrokerThread) -> None:
    broker.fault("refuse")
    broker.restart()
    with pytest.raises(ConnectionRefusedError):
        RawClient(broker.url)
    broker.clear_faults()
    RawClient(broker.url).close()
    fault = broker.fault("refuse", lasting=0.1)
    assert fault.exhausted is False and fault.number == 2
    broker.wait_until(lambda broker: not broker.faults.active)
    broker.clear_faults()
    RawClient(broker.url).close()


def test_reset_counts_connections(broker: DevBrokerThread) -> None:
    broker.fault("reset", after=1, times=1)
    RawClient(broker.url).close()
    with pytest.raises((Closed, ConnectionError)):
        RawClient(broker.url)
    broker.wait_until(lambda broker: not broker.faults.active)
    RawClient(broker.url).close()


def test_oversize_frame_is_announced(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("oversize", size=1 << 20, on="PONG", times=1)
    client.send("PING")
    data = client.socket.recv(4096)
    assert data[:4] == (1 << 20).to_bytes(4, "big") and len(data) < 100
    with RawClient(broker.url) as filled:
        filled.shows_pings = True
        broker.fault("oversize", size=100_000, fill=True)
        assert len(filled.receive().payload) == 100_000 - 9
        filled.round_trip()


def test_garbage(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("garbage hex=00000001ff")
    with pytest.raises(ProtocolViolation):
        client.receive()
    with RawClient(broker.url) as other:
        broker.fault("garbage", size=5, seed=3, on="PONG")
        other.send("PING")
        assert other.socket.recv(4096)[:5] == random.Random(3).randbytes(5)


# Descriptions


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "no fault"),
        ("explode", "there are bad_checksum"),
        ("cut sent", "name=value"),
        ("cut sent=many", "sent=many"),
        ("cut speed=1", "no option 'speed'"),
        ("cut sent=1 received=1", "one of"),
        ("swallow", "needs on"),
        ("swallow on=NOTHING", "no command"),
        ("error on=SEND", "needs code"),
        ("error on=SEND code=Nothing", "no error 'Nothing'"),
        ("error on=FLOW code=MetadataError", "FLOW is never answered"),
        ("wrong_id on=PONG", "no field"),
        ("refuse times=1", "reset takes times"),
        ("dribble size=0", "1 or more"),
        ("cut rst=perhaps", "yes or no"),
        ("delay 'seconds", "no fault"),
    ],
)
def test_what_is_wrong_with_a_fault_is_said(spec: str, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        make(spec)


def test_a_fault_describes_itself_so_that_it_can_be_made_again() -> None:
    for spec in (
        "cut sent=20 rst=yes",
        "error on=SEND times=2 code=MetadataError text='two words'",
        "garbage hex=00ff",
        "delay topic=persistent://public/default/topic seconds=0.5",
    ):
        assert str(make(str(make(spec)))) == str(make(spec))
        assert set(str(make(spec)).split()) == set(spec.split())
    assert len(KINDS) >= 18
