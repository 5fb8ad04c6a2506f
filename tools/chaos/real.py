"""Apache Pulsar itself: one broker, or a cluster of two; what is done to it is what happens to brokers."""

from __future__ import annotations

import http.client
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from tools.chaos.faults import Schedule, receiving_schedule
from tools.chaos.places import Deed
from tools.chaos.proxy import ProxyThread
from tools.realbroker.cluster import Cluster, ClusterBroker
from tools.realbroker.ports import free_port
from tools.realbroker.rest import Answer
from tools.realbroker.standalone import Standalone

_HOST = "127.0.0.1"
_NAMESPACE = "public/chaos"
_OK = http.client.OK
_NO_CONTENT = http.client.NO_CONTENT
# The longest that a stopped broker is left so in a story: longer than its session with ZooKeeper.
_STOPPED_SECONDS = 10.0
_OWNED_SECONDS = 60.0

Watch = Callable[[str, Callable[[], None]], None]
"""Does a deed, of a name, and waits until whoever watches has seen its end."""


class SinglePlace:
    """One standalone broker with its metadata on disk. See places.Place."""

    sending_listener = receiving_listener = ""
    namespace = _NAMESPACE

    def __init__(self, directory: Path, seed: int, most_bytes: int = 30_000) -> None:
        self.proxies = ProxyThread()
        self.broker = Standalone(directory, memory=False, port=free_port())
        self._chance = random.Random(seed)
        self._schedules = Schedule(seed, most_bytes=most_bytes), receiving_schedule(seed)

    @property
    def direct_url(self) -> str:
        """See places.Place."""
        return self.broker.url

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """See places.Place."""
        return {
            "unload": Deed(4, self._unload), "SIGKILL": Deed(1, self._crash), "SIGSTOP": Deed(2, self._stop_for_a_while)
        }  # fmt: skip

    def _unload(self) -> None:
        self.broker.rest("PUT", f"/admin/v2/namespaces/{_NAMESPACE}/unload").expect(_NO_CONTENT)

    def _crash(self) -> None:
        self.broker.kill()
        self.broker.restart()

    def _stop_for_a_while(self) -> None:
        self.broker.process.signal(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 2))
        self.broker.process.signal(signal.SIGCONT)

    def backlog(self, topic: str, subscription: str) -> int:
        """See places.Place."""
        return _backlog(self.broker.rest, topic, subscription)

    def mend(self) -> None:
        """See places.Place."""

    def __enter__(self) -> SinglePlace:
        self.broker.start()
        try:
            _make_namespace(self.broker.rest)
            self.proxies.__enter__()
            port = int(self.broker.url.rsplit(":", 1)[1])
            # A standalone has clients go on at the service URL, whatever address it names.
            sending, receiving = (self.proxies.add((_HOST, port), schedule) for schedule in self._schedules)
            self.sending_url, self.receiving_url = sending.url, receiving.url
        except BaseException:
            self.broker.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxies.__exit__(kind, error, trace)
        self.broker.stop()


class ClusterPlace:
    """Two brokers, each behind a proxy for what sends and one for what receives. See places.Place.

    watch: what is done to the brokers is done through it, so that somebody can measure the way back.
    """

    sending_listener, receiving_listener = "sending", "receiving"
    namespace = _NAMESPACE

    def __init__(
        self, directory: Path, seed: int, *, extensible: bool = False, most_bytes: int = 30_000,
        weights: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.proxies = ProxyThread()
        self.cluster = Cluster(directory, extensible)
        self.watch: Watch = lambda _, do: do()
        self._topic = f"persistent://{_NAMESPACE}/any"  # all topics are in one bundle
        self._chance = random.Random(seed)
        self._schedules = {"sending": Schedule(seed, most_bytes=most_bytes), "receiving": receiving_schedule(seed)}
        self._weights = weights

    @property
    def direct_url(self) -> str:
        """See places.Place."""
        return self.cluster.urls

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """See places.Place."""
        known = {"unload": self.unload, "SIGTERM": self.terminate, "SIGKILL": self.crash, "SIGSTOP": self.freeze}
        weights = self._weights or ({"unload": 1} if self.cluster.extensible else dict.fromkeys(known, 1))
        return {name: Deed(weight, known[name]) for name, weight in weights.items()}

    def unload(self) -> None:
        """The bundle moves to the other broker."""
        target = self.cluster.other(self._owner())
        self.watch("unload", lambda: self.cluster.move(self._topic, target))

    def terminate(self) -> None:
        """The owner is told to end, and comes back when the other has the topics."""
        owner = self._owner()
        self.watch("SIGTERM", owner.stop)
        self._wait_for_move(owner)
        owner.start()

    def crash(self) -> None:
        """The owner is killed, and comes back when the other has the topics."""
        owner = self._owner()
        self.watch("SIGKILL", owner.kill)
        self._wait_for_move(owner)
        owner.start()

    def freeze(self) -> None:
        """The owner stands still, and goes on when the other has had the topics for a while."""
        owner = self._owner()
        started = time.monotonic()
        try:
            self.watch("SIGSTOP", owner.pause)
            self._wait_for_move(owner)
            time.sleep(max(0.0, started + _STOPPED_SECONDS - time.monotonic()))
        finally:
            owner.resume()
        owner.wait_ready()

    def _owner(self) -> ClusterBroker:
        """The broker that serves the topics now."""
        deadline = time.monotonic() + _OWNED_SECONDS
        while True:
            for broker in self.cluster.brokers:
                try:
                    owner = self.cluster.owner(self._topic, broker)
                except OSError:
                    continue
                if owner is not None:
                    return owner
            if time.monotonic() > deadline:
                raise RuntimeError(f"no broker serves {_NAMESPACE} after {_OWNED_SECONDS:.0f} s")
            time.sleep(0.1)

    def _wait_for_move(self, gone: ClusterBroker) -> None:
        other = self.cluster.other(gone)
        deadline = time.monotonic() + _OWNED_SECONDS
        while True:
            try:
                if self.cluster.owner(self._topic, other) is other:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"broker {other.name} did not take over in {_OWNED_SECONDS:.0f} s")
            time.sleep(0.1)

    def backlog(self, topic: str, subscription: str) -> int:
        """See places.Place."""
        return _backlog(self._owner().rest, topic, subscription)

    def mend(self) -> None:
        """See places.Place."""

    def __enter__(self) -> ClusterPlace:
        self.proxies.__enter__()
        try:
            urls: dict[str, list[str]] = {name: [] for name in self._schedules}
            for broker in self.cluster.brokers:
                for name, schedule in self._schedules.items():
                    broker.listeners[name] = self.proxies.add((_HOST, broker.port), schedule).url
                    urls[name].append(broker.listeners[name])
            self.sending_url, self.receiving_url = (_joined(urls[name]) for name in self._schedules)
            self.cluster.start()
            _make_namespace(self.cluster.brokers[0].rest)
        except BaseException:
            self.cluster.stop()
            self.proxies.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxies.__exit__(kind, error, trace)
        self.cluster.stop()


def _make_namespace(rest: Callable[..., Answer]) -> None:
    """A namespace of one bundle, so that all its topics move together, with deduplication, that keeps everything."""
    path = f"/admin/v2/namespaces/{_NAMESPACE}"
    rest("PUT", path, {"bundles": {"numBundles": 1}}).expect(_NO_CONTENT, http.client.CONFLICT)
    rest("POST", f"{path}/deduplication", True).expect(_NO_CONTENT)
    # Else what is acknowledged is gone with its ledger before it is read to compare.
    rest("POST", f"{path}/retention", {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}).expect(_NO_CONTENT)


def _joined(urls: list[str]) -> str:
    """One service URL of several."""
    return urls[0] + "".join("," + url.split("://")[1] for url in urls[1:])


def _backlog(rest: Callable[[str, str], Answer], topic: str, subscription: str) -> int:
    path = topic.replace("://", "/")
    try:
        answer = rest("GET", f"/admin/v2/{path}/stats?getPreciseBacklog=true")
    except OSError:
        return -1
    if answer.status != _OK:
        return -1
    stats = answer.json()
    assert isinstance(stats, dict)
    return int(stats["subscriptions"][subscription]["msgBacklog"])
