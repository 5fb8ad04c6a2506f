"""The development broker and a real one, with what an administrator can do to them under the same names.

Behaviour tests run against either (fixture `side` in conftest): where the two differ, the development broker is wrong.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

from tests.integration.raw_client import RawClient, message_of, payload_of
from tools.devbroker import DevBroker, DevBrokerThread
from tools.devbroker.frames import BaseCommand, Frame
from tools.realbroker.standalone import Standalone
from tools.tokens import KEY_BYTES, mint

Connect = Callable[..., RawClient]
DEDUPLICATING = "public/deduplicating"
"""A namespace with deduplication."""
CLOSED = "public/closed"
"""A namespace where topics are not made on first use."""
PARTITIONING = "public/partitioning"
"""A namespace where topics get three partitions when they are made by PARTITIONED_METADATA."""
AUTO_PARTITIONS = 3
_POLICY_SECONDS = 30


class Side(Protocol):
    """One of the two brokers. Topics are named in full."""

    url: str
    token: str

    def create_partitioned_topic(self, topic: str, partitions: int) -> None:
        """Make a partitioned topic."""

    def set_max_message_size(self, topic: str, size: int) -> None:
        """Limit the messages of a topic that is there; returns when the limit holds."""

    def set_max_delivery_delay(self, topic: str, milliseconds: int) -> None:
        """Limit the delay of a topic's messages; returns when the limit holds."""

    def terminate(self, topic: str) -> None:
        """End a topic."""

    def unload(self, topic: str) -> None:
        """Close a topic's producers and consumers; the broker still serves it."""

    def properties(self, topic: str) -> dict[str, dict[str, str]]:
        """Those of each producer and consumer of a topic, by its name."""
        ...


class DevelopmentSide:
    """A development broker in a thread."""

    def __init__(self) -> None:
        key = secrets.token_bytes(KEY_BYTES)
        namespaces = {"public/default", DEDUPLICATING, CLOSED, PARTITIONING}
        self.thread = DevBrokerThread(token_key=key, namespaces=namespaces)
        self.token = mint("admin", key)
        self._set_policy(DEDUPLICATING, deduplication=True)
        self._set_policy(CLOSED, auto_topic_creation=False)
        self._set_policy(PARTITIONING, auto_partitions=AUTO_PARTITIONS)

    @property
    def url(self) -> str:
        """The service URL."""
        return self.thread.url

    def create_partitioned_topic(self, topic: str, partitions: int) -> None:
        """See Side."""
        self.thread.call(lambda broker: broker.create_partitioned_topic(topic, partitions))

    def set_max_message_size(self, topic: str, size: int) -> None:
        """See Side."""
        self.thread.call(lambda broker: broker.set_policy(topic, max_message_size=size))

    def set_max_delivery_delay(self, topic: str, milliseconds: int) -> None:
        """See Side."""
        self.thread.call(lambda broker: broker.set_policy(topic, max_delivery_delay_ms=milliseconds))

    def terminate(self, topic: str) -> None:
        """See Side."""
        self.thread.call(lambda broker: broker.terminate_topic(topic))

    def unload(self, topic: str) -> None:
        """See Side."""
        self.thread.call(lambda broker: broker.unload_topic(topic, lookup_needed=False))

    def properties(self, topic: str) -> dict[str, dict[str, str]]:
        """See Side."""

        def look(broker: DevBroker) -> dict[str, dict[str, str]]:
            found = broker.topics[topic]
            consumers = [one for subscription in found.subscriptions.values() for one in subscription.consumers]
            return {one.name: dict(one.properties) for one in [*found.producers.values(), *consumers]}

        return self.thread.call(look)

    def _set_policy(self, name: str, **settings: Any) -> None:
        self.thread.broker.set_policy(name, **settings)


class RealSide:
    """A real broker that runs."""

    def __init__(self, standalone: Standalone) -> None:
        self.standalone = standalone
        self.url = standalone.url
        self.token = standalone.token("admin")
        creation = {"allowAutoTopicCreation": True, "topicType": "partitioned", "defaultNumPartitions": AUTO_PARTITIONS}
        for namespace, setting, value in (
            (DEDUPLICATING, "deduplication", True),
            (CLOSED, "autoTopicCreation", {"allowAutoTopicCreation": False}),
            (PARTITIONING, "autoTopicCreation", creation),
        ):
            self._rest("PUT", f"namespaces/{namespace}", statuses=(204, 409))
            self._rest("POST", f"namespaces/{namespace}/{setting}", value)

    def create_partitioned_topic(self, topic: str, partitions: int) -> None:
        """See Side."""
        self._rest("PUT", f"{_path(topic)}/partitions", partitions)

    def set_max_message_size(self, topic: str, size: int) -> None:
        """See Side."""
        self._rest("POST", f"{_path(topic)}/maxMessageSize", size)
        self._wait_for(f"{_path(topic)}/maxMessageSize", lambda answer: answer == size)

    def set_max_delivery_delay(self, topic: str, milliseconds: int) -> None:
        """See Side."""
        policy = {"active": True, "tickTime": 1000, "maxDeliveryDelayInMillis": milliseconds}
        self._rest("POST", f"{_path(topic)}/delayedDelivery", policy)
        self._wait_for(f"{_path(topic)}/delayedDelivery", lambda answer: answer is not None)

    def terminate(self, topic: str) -> None:
        """See Side."""
        self._rest("POST", f"{_path(topic)}/terminate", statuses=(200,))

    def unload(self, topic: str) -> None:
        """See Side."""
        self._rest("PUT", f"{_path(topic)}/unload")

    def properties(self, topic: str) -> dict[str, dict[str, str]]:
        """See Side."""
        answer = self.standalone.rest("GET", f"/admin/v2/{_path(topic)}/stats").expect(200)
        found: Any = answer.json()
        consumers = [one for subscription in found["subscriptions"].values() for one in subscription["consumers"]]
        both = [(one["producerName"], one) for one in found["publishers"]]
        both += [(one["consumerName"], one) for one in consumers]
        return {name: one.get("metadata") or {} for name, one in both}

    def _rest(self, method: str, path: str, body: object = None, statuses: tuple[int, ...] = (204,)) -> None:
        self.standalone.rest(method, f"/admin/v2/{path}", body).expect(*statuses)

    def _wait_for(self, path: str, condition: Callable[[object], bool]) -> None:
        """A topic's settings reach it by way of a topic of their own."""
        deadline = time.monotonic() + _POLICY_SECONDS
        while True:
            text = self.standalone.rest("GET", f"/admin/v2/{path}").text
            if text and condition(self.standalone.rest("GET", f"/admin/v2/{path}").json()):
                return
            assert time.monotonic() < deadline, f"{path} is still {text!r}"
            time.sleep(0.05)


def _path(topic: str) -> str:
    return topic.replace("://", "/")


def is_answered(client: RawClient, seconds: float = 0.05) -> bool:
    """Whether one more frame has come for this client, or comes within that time; it is kept in `waiting`."""
    client.socket.settimeout(seconds)
    try:
        client.waiting.append(client.receive())
    except TimeoutError:
        return False
    finally:
        client.socket.settimeout(15)
    return True


def expect_beside(client: RawClient, holder: RawClient, kind: str) -> Any:
    """The next frame of that type, while another client answers the broker's question whether it is alive."""
    holder.round_trip()
    while not is_answered(client):
        holder.round_trip()
    return client.expect(kind)


def collect_frames(clients: list[RawClient], count: int) -> list[list[Frame]]:
    """The MESSAGE frames that each client gets, until it is so many together."""
    got: list[list[Frame]] = [[] for _ in clients]
    deadline = time.monotonic() + 30
    while True:
        for client, frames in zip(clients, got, strict=True):
            while any(frame.command.type == BaseCommand.MESSAGE for frame in client.waiting):
                frames.append(client.expect_frame("MESSAGE"))
        if sum(map(len, got)) >= count:
            return got
        assert time.monotonic() < deadline, f"{got} is all that came"
        for client in clients:
            is_answered(client)


def collect(clients: list[RawClient], count: int) -> list[list[bytes]]:
    """The payloads that each client gets, until it is so many together."""
    return [[payload_of(frame) for frame in frames] for frames in collect_frames(clients, count)]


def ids(client: RawClient, count: int) -> list[Any]:
    """The message ids of the next MESSAGE frames."""
    return [message_of(frame).message_id for frame in client.messages(count)]
