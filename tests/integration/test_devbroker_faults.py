"""The development broker misbehaves on command: every kind of fault, the control port and the command line."""

import collections.abc
import socket
import time
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, Closed, RawClient, message_of, single_entry
from tools.devbroker import Control, DevBrokerThread, FaultError
from tools.devbroker.control import CommandError
from tools.devbroker.faults import KINDS, make
from tools.devbroker.frames import ProtocolViolation, ServerError, api, checksum_matches, split_entry

TOPIC = "persistent://public/default/topic"
OTHER = "persistent://public/default/other"


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
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
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
    broker.fault("refuse", lasting=0.1)
    with pytest.raises(ConnectionRefusedError):
        RawClient(broker.url)
    broker.wait_until(lambda broker: not broker.faults.active)
    broker.clear_faults()
    RawClient(broker.url).close()


def test_reset_counts_connections(broker: DevBrokerThread) -> None:
    broker.fault("reset", after=1, times=1)
    RawClient(broker.url).close()
    with RawClient(broker.url, connect=False) as unlucky:
        assert read_all(unlucky.socket) == b"RST"
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
        assert other.socket.recv(4096)[:5] == make("garbage", size=5, seed=3).bytes()


# Commands


ANSWERS = {
    "LOOKUP": "LOOKUP_RESPONSE",
    "PARTITIONED_METADATA": "PARTITIONED_METADATA_RESPONSE",
    "PRODUCER": "ERROR",
    "GET_TOPICS_OF_NAMESPACE": "ERROR",
}


@pytest.mark.parametrize(("request_kind", "answer"), ANSWERS.items())
def test_error_in_the_form_the_request_wants(
    broker: DevBrokerThread, client: RawClient, request_kind: str, answer: str
) -> None:
    broker.fault(f"error on={request_kind} code=PersistenceError text='not now' times=1")
    fields: dict[str, Any] = {"topic": TOPIC}
    if request_kind == "PRODUCER":
        fields["producer_id"] = 1
    elif request_kind == "GET_TOPICS_OF_NAMESPACE":
        fields = {"namespace": "public/default"}
    refused = client.request(request_kind, answer, **fields)
    assert (refused.error, refused.message) == (ServerError.PersistenceError, "not now")
    assert client.look_up(TOPIC).brokerServiceUrl == broker.url


def test_error_for_send_ack_and_connect(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    broker.fault("error", on="SEND", code="TopicTerminatedError", after=1, times=1)
    client.send_entry(single_entry(b"0"), sequence_id=0)
    client.send_entry(single_entry(b"1"), sequence_id=1, highest_sequence_id=4)
    client.send_entry(single_entry(b"2"), sequence_id=5)
    assert client.expect("SEND_RECEIPT").sequence_id == 0
    error = client.expect("SEND_ERROR")
    assert (error.sequence_id, error.error, error.producer_id) == (4, ServerError.TopicTerminatedError, 1)
    assert client.expect("SEND_RECEIPT").sequence_id == 5
    first, second = client.messages(2)
    broker.fault("error", on="ACK", code=ServerError.MetadataError)
    assert client.acknowledge(message_of(first).message_id).error == ServerError.MetadataError
    client.send("ACK", consumer_id=1, ack_type=api.CommandAck.Individual, message_id=[message_of(second).message_id])
    client.round_trip()
    assert not client.waiting
    broker.fault("error", on="CONNECT", code="ServiceNotReady")
    with RawClient(broker.url, connect=False) as newcomer:
        refused = newcomer.connect()
        assert (refused.error, refused.request_id) == (ServerError.ServiceNotReady, NO_ID)
        assert newcomer.wait_closed() == []


def test_faults_aimed_at_one_topic_leave_others_alone(broker: DevBrokerThread, client: RawClient) -> None:
    for producer_id, topic in enumerate((TOPIC, OTHER)):
        client.open_producer(topic, producer_id=producer_id)
    broker.fault("swallow", on="SEND", topic=TOPIC)
    broker.fault("wrong_id", on="PRODUCER_SUCCESS", topic="other", shift=100)
    client.send_entry(single_entry(b"payload"), producer_id=0)
    client.send_entry(single_entry(b"payload"), producer_id=1)
    client.round_trip()
    assert [message.command.send_receipt.producer_id for message in client.waiting] == [1]
    client.waiting.clear()
    client.send("PRODUCER", request_id=50, producer_id=2, topic=TOPIC)
    client.send("PRODUCER", request_id=60, producer_id=3, topic=OTHER)
    assert [client.expect("PRODUCER_SUCCESS").request_id for _ in range(2)] == [50, 160]


def test_swallowed_acks_and_receipts(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    swallowed = broker.fault("swallow", on="SEND_RECEIPT", times=1)
    client.send_entry(single_entry(b"payload"))
    message = client.messages(1)[0]
    assert swallowed.hits == 1
    broker.fault("swallow", on="ACK")
    client.send("ACK", request_id=9, consumer_id=1, ack_type=0, message_id=[message_of(message).message_id])
    client.round_trip()
    assert not client.waiting
    cursor = broker.call(lambda broker: broker.topics[TOPIC].subscriptions["subscription"].cursor)
    assert cursor.acknowledged_before == 0


def test_sends_of_a_closed_producer_are_ignored(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    broker.fault("close_producer", url="pulsar://there:1", tls_url="pulsar+ssl://there:2")
    closed = client.expect("CLOSE_PRODUCER")
    assert (closed.producer_id, closed.request_id) == (1, NO_ID)
    assert closed.assignedBrokerServiceUrl == "pulsar://there:1"
    assert closed.assignedBrokerServiceUrlTls == "pulsar+ssl://there:2"
    client.send_entry(single_entry(b"ignored"))
    client.round_trip()
    assert not client.waiting
    client.open_producer(TOPIC, epoch=1)
    client.publish(b"stored")
    broker.fault("close_producer")
    assert not client.expect("CLOSE_PRODUCER").HasField("assignedBrokerServiceUrl")
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1


def test_sends_of_a_closed_producer_cost_the_link_after_one_keep_alive_interval() -> None:
    with DevBrokerThread(keep_alive_seconds=0.3) as broker, RawClient(broker.url) as client:
        client.open_producer(TOPIC)
        broker.fault("close_producer")
        client.expect("CLOSE_PRODUCER")
        client.shows_pings = True
        deadline = time.monotonic() + 10
        with pytest.raises(Closed):
            while time.monotonic() < deadline:
                client.send("PONG")
                client.send_entry(single_entry(b"too late"))
                client.receive()
        assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 0


def test_close_at_a_command(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.subscribe(TOPIC)
    broker.fault("close_producer", on="SEND", after=1, times=1)
    broker.fault("close_consumer", on="MESSAGE", times=1)
    for sequence_id in range(3):
        client.send_entry(single_entry(b"payload"), sequence_id=sequence_id)
    client.expect("CLOSE_PRODUCER")
    closed = client.expect("CLOSE_CONSUMER")
    assert closed.consumer_id == 1 and not closed.HasField("assignedBrokerServiceUrl")
    client.round_trip()
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1
    client.waiting.clear()
    client.subscribe(TOPIC)
    assert client.payloads(1) == [b"payload"]


def test_bad_checksum(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.publish(b"payload", b"payload")
    broker.fault("bad_checksum", times=1)
    client.subscribe(TOPIC)
    bad, good = (frame.payload for frame in client.messages(2))
    assert not checksum_matches(bad, split_entry(bad)) and checksum_matches(good, split_entry(good))
    assert bad[6 : 6 + 4] == good[6 : 6 + 4]


@pytest.mark.parametrize(("shift", "wrong"), [(1, 8), (-1, 6), (-8, 2**64 - 1)])
def test_receipt_with_a_wrong_sequence_id(broker: DevBrokerThread, client: RawClient, shift: int, wrong: int) -> None:
    client.open_producer(TOPIC)
    broker.fault("wrong_id", on="SEND_RECEIPT", shift=shift, times=1)
    assert client.publish(b"payload", first_sequence_id=7)[0].sequence_id == wrong
    assert client.publish(b"payload", first_sequence_id=8)[0].sequence_id == 8


def test_message_for_an_unknown_consumer(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC)
    client.publish(b"payload")
    broker.fault("wrong_id", on="MESSAGE", shift=1000, extra=True)
    client.subscribe(TOPIC)
    assert [message_of(frame).consumer_id for frame in client.messages(2)] == [1001, 1]


def test_failed_write_takes_back_what_was_pushed(broker: DevBrokerThread, client: RawClient) -> None:
    client.open_producer(TOPIC, producer_name="name")
    fault = broker.fault("failed_write", seconds=1000, times=1)
    client.send_entry(single_entry(b"payload"), sequence_id=5, highest_sequence_id=7)
    client.round_trip()
    client.send("CLOSE_PRODUCER", request_id=90, producer_id=1)
    client.expect("SUCCESS")
    reopened = client.open_producer(TOPIC, producer_name="name", epoch=1)
    assert reopened.last_sequence_id == 7
    client.send_entry(single_entry(b"payload"), sequence_id=5, highest_sequence_id=7)
    unknown = client.expect("SEND_ERROR")
    assert (unknown.sequence_id, unknown.error) == (7, ServerError.PersistenceError) and "duplicate" in unknown.message
    client.send_entry(single_entry(b"behind"), sequence_id=8)
    client.round_trip()
    assert broker.clear_faults() == 1
    assert client.expect("CLOSE_PRODUCER").producer_id == 1
    assert [client.expect("SEND_ERROR").sequence_id for _ in range(2)] == [7, 8]
    assert fault.hits == 1
    assert client.open_producer(TOPIC, producer_name="name", epoch=2).last_sequence_id == -1
    broker.fault("failed_write", closes=False, times=1)
    client.send_entry(single_entry(b"payload"), sequence_id=5)
    assert client.expect("SEND_ERROR").error == ServerError.PersistenceError
    assert client.publish(b"payload", first_sequence_id=5)[0].sequence_id == 5
    assert broker.call(lambda broker: broker.topics[TOPIC].message_count) == 1


def test_redirect_loop_and_a_place_that_refuses(broker: DevBrokerThread, client: RawClient) -> None:
    broker.fault("redirect authoritative=yes")
    for _ in range(3):
        answer = client.look_up(TOPIC)
        assert answer.response == api.CommandLookupTopicResponse.Redirect
        assert answer.brokerServiceUrl == broker.url and answer.authoritative
    broker.clear_faults()
    broker.fault("misplace")
    answer = client.look_up(TOPIC)
    assert answer.response == api.CommandLookupTopicResponse.Connect
    with pytest.raises(ConnectionRefusedError):
        RawClient(answer.brokerServiceUrl)


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


# The control port and the command line


def test_a_broker_in_another_process_is_told(dev_program: Any) -> None:
    process = dev_program("--control-port", "0", "--fault", "error on=PRODUCER code=ServiceNotReady times=1")
    with Control(process.address("control")) as control, RawClient(process.address("ready")) as client:
        assert client.open_producer(TOPIC).error == ServerError.ServiceNotReady
        assert client.open_producer(TOPIC).producer_name
        assert control.tell("links").startswith("1 127.0.0.1:")
        number = control.tell("fault swallow on=SEND topic=topic")
        client.send_entry(single_entry(b"payload"))
        client.round_trip()
        assert control.tell("faults") == f"{number} swallow on=SEND topic={TOPIC} (struck 1)"
        assert control.tell(f"clear {number}") == "1" and control.tell("faults") == ""
        assert client.publish(b"stored")[0].sequence_id == 0
        assert control.tell("restart") == process.address("ready")
        client.wait_closed()
        for line, text in (
            ("fault explode", "there are"),
            ("fault", "which fault"),
            ("@7 faults", "no instance"),
            ("clear nothing", "neither"),
            ("move topic", "an instance"),
            ("restart soon", "no number of seconds"),
            ("", "no such command"),
        ):
            with pytest.raises(CommandError, match=text):
                control.tell(line)
    with RawClient(process.address("ready")) as client:
        client.subscribe(TOPIC)
        assert client.payloads(1) == [b"stored"]


def test_control_from_the_command_line(dev_program: Any, run_module: Any) -> None:
    process = dev_program("--control-port", "0")
    done = run_module("tools.devbroker.control", process.address("control"), "fault", "refuse")
    assert (done.returncode, done.stdout) == (0, "1\n")
    with pytest.raises(ConnectionRefusedError):
        RawClient(process.address("ready"))
    done = run_module("tools.devbroker.control", process.address("control"), "fault", "explode")
    assert done.returncode == 1 and "there are" in done.stderr
    assert run_module("tools.devbroker.control").returncode == 2


def test_command_line_knows_the_faults(run_module: Any) -> None:
    done = run_module("tools.devbroker", "--help")
    assert done.returncode == 0
    assert all(f"\n  {kind}" in done.stdout for kind in KINDS)
    for arguments, text in (
        (("--fault", "explode"), "there are bad_checksum"),
        (("--instances", "0"), "at least 1"),
        (("--tls-only",), "needs --tls"),
        (("--listener", "name"), "NAME=URL"),
        (("--token-refresh-seconds", "1"), "no use"),
    ):
        done = run_module("tools.devbroker", *arguments)
        assert done.returncode == 2 and text in done.stderr and "Traceback" not in done.stderr
