"""The development broker in a thread of its own, for programs and tests that have no event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from tools.devbroker.server import DevBroker

Result = TypeVar("Result")
_CALL_TIMEOUT_SECONDS = 30


class DevBrokerThread:
    """`with DevBrokerThread() as broker: broker.url`. Takes the arguments of DevBroker.

    The broker lives in its thread: look at its topics through `call`, wait for something through `wait_until`.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.broker = DevBroker(*arguments, **settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="devbroker", daemon=True)

    @property
    def url(self) -> str:
        """The service URL, `pulsar://host:port`."""
        return self.broker.url

    @property
    def port(self) -> int:
        """The port listened on."""
        return self.broker.port

    def restart(self, down_seconds: float = 0) -> None:
        """DevBroker.restart; returns when the broker listens again."""
        self._run(self.broker.restart(down_seconds), down_seconds)

    def wait_until(self, condition: Callable[[DevBroker], object], timeout_seconds: float = 10) -> None:
        """Return once `condition(broker)`, called in the broker's thread, is true. Raises TimeoutError."""
        self._run(self.broker.wait_until(lambda: condition(self.broker), timeout_seconds), timeout_seconds)

    def call(self, function: Callable[[DevBroker], Result]) -> Result:
        """The result of `function(broker)`, called in the broker's thread."""

        async def call() -> Result:
            return function(self.broker)

        return self._run(call())

    def _run(self, coroutine: Coroutine[Any, Any, Result], extra_seconds: float = 0) -> Result:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(_CALL_TIMEOUT_SECONDS + extra_seconds)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "DevBrokerThread":
        self._thread.start()
        try:
            self._run(self.broker.start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self.broker.stop())
        finally:
            self._end_thread()
