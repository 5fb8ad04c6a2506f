"""The broker itself: its listener, its links, its settings, and restarts that keep the store."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any

from tools.devbroker.administration import Administration
from tools.devbroker.policies import Policies
from tools.devbroker.session import Session
from tools.devbroker.store import Store, Topic
from tools.devbroker.subscription import DispatchLimits

log = logging.getLogger(__name__)

DEFAULT_MAX_MESSAGE_SIZE = 5 * 1024 * 1024
_URL_SCHEME = "pulsar://"


class DevBroker(Administration):
    """A Pulsar broker for development, in the running event loop: `async with DevBroker() as broker: broker.url`.

    Everything is kept in memory, nothing on disk, nothing is ever deleted: it is not for production.

    - `host`, `port`: where to listen; port 0 takes a free one, which restarts keep.
    - `token_key`: raw HS256 key; with it every client needs a token signed with it (`tools.tokens.mint`).
    - `keep_alive_seconds`: PING after that time, the link is closed when nothing came by the next one.
    - `liveness_check_seconds`: how long the holder of a name somebody else wants may take to answer a PING.
    - `max_message_size`: bytes, told to clients; a frame above it and 10 KiB closes the link.
    - `advertised_url`: what LOOKUP answers, default the address listened on.
    - `proxy_through_service_url`: the flag in LOOKUP's answers; a standalone broker sets it.
    - `require_lookup`: refuse topics nobody looked up since the last start (ServiceNotReady), as brokers do.
    - `namespaces`: those that exist, such as {"public/default"}; None takes any.
    - `dispatch_limits`: how much is read for a consumer at once.
    - `deduplication`: drop messages a producer has sent before, on all topics; `set_policy` does it for some.
    - `policy`: other settings of all topics, by their names in `policies.Policy`.
    - `partitioned`: partitioned topics there are from the start, by name, with how many partitions each has.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token_key: bytes | None = None,
        keep_alive_seconds: float = 30,
        liveness_check_seconds: float = 5,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        advertised_url: str | None = None,
        proxy_through_service_url: bool = True,
        require_lookup: bool = True,
        namespaces: Collection[str] | None = None,
        dispatch_limits: DispatchLimits | None = None,
        deduplication: bool = False,
        policy: Mapping[str, Any] | None = None,
        partitioned: Mapping[str, int] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.token_key = token_key
        self.keep_alive_seconds = keep_alive_seconds
        self.liveness_check_seconds = liveness_check_seconds
        self.max_message_size = max_message_size
        self.proxy_through_service_url = proxy_through_service_url
        self.require_lookup = require_lookup
        self.namespaces = namespaces
        self.dispatch_limits = dispatch_limits or DispatchLimits()
        self.store = Store(Policies(deduplication=deduplication, **(policy or {})), partitioned)
        self.store.watchers.append(self.changed)
        self.sessions: set[Session] = set()
        """The links that are open."""
        self._advertised_url = advertised_url
        self._server: asyncio.Server | None = None
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    @property
    def url(self) -> str:
        """The service URL, `pulsar://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_URL_SCHEME}{host}:{self.port}"

    @property
    def advertised_url(self) -> str:
        """The URL that LOOKUP answers with."""
        return self._advertised_url or self.url

    @property
    def topics(self) -> dict[str, Topic]:
        """All topics by full name, for tests to look at."""
        return self.store.topics

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("listening on %s", self.url)

    async def stop(self) -> None:
        """Close the listener and drop every link at once, as a broker that dies does. The store stays."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in list(self.sessions):
            session.abort()
        await self.wait_until(lambda: not self.sessions)

    async def restart(self, down_seconds: float = 0) -> None:
        """Drop everything, stay away for a while, come back on the same port with the same entries.

        Producers, consumers, redelivery counts and lookups are forgotten; entries, durable subscriptions and what they
        acknowledged are kept. New entries go to a new ledger.
        """
        log.info("restarting, down for %g s", down_seconds)
        await self.stop()
        self.store.restart()
        await asyncio.sleep(down_seconds)
        await self.start()

    async def wait_until(self, condition: Callable[[], object], timeout_seconds: float = 10) -> None:
        """Return once `condition()` is true; it is looked at after everything the broker does. Raises TimeoutError."""
        if condition():
            return
        waiter = (condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter[1], timeout_seconds)
        finally:
            self._waiters.remove(waiter)

    def changed(self) -> None:
        """Something happened: look at what is waited for."""
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def session_opened(self, session: Session) -> None:
        """A client connected."""
        self.sessions.add(session)
        if self._server is None:  # Accepted in the very moment the listener was closed.
            session.abort()
        self.changed()

    def session_closed(self, session: Session) -> None:
        """A link is gone."""
        self.sessions.discard(session)
        self.changed()

    async def __aenter__(self) -> "DevBroker":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
