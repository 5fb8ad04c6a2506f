"""Several instances of the development broker that share their topics, move them, redirect, die and come back.

    async with DevCluster(2) as cluster:
        Client(cluster.urls)
        await cluster.move("topic", 1)      # as an unload does; with assigned=True as a transfer does
        await cluster.kill(0)
        await cluster.start(0)
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

from tools.devbroker.migration import migrate
from tools.devbroker.names import TopicName
from tools.devbroker.placement import LookupMode, Placement
from tools.devbroker.policies import Policies
from tools.devbroker.server import DevBroker
from tools.devbroker.store import Store

log = logging.getLogger(__name__)


class DevCluster:
    """`count` instances, in the running event loop; `brokers[i]` is one, with faults and links of its own.

    - `host`, `port`: the first instance listens there, the others on the ports after it; 0 takes free ones.
    - `tls_port`: likewise, for TLS.
    - `lookup`: how LOOKUP leads to the instance that serves a topic.
    - `session_seconds`: how long the others still name a killed instance (in a real cluster, until its session in the
      metadata store lapses).
    - `deduplication`, `policy`, `partitioned`: as of DevBroker, for all of them.
    - anything else is given to every DevBroker. Lookups say proxy_through_service_url false unless told otherwise.
    """

    def __init__(
        self,
        count: int = 2,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls_port: int = 0,
        lookup: LookupMode | str = LookupMode.CONNECT,
        session_seconds: float = 0,
        deduplication: bool = False,
        policy: Mapping[str, Any] | None = None,
        partitioned: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        if count < 1:
            raise ValueError("a cluster has at least one instance")
        self.session_seconds = session_seconds
        policies = Policies(deduplication=deduplication, **(policy or {}))
        self.store = Store(policies, partitioned)
        self.placement = Placement(LookupMode(lookup))
        settings = {"proxy_through_service_url": False} | settings
        self.brokers = [
            DevBroker(
                host,
                port and port + number,
                tls_port=tls_port and tls_port + number,
                store=self.store,
                placement=self.placement,
                **settings,
            )
            for number in range(count)
        ]
        self.placement.instances = self.brokers
        self._lapses: dict[DevBroker, asyncio.TimerHandle] = {}

    @property
    def url(self) -> str:
        """The service URL of the first instance."""
        return self.brokers[0].url

    @property
    def urls(self) -> str:
        """A service URL that names all instances, `pulsar://host:port,host:port`."""
        first, *others = (broker.url for broker in self.brokers)
        return ",".join([first, *(url.partition("://")[2] for url in others)])

    async def __aenter__(self) -> "DevCluster":
        try:
            for broker in self.brokers:
                await broker.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop every instance."""
        for timer in self._lapses.values():
            timer.cancel()
        self._lapses.clear()
        for broker in self.brokers:
            await broker.stop()

    async def kill(self, number: int) -> None:
        """One instance dies: links drop, connections are refused, its topics go to others once its session lapses."""
        broker = self.brokers[number]
        await broker.go_down()
        if self.session_seconds:
            loop = asyncio.get_running_loop()
            self._lapses[broker] = loop.call_later(self.session_seconds, self._lapse, broker)
        else:
            broker.forget_topics()

    def _lapse(self, broker: DevBroker) -> None:
        del self._lapses[broker]
        broker.forget_topics()

    async def start(self, number: int) -> None:
        """A killed instance comes back on its ports; it serves nothing until it is looked up."""
        broker = self.brokers[number]
        if broker.is_up:
            return
        timer = self._lapses.pop(broker, None)
        if timer is not None:
            timer.cancel()
            broker.forget_topics()
        await broker.start()

    def prefer(self, topic: str, number: int) -> None:
        """Once somebody looks the topic up, that instance shall serve it. Raises InvalidTopicName."""
        self.placement.preferred[TopicName.parse(topic).full] = self.brokers[number]

    def owner(self, topic: str) -> int | None:
        """The number of the instance that serves the topic, None if nobody does."""
        owner = self.placement.owner(TopicName.parse(topic).full)
        return None if owner is None else self.brokers.index(owner)

    def begin_transfer(self, topic: str) -> None:
        """From now on until `move`, SENDs and ACKs of the topic are dropped without a word. Raises InvalidTopicName."""
        self.placement.transferring.add(TopicName.parse(topic).full)

    async def move(
        self,
        topic: str,
        number: int,
        *,
        assigned: bool = False,
        transfer_seconds: float = 0,
        assigned_urls: tuple[str, str] | None = None,
    ) -> None:
        """Make that instance serve the topic. Raises InvalidTopicName.

        For `transfer_seconds`, or since `begin_transfer`, SENDs and ACKs of the topic are dropped without a word. Then
        producers and consumers are closed, with `assigned` naming the new instance to them (or `assigned_urls` another
        place), and SENDs of theirs are ignored for one keep-alive interval. The old one answers PRODUCER and SUBSCRIBE
        with ServiceNotReady. Also from an instance to itself, which is an unload.
        """
        name = TopicName.parse(topic).full
        new = self.brokers[number]
        urls = (assigned_urls or new.urls()) if assigned else ("", "")
        log.info("moving %s to %s", name, new.url)
        try:
            if transfer_seconds:
                self.begin_transfer(name)
                await asyncio.sleep(transfer_seconds)
        finally:
            self.placement.transferring.discard(name)
        self.placement.assign(name, new)
        stored = self.store.topics.get(name)
        if stored is None:
            return
        stored.close_all(urls)
        self.store.reload(stored)
        for broker in self.brokers:
            broker.changed()

    def migrate(self, topic: str, url: str, tls_url: str = "") -> None:
        """Hand the topic over to another cluster, whose service URLs these are. Raises InvalidTopicName.

        Producers and consumers get TOPIC_MIGRATED and are closed; so do those that come later.
        """
        name = TopicName.parse(topic)
        log.info("migrating %s to %s", name.full, url or tls_url)
        sessions = [session for broker in self.brokers for session in broker.sessions]
        migrate(self.store, sessions, name, url, tls_url)
        for broker in self.brokers:
            broker.changed()

    async def restart(self, down_seconds: float = 0, numbers: Collection[int] | None = None) -> None:
        """Restart instances, all of them if none are named, at the same time: see DevBroker.restart."""
        brokers = [self.brokers[number] for number in numbers] if numbers else self.brokers
        await asyncio.gather(*(broker.restart(down_seconds) for broker in brokers))
