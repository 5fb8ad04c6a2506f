"""The broker itself: its listeners, its links, its settings, and restarts that keep the store."""

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tools.devbroker import command_faults, link_faults  # noqa: F401 - they enter their kinds in the table
from tools.devbroker.administration import Administration
from tools.devbroker.faults import Fault, FaultTable, make, push
from tools.devbroker.lookup_commands import TLS_SCHEME
from tools.devbroker.names import TopicName
from tools.devbroker.placement import Placement
from tools.devbroker.policies import Policies
from tools.devbroker.session import Session
from tools.devbroker.store import Store, Topic
from tools.devbroker.subscription import DispatchLimits

if TYPE_CHECKING:
    from tools.devbroker.tls import DevTls

log = logging.getLogger(__name__)

DEFAULT_MAX_MESSAGE_SIZE = 5 * 1024 * 1024
URL_SCHEME = "pulsar://"


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
    - `authentication_refresh_seconds`: how often tokens are looked at, expired ones being asked for afresh with
      AUTH_CHALLENGE; None: only at CONNECT.
    - `tls`: a `DevTls`; the broker listens on `tls_port` too, or with `plain=False` there alone, and LOOKUP answers
      with both URLs, as far as there are two. `advertised_tls_url`: the second one, if not the address listened on.
    - `advertised_listeners`: by name, what LOOKUP answers to clients that ask for that listener: a URL, or a pair of
      plain and TLS URL.
    - `faults`: those in force from the start, see `tools.devbroker.faults`.
    - `store`, `placement`: shared by the instances of a cluster, see `tools.devbroker.cluster`.
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
        authentication_refresh_seconds: float | None = None,
        tls: "DevTls | None" = None,
        tls_port: int = 0,
        plain: bool = True,
        advertised_tls_url: str | None = None,
        advertised_listeners: Mapping[str, str | tuple[str, str]] | None = None,
        faults: Iterable[str | Fault] = (),
        store: Store | None = None,
        placement: Placement | None = None,
    ) -> None:
        if tls is None and not plain:
            raise ValueError("a broker without TLS needs its plain listener")
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
        self.authentication_refresh_seconds = authentication_refresh_seconds
        self.tls = tls
        self.tls_port = tls_port
        self.plain = plain
        self.advertised_listeners = dict(advertised_listeners or {})
        self.store = store or Store(Policies(deduplication=deduplication, **(policy or {})), partitioned)
        self.store.watchers.append(self.changed)
        self.store.writer = push
        self.placement = placement or Placement()
        if placement is None:
            self.placement.instances = (self,)
        self.faults = FaultTable(self)
        self.sessions: set[Session] = set()
        """The links that are open."""
        self._advertised_url = advertised_url
        self._advertised_tls_url = advertised_tls_url
        self._first_faults = [make(fault) if isinstance(fault, str) else fault for fault in faults]
        self._session_numbers = itertools.count(1)
        self._servers: list[asyncio.Server] = []
        self._relistening: asyncio.Task[None] | None = None
        self._up = False
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    @property
    def url(self) -> str:
        """The service URL, `pulsar://host:port`; that of TLS where there is no other."""
        return f"{URL_SCHEME}{self._host}:{self.port}" if self.plain else self.tls_url

    @property
    def tls_url(self) -> str:
        """The service URL of the TLS listener, `pulsar+ssl://host:port`, empty without one."""
        return f"{TLS_SCHEME}{self._host}:{self.tls_port}" if self.tls else ""

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def urls(self, listener: str = "") -> tuple[str, str]:
        """The plain and the TLS URL that LOOKUP answers with, empty where there is none. Raises KeyError."""
        if listener:
            urls = self.advertised_listeners[listener]
            if isinstance(urls, str):
                return ("", urls) if urls.startswith(TLS_SCHEME) else (urls, "")
            return urls
        plain = (self._advertised_url or self.url) if self.plain else ""
        return plain, self._advertised_tls_url or self.tls_url

    @property
    def is_up(self) -> bool:
        """Whether it was started and not stopped."""
        return self._up

    def serves(self, topic_name: TopicName) -> bool:
        """Whether a LOOKUP has named this broker for the topic; it refuses others."""
        return self.placement.owner(topic_name.full) is self

    def next_session_number(self) -> int:
        """A number for one more link."""
        return next(self._session_numbers)

    @property
    def topics(self) -> dict[str, Topic]:
        """All topics by full name, for tests to look at."""
        return self.store.topics

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._up = True
        try:
            await self._listen()
        except BaseException:
            self._up = False
            self.stop_listening()
            raise
        for fault in self.faults.active:
            fault.restarted(self)
        first, self._first_faults = self._first_faults, []
        for fault in first:
            self.faults.add(fault)

    async def _listen(self) -> None:
        if self.plain:
            self.port = await self._listen_on(self.port, None)
        if self.tls:
            self.tls_port = await self._listen_on(self.tls_port, self.tls.server_context())
        log.info("listening on %s", " and ".join(url for url in dict.fromkeys((self.url, self.tls_url)) if url))

    async def _listen_on(self, port: int, context: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: Session(self), self.host, port, ssl=context))
        return self._servers[-1].sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse connections; the links there are stay."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def resume_listening(self) -> None:
        """Take connections again, soon; `settled` waits for it."""
        if self._up and not self._servers:
            self._relistening = asyncio.get_running_loop().create_task(self._listen())

    async def settled(self) -> None:
        """Return when what was resumed listens. Raises OSError when the port was taken meanwhile."""
        task, self._relistening = self._relistening, None
        if task is not None:
            await task

    async def stop(self) -> None:
        """Go down for good: faults end too."""
        await self.go_down()
        self.faults.clear()

    async def go_down(self) -> None:
        """Close the listeners and drop every link at once, as a broker that dies does. Store and faults stay."""
        self._up = False
        await self.settled()
        self.stop_listening()
        for session in list(self.sessions):
            session.abort()
        await self.wait_until(lambda: not self.sessions)

    async def restart(self, down_seconds: float = 0) -> None:
        """Drop everything, stay away for a while, come back on the same port with the same entries.

        Producers, consumers, redelivery counts and lookups are forgotten; entries, durable subscriptions and what they
        acknowledged are kept. New entries go to a new ledger.
        """
        log.info("restarting, down for %g s", down_seconds)
        await self.go_down()
        self.forget_topics()
        await asyncio.sleep(down_seconds)
        await self.start()

    def forget_topics(self) -> None:
        """It serves nothing any more: whoever serves one of its topics next finds what was kept."""
        for name, topic in self.topics.items():
            if self.placement.owner(name) in (self, None):
                self.store.reload(topic)
        self.placement.forget(self)

    def fault(self, kind: str, **options: Any) -> Fault:
        """Put a fault in force: `fault("cut", sent=100)`. Raises FaultError. See `tools.devbroker.faults`."""
        return self.faults.add(kind, **options)

    async def clear_faults(self, which: Fault | int | str | None = None) -> int:
        """Take out one fault, all of a kind, or all; how many. Returns when connections are taken again."""
        count = self.faults.clear(which)
        await self.settled()
        return count

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
        if not self._servers:  # Accepted in the very moment the listener was closed.
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
