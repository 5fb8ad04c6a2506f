"""The one task that decides which link each handle belongs to and sees to every deadline; it waits for no network."""
import asyncio

from ..core.clock import Clock
from ..core.handle import CLOSED, IDLE, NEVER
from ..core.retry import verdict
from ..core.topic import parse_service_url, refuse_plaintext
from ..errors import AlreadyClosed, AuthenticationError, ConnectError, PulsarError
from ..port import READ_LIMIT, ticks_ms, unix_seconds
from .link import Link
from .stream import sleep_ms, wait


class Supervisor:
    """Owns links and handles; sleeps until the next deadline or until somebody calls attend()."""

    def __init__(self, service_url, authentication, plaintext_refused, listener_name, read_limit, report):
        """read_limit: bytes that a link's read buffer may grow to, None: the port's own. report(error): see Client."""
        self._tls, self._service = parse_service_url(service_url)
        if self._tls:
            raise ValueError("service URL %r: TLS is not supported yet" % service_url)
        self.authentication = authentication
        self._plaintext_refused = plaintext_refused  # may the credentials not leave this machine unencrypted?
        self.clock = Clock(unix_seconds(), ticks_ms())
        self.handles = []
        self.report = report
        self.read_limit = READ_LIMIT if read_limit is None else read_limit
        self._listener_name = listener_name
        self._links = {}  # by (address, proxy_to)
        self._turn = 0  # which of the service URL's hosts is tried next
        self._closed = False
        self._failure = None  # a fault of ours that ended the task
        self._wake = asyncio.Event()
        self.attend = self._wake.set
        self._task = asyncio.create_task(self._run())

    def adopt(self, handle):
        """Take care of a handle from now on."""
        handle.attend = self.attend
        handle.report = self.report
        if self._failure:
            handle.fail(self._failure)
            return
        self.handles.append(handle)
        self.attend()

    def dismiss(self, handle):
        """It needs no care any more."""
        if handle in self.handles:
            self.handles.remove(handle)

    def place(self, url, tls_url, proxied):
        """(address, proxy_to) of the link that reaches the broker which a look-up named.

        The one place that decides "am I connected to the right one?".
        """
        url = tls_url if self._tls else url
        try:
            tls, addresses = parse_service_url(url)
        except ValueError as error:
            raise ConnectError("the look-up's answer: %s" % error)
        if tls != self._tls:
            raise ConnectError("the look-up's answer %r is not of the service URL's scheme" % url)
        target = addresses[0]
        if proxied and target not in self._service:
            return self._service[self._turn % len(self._service)], "%s:%d" % target
        if self._plaintext_refused and not tls:
            refuse_plaintext(target[0], ConnectError)
        return target, None

    async def _run(self):
        try:
            while not self._closed:
                self._wake.clear()
                now = ticks_ms()
                self.clock.update(now)
                pause = NEVER
                for key in list(self._links):
                    pause = min(pause, await self._tend_link(key, now))
                for handle in list(self.handles):
                    pause = min(pause, self._tend_handle(handle, now))
                await wait(self._wake, pause)
        except Exception as error:  # noqa: BLE001
            # A fault of ours must not leave anybody waiting for ever.
            self._failure = PulsarError("a fault in the client itself, please report it: %r" % (error,))
            self.report(self._failure)
        for link in list(self._links.values()):
            await link.stop()
        self._links.clear()
        for handle in list(self.handles):
            if handle.state != CLOSED:
                # Its broker will not answer any more, and somebody may be waiting for that.
                handle.fail(self._failure or handle.failure or AlreadyClosed("%s: closed" % handle.topic))

    async def _tend_link(self, key, now):
        link = self._links[key]
        pause = NEVER
        if not link.error:
            try:
                pause = link.connection.sweep(now)
            except PulsarError as error:
                link.error = error
        if link.error:
            del self._links[key]
            await self._drop(link, now)
        return pause

    async def _drop(self, link, now):
        error = link.error
        await link.stop()
        connection = link.connection
        if not connection.connected:
            self._turn += 1
        self.report(error)
        refused = isinstance(error, AuthenticationError)
        for handle in list(connection.handles.values()):
            if refused and verdict(error.code, handle.established) == "f":
                connection.forget(handle)
                handle.fail(error)
            else:
                handle.lost(error, now, refused)

    def _tend_handle(self, handle, now):
        if handle.state == CLOSED:
            self.dismiss(handle)
            return NEVER
        pause = handle.sweep(now)
        if handle.state != IDLE:
            return pause
        wait_before = handle.wait_before(now)
        if wait_before:
            return min(pause, wait_before)
        self._attach(handle, now)
        return min(pause, handle.sweep(now))

    def _attach(self, handle, now):
        key = self._service[self._turn % len(self._service)], None
        move = handle.move_to
        if move:
            try:
                key = self.place(move[0], move[1], move[2])
            except ConnectError as error:
                handle.refuse_place(error, now)
                return
        link = self._links.get(key)
        if not link:
            try:
                link = self._links[key] = Link(self, key[0], key[1], self.read_limit, now)
            except MemoryError:
                handle.refuse_place(ConnectError("no memory for the read buffer of a link"), now)
                return
        link.connection.limit = self.read_limit
        handle.attach(link.connection, now, self._listener_name)

    async def close(self):
        """Stop everything; no task and no socket stays behind."""
        # Told, not cancelled, and not awaited either, which would hand on a cancellation of whoever closes.
        self._closed = True
        self.attend()
        while not self._task.done():
            await sleep_ms(0)
