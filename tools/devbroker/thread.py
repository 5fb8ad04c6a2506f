"""Development brokers in a thread of their own, for programs and tests that have no event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tools.devbroker.cluster import DevCluster
from tools.devbroker.faults import Fault
from tools.devbroker.proxy import DevProxy
from tools.devbroker.server import DevBroker

Result = TypeVar("Result")
_CALL_TIMEOUT_SECONDS = 30


class _LoopThread:
    """An event loop in a thread; subclasses say what to start and to stop in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="devbroker", daemon=True)

    async def _start(self) -> None:
        raise NotImplementedError

    async def _stop(self) -> None:
        raise NotImplementedError

    def _run(self, coroutine: Coroutine[Any, Any, Result], extra_seconds: float = 0) -> Result:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(_CALL_TIMEOUT_SECONDS + extra_seconds)

    def _call(self, function: Callable[[], Result]) -> Result:
        async def call() -> Result:
            return function()

        return self._run(call())

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._stop())
        finally:
            self._end_thread()


class DevBrokerThread(_LoopThread):
    """`with DevBrokerThread() as broker: broker.url`. Takes the arguments of DevBroker; `proxy` puts one before it.

    The broker lives in its thread: look at its topics through `call`, wait for something through `wait_until`.
    """

    def __init__(self, *arguments: Any, proxy: bool = False, **settings: Any) -> None:
        self.broker = DevBroker(*arguments, **settings)
        self._proxy = DevProxy([self.broker]) if proxy else None
        super().__init__()

    @property
    def url(self) -> str:
        """The service URL, `pulsar://host:port`."""
        return self.broker.url

    @property
    def tls_url(self) -> str:
        """The service URL of the TLS listener, empty without one."""
        return self.broker.tls_url

    @property
    def proxy_url(self) -> str:
        """The service URL of the proxy, empty without one."""
        return self._proxy.url if self._proxy else ""

    @property
    def port(self) -> int:
        """The port listened on."""
        return self.broker.port

    async def _start(self) -> None:
        await self.broker.start()
        if self._proxy:
            await self._proxy.start()

    async def _stop(self) -> None:
        if self._proxy:
            await self._proxy.stop()
        await self.broker.stop()

    def restart(self, down_seconds: float = 0) -> None:
        """DevBroker.restart; returns when the broker listens again."""
        self._run(self.broker.restart(down_seconds), down_seconds)

    def fault(self, kind: str, **options: Any) -> Fault:
        """DevBroker.fault: put a fault in force."""
        return self._call(lambda: self.broker.fault(kind, **options))

    def clear_faults(self, which: Fault | int | str | None = None) -> int:
        """DevBroker.clear_faults: take out one fault, all of a kind, or all; how many."""
        return self._run(self.broker.clear_faults(which))

    def wait_until(self, condition: Callable[[DevBroker], object], timeout_seconds: float = 10) -> None:
        """Return once `condition(broker)`, called in the broker's thread, is true. Raises TimeoutError."""
        self._run(self.broker.wait_until(lambda: condition(self.broker), timeout_seconds), timeout_seconds)

    def call(self, function: Callable[[DevBroker], Result]) -> Result:
        """The result of `function(broker)`, called in the broker's thread."""
        return self._call(lambda: function(self.broker))


class DevClusterThread(_LoopThread):
    """`with DevClusterThread(2) as cluster: cluster.urls`. Takes DevCluster's arguments; `proxy` puts one before it.

    What it does not offer is reached through `call` (`cluster.call(lambda cluster: cluster.brokers[0].fault("cut"))`).
    """

    def __init__(self, *arguments: Any, proxy: bool = False, **settings: Any) -> None:
        self.cluster = DevCluster(*arguments, **settings)
        self._proxy = DevProxy(self.cluster.brokers) if proxy else None
        super().__init__()

    @property
    def urls(self) -> str:
        """A service URL that names all instances."""
        return self.cluster.urls

    def url(self, number: int = 0) -> str:
        """The service URL of one instance."""
        return self.cluster.brokers[number].url

    @property
    def proxy_url(self) -> str:
        """The service URL of the proxy, empty without one."""
        return self._proxy.url if self._proxy else ""

    async def _start(self) -> None:
        await self.cluster.__aenter__()
        if self._proxy:
            await self._proxy.start()

    async def _stop(self) -> None:
        if self._proxy:
            await self._proxy.stop()
        await self.cluster.stop()

    def begin_transfer(self, topic: str) -> None:
        """DevCluster.begin_transfer."""
        self._call(lambda: self.cluster.begin_transfer(topic))

    def move(self, topic: str, number: int, **settings: Any) -> None:
        """DevCluster.move."""
        self._run(self.cluster.move(topic, number, **settings), settings.get("transfer_seconds", 0))

    def migrate(self, topic: str, url: str, tls_url: str = "") -> None:
        """DevCluster.migrate."""
        self._call(lambda: self.cluster.migrate(topic, url, tls_url))

    def kill(self, number: int) -> None:
        """DevCluster.kill."""
        self._run(self.cluster.kill(number))

    def start(self, number: int) -> None:
        """DevCluster.start."""
        self._run(self.cluster.start(number))

    def prefer(self, topic: str, number: int) -> None:
        """DevCluster.prefer."""
        self._call(lambda: self.cluster.prefer(topic, number))

    def fault(self, number: int, kind: str, **options: Any) -> Fault:
        """Put a fault in force at one instance."""
        return self._call(lambda: self.cluster.brokers[number].fault(kind, **options))

    def clear_faults(self, number: int, which: Fault | int | str | None = None) -> int:
        """Take out one fault of an instance, all of a kind, or all; how many."""
        return self._run(self.cluster.brokers[number].clear_faults(which))

    def wait_until(self, condition: Callable[[DevCluster], object], timeout_seconds: float = 10) -> None:
        """Return once `condition(cluster)` is true, which is looked at after all that an instance does."""

        async def wait() -> None:
            waiting = [
                asyncio.ensure_future(broker.wait_until(lambda: condition(self.cluster), timeout_seconds))
                for broker in self.cluster.brokers
            ]
            done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for task in done:
                task.result()

        self._run(wait(), timeout_seconds)

    def call(self, function: Callable[[DevCluster], Result]) -> Result:
        """The result of `function(cluster)`, called in its thread."""
        return self._call(lambda: function(self.cluster))
