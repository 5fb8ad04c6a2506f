"""Several instances of the development broker: lookups, moves with their silent windows, deaths and returns."""

import collections.abc
import contextlib
import socket
import time
import types
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, RawClient, message_of, single_entry
from tools.devbroker import Control, DevBrokerThread, DevCluster, DevClusterThread, LookupMode
from tools.devbroker.frames import ServerError, api

TOPIC = "persistent://public/default/topic"
CONNECT = api.CommandLookupTopicResponse.Connect
REDIRECT = api.CommandLookupTopicResponse.Redirect
FAILED = api.CommandLookupTopicResponse.Failed


@pytest.fixture
def cluster() -> collections.abc.Iterator[DevClusterThread]:
    """Two instances, the first of which serves the topic once it is looked up."""
    with DevClusterThread(2) as running:
        running.prefer("topic", 0)
        yield running


def look_up(client: RawClient, **fields: Any) -> tuple[int, str, bool]:
    """Response, URL and `authoritative` of LOOKUP's answer."""
    found = client.request("LOOKUP", "LOOKUP_RESPONSE", topic=TOPIC, **fields)
    assert not found.proxy_through_service_url
    return found.response, found.brokerServiceUrl, found.authoritative


# Lookups


def test_every_instance_names_the_owner(cluster: DevClusterThread) -> None:
    cluster.prefer("topic", 1)
    with RawClient(cluster.url(0)) as first, RawClient(cluster.url(1)) as second:
        for client in (first, second):
            assert look_up(client) == (CONNECT, cluster.url(1), True)
        assert cluster.call(lambda cluster: cluster.owner("topic")) == 1
        refused = first.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=1)
        assert refused.error == ServerError.ServiceNotReady
        assert "not served by this instance" in refused.message and "redo the lookup" in refused.message
        refused = first.subscribe(TOPIC)
        assert refused.error == ServerError.ServiceNotReady
        assert second.open_producer(TOPIC).producer_name
    host = cluster.url(1).removeprefix("pulsar://")
    assert cluster.urls == f"{cluster.url(0)},{host}"


def test_redirects_lead_to_the_leader_and_to_the_one_it_chose() -> None:
    with DevClusterThread(3, lookup="redirect") as cluster:
        cluster.prefer("topic", 2)
        with (
            RawClient(cluster.url(0)) as leader,
            RawClient(cluster.url(1)) as other,
            RawClient(cluster.url(2)) as owner,
        ):
            assert look_up(other) == (REDIRECT, cluster.url(0), False)
            assert look_up(leader) == (REDIRECT, cluster.url(2), True)
            assert look_up(owner) == (REDIRECT, cluster.url(0), False), "the flag was not copied"
            assert look_up(owner, authoritative=True) == (CONNECT, cluster.url(2), True)
            assert look_up(other) == look_up(leader) == (CONNECT, cluster.url(2), True)


def test_the_leader_may_choose_itself() -> None:
    with DevClusterThread(2, lookup=LookupMode.REDIRECT) as cluster:
        cluster.prefer("topic", 0)
        with RawClient(cluster.url(0)) as leader, RawClient(cluster.url(1)) as other:
            assert look_up(other) == (REDIRECT, cluster.url(0), False)
            assert look_up(leader) == look_up(other) == (CONNECT, cluster.url(0), True)


def test_always_redirect_never_names_another_owner() -> None:
    with DevClusterThread(2, lookup=LookupMode.ALWAYS_REDIRECT) as cluster:
        cluster.prefer("topic", 1)
        with RawClient(cluster.url(0)) as first, RawClient(cluster.url(1)) as second:
            assert look_up(first) == (REDIRECT, cluster.url(1), True)
            assert look_up(second, authoritative=True) == (CONNECT, cluster.url(1), True)
            assert look_up(first) == (REDIRECT, cluster.url(1), True)


def test_topics_are_spread_without_a_preference(cluster: DevClusterThread) -> None:
    with RawClient(cluster.url()) as client:
        places = {client.look_up(f"spread-{number}").brokerServiceUrl for number in range(30)}
    assert places == {cluster.url(0), cluster.url(1)}


def test_advertised_listeners() -> None:
    listeners = {"lan": "pulsar://lan:1", "safe": "pulsar+ssl://safe:2", "both": ("pulsar://b:3", "pulsar+ssl://b:4")}
    with DevBrokerThread(advertised_listeners=listeners) as broker, RawClient(broker.url) as client:
        answers = {}
        for name in ("lan", "safe", "both", ""):
            found = client.request("LOOKUP", "LOOKUP_RESPONSE", topic=TOPIC, advertised_listener_name=name)
            answers[name] = found.brokerServiceUrl, found.brokerServiceUrlTls
        assert answers == {
            "lan": ("pulsar://lan:1", ""),
            "safe": ("", "pulsar+ssl://safe:2"),
            "both": ("pulsar://b:3", "pulsar+ssl://b:4"),
            "": (broker.url, ""),
        }
        unknown = client.request("LOOKUP", "LOOKUP_RESPONSE", topic=TOPIC, advertised_listener_name="other")
        assert (unknown.response, unknown.error) == (FAILED, ServerError.ServiceNotReady)
        assert "other" in unknown.message


# Moves


def test_a_move_closes_producers_and_consumers_and_keeps_what_was_stored(cluster: DevClusterThread) -> None:
    with RawClient(cluster.url(0)) as old, RawClient(cluster.url(1)) as new:
        old.open_producer(TOPIC, producer_name="name")
        old.publish(b"0", b"1")
        old.subscribe(TOPIC)
        first, _second = old.messages(2)
        old.acknowledge(message_of(first).message_id)
        cluster.move("topic", 1)
        for kind, field in (("CLOSE_PRODUCER", "producer_id"), ("CLOSE_CONSUMER", "consumer_id")):
            closed = old.expect(kind)
            assert (closed.request_id, getattr(closed, field)) == (NO_ID, 1)
            assert not closed.HasField("assignedBrokerServiceUrl")
        old.send_entry(single_entry(b"ignored"), sequence_id=2)
        refused = old.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=1, producer_name="name")
        assert refused.error == ServerError.ServiceNotReady
        assert look_up(old) == look_up(new) == (CONNECT, cluster.url(1), True)
        assert not old.waiting
        new.open_producer(TOPIC, producer_name="name", epoch=1)
        receipt = new.publish(b"2", first_sequence_id=2)[0]
        assert receipt.message_id.ledgerId > message_of(first).message_id.ledgerId
        new.subscribe(TOPIC)
        assert new.payloads(2) == [b"1", b"2"]


def test_a_transfer_names_the_new_instance_after_its_silent_window(cluster: DevClusterThread) -> None:
    with RawClient(cluster.url(0)) as old:
        old.open_producer(TOPIC)
        old.publish(b"0")
        old.subscribe(TOPIC)
        message = old.messages(1)[0]

        cluster.begin_transfer("topic")
        old.send_entry(single_entry(b"dropped"), sequence_id=1)
        old.send("ACK", request_id=99, consumer_id=1, ack_type=0, message_id=[message_of(message).message_id])
        old.round_trip()
        assert not old.waiting, "answered in the middle of a transfer"
        cluster.move("topic", 1, assigned=True, transfer_seconds=0.01)
        for kind in ("CLOSE_PRODUCER", "CLOSE_CONSUMER"):
            assert old.expect(kind).assignedBrokerServiceUrl == cluster.url(1)
    with RawClient(cluster.url(1)) as new:
        opened = new.request("PRODUCER", "PRODUCER_SUCCESS", topic=TOPIC, producer_id=1)
        assert opened.producer_name, "the new instance wants no lookup first"
        new.subscribe(TOPIC)
        assert new.payloads(1) == [b"0"]


def test_a_closed_producer_may_send_for_one_keep_alive_interval_only() -> None:
    with DevClusterThread(2, keep_alive_seconds=0.3) as cluster:
        cluster.prefer("topic", 0)
        with RawClient(cluster.url(0)) as old:
            old.open_producer(TOPIC)
            cluster.move("topic", 1)
            old.expect("CLOSE_PRODUCER")
            old.send_until_closed()
            assert not old.waiting
        assert cluster.call(lambda cluster: cluster.store.topics[TOPIC].entries) == []


def test_unload_to_the_same_instance(cluster: DevClusterThread) -> None:
    with RawClient(cluster.url(0)) as client:
        client.open_producer(TOPIC)
        cluster.move("topic", 0, assigned=True)
        assert client.expect("CLOSE_PRODUCER").assignedBrokerServiceUrl == cluster.url(0)
        assert client.open_producer(TOPIC, epoch=1).producer_name


# Deaths


def test_a_killed_instance_loses_its_topics_and_comes_back_empty_handed(cluster: DevClusterThread) -> None:
    with RawClient(cluster.url(0)) as old, RawClient(cluster.url(1)) as other:
        old.open_producer(TOPIC)
        old.publish(b"kept")
        cluster.kill(0)
        assert old.wait_closed() == []
        with pytest.raises(ConnectionRefusedError):
            RawClient(cluster.url(0))
        assert look_up(other) == (CONNECT, cluster.url(1), True)
        other.subscribe(TOPIC)
        assert other.payloads(1) == [b"kept"]
        cluster.start(0)
        with RawClient(cluster.url(0)) as back:
            assert look_up(back) == (CONNECT, cluster.url(1), True)


def test_a_dead_instance_is_named_until_its_session_lapses() -> None:
    for session_seconds in (1000, 0.05):
        with DevClusterThread(2, session_seconds=session_seconds) as cluster, RawClient(cluster.url(1)) as client:
            cluster.prefer("topic", 0)
            assert look_up(client) == (CONNECT, cluster.url(0), True)
            cluster.kill(0)
            if session_seconds == 1000:
                assert look_up(client) == (CONNECT, cluster.url(0), True)
                cluster.start(0)
                assert cluster.call(lambda cluster: cluster.owner("topic")) is None
            else:
                deadline = time.monotonic() + 10
                while look_up(client) != (CONNECT, cluster.url(1), True):
                    assert time.monotonic() < deadline


def test_faults_are_an_instances_own(cluster: DevClusterThread) -> None:
    cluster.fault(1, "error", on="LOOKUP", code="ServiceNotReady")
    with RawClient(cluster.url(0)) as first, RawClient(cluster.url(1)) as second:
        assert look_up(first)[0] == CONNECT
        assert second.look_up(TOPIC).response == FAILED
        assert cluster.clear_faults(1) == 1
        assert look_up(second)[0] == CONNECT


# Apache's own client


def acknowledged(cluster: DevCluster) -> int:
    """How many messages of the topic are acknowledged."""
    return cluster.store.topics[TOPIC].subscriptions["subscription"].cursor.acknowledged_before


@pytest.mark.parametrize("assigned", [False, True], ids=["unload", "transfer"])
@pytest.mark.parametrize("lookup", LookupMode)
def test_official_client_follows_a_topic_that_moves(
    apache: types.ModuleType, lookup: LookupMode, assigned: bool
) -> None:
    quiet = apache.ConsoleLogger(apache.LoggerLevel.Error)
    with (
        DevClusterThread(2, lookup=lookup) as cluster,
        contextlib.closing(apache.Client(cluster.urls, logger=quiet)) as client,
    ):
        cluster.prefer("topic", 1)
        producer = client.create_producer(TOPIC)
        consumer = client.subscribe(TOPIC, "subscription", initial_position=apache.InitialPosition.Earliest)
        for number, place in enumerate((0, 1, 0)):
            producer.send(b"%d" % number)
            message = consumer.receive(10_000)
            assert message.data() == b"%d" % number
            consumer.acknowledge(message)
            cluster.wait_until(lambda cluster, count=number + 1: acknowledged(cluster) == count)
            cluster.move("topic", place, assigned=assigned)
        cluster.kill(0)
        producer.send(b"after a death")
        assert consumer.receive(10_000).data() == b"after a death"
    assert cluster.cluster.store.topics[TOPIC].message_count == 4


# Command line


def test_command_line_runs_moves_kills_and_starts_instances(dev_program: Any) -> None:
    program = dev_program("--instances", "2", "--lookup", "always_redirect", "--control-port", "0", instances=2)
    urls = [program.address("ready", number) for number in range(2)]
    with Control(program.address("control")) as control, RawClient(urls[0]) as first:
        assert control.tell("move topic 0") == urls[0]
        first.open_producer(TOPIC)
        assert control.tell("transfer topic") == ""
        first.send_entry(single_entry(b"dropped"))
        first.round_trip()
        assert control.tell("move topic 1 assigned 0.01") == urls[1]
        assert first.expect("CLOSE_PRODUCER").assignedBrokerServiceUrl == urls[1]
        assert look_up(first) == (REDIRECT, urls[1], True)
        assert control.tell("@1 fault error on=LOOKUP code=MetadataError") == "1"
        assert control.tell("faults") == "" and control.tell("@1 faults").endswith("(struck 0)")
        control.tell("@1 kill")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(urls[1].rpartition(":")[2])))
        assert look_up(first) == (CONNECT, urls[0], True)
        assert control.tell("@1 start") == urls[1]
        with RawClient(urls[1]) as second:
            assert second.look_up(TOPIC).response == FAILED, "faults outlast a death"


def test_command_line_takes_listeners(dev_program: Any) -> None:
    program = dev_program("--listener", "lan=pulsar://lan:1", "--advertised-url", "pulsar://outside:2")
    with RawClient(program.address("ready")) as client:
        named = client.request("LOOKUP", "LOOKUP_RESPONSE", topic=TOPIC, advertised_listener_name="lan")
        assert named.brokerServiceUrl == "pulsar://lan:1"
        assert client.look_up(TOPIC).brokerServiceUrl == "pulsar://outside:2"
