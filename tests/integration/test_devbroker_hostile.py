"""What no peer should send, and peers that do not read: the development broker loses the link at most."""

import random

import pytest

from tests.integration.raw_client import RawClient, single_entry
from tools.devbroker import DevBrokerThread
from tools.devbroker.frames import ServerError

TOPIC = "persistent://public/default/topic"
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
