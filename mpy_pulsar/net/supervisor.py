"""The one task that decides which link each handle belongs to and sees to every deadline; it waits for no network."""
import asyncio

from ..core.clock import Clock
from ..core.handle import CLOSED, IDLE, NEVER, OPENING, WAITING
from ..core.topic import parse_service_url
from ..errors import AlreadyClosed, ConnectError, PulsarError
from ..port import READ_LIMIT, collect, const, ticks_diff, ticks_ms, unix_seconds
from .link import NO_MEMORY, Link
from .stream import sleep_ms, wait

_AUTHENTICATION_ERROR = const(3)
# What a broker says before CONNECTED and somebody has to mend: credentials (3), permission (4), a broker that starts
# (6), too many connections (22).
_REFUSALS = b"\x03\x04\x06\x16"

_IDLE_LINK = const(30000)  # ms after which a link without a handle is closed
_BREATH = const(100)  # ms to wait where memory is short


class Supervisor:
    """Owns links and handles; sleeps until the next deadline or until somebody calls attend()."""

    def __init__(
        self, service, tls, authentication, plaintext_refused, listener_name, read_limit, max_links, report,
        keep_alive=30000, clock_floor=0
    ):
        """service: [(host, port), …] of the service URL. tls: what `net.stream.tls_context` made, None without TLS.

        plaintext_refused: may the credentials not leave this machine unencrypted? read_limit: bytes that a link's read
        buffer may grow to, None: the port's own. max_links: 0 is any number. report(error): see Client. keep_alive: ms.
        clock_floor: see Clock.
        """
        self._service = service
        self.tls = tls
        self.authentication = authentication
        self._plaintext_refused = plaintext_refused
        self.clock = Clock(unix_seconds(), ticks_ms(), clock_floor)
        self.handles = []
        self.report = report
        self.read_limit = READ_LIMIT if read_limit is None else read_limit
        self.keep_alive = keep_alive
        self.turned = None  # an Event of who watches: set whenever everything has been looked at
        self._listener_name = listener_name
        self._max_links = max_links
        self._links = {}  # by (address, proxy_to)
        self._starved = []  # handles that found no link free
        self._careful = set()  # addresses that closed the link for an opening before its look-up
        self._turn = 0  # which of the service URL's hosts is tried next
        self._closed = False
        self._failure = None  # a fault of ours that ended the task
        self._wake = asyncio.Event()
        self.attend = self._wake.set
        self._task = asyncio.create_task(self._run())

    def adopt(self, handle):
        """Take care of a handle from now on."""
        handle.attend = self.attend
        handle.reporter = self.report
        if self._failure:
            handle.fail(self._failure.again())
            return
        self.handles.append(handle)
        self.attend()

    def dismiss(self, handle):
        """It needs no care any more."""
        for handles in (self.handles, self._starved):
            if handle in handles:
                handles.remove(handle)

    def place(self, url, tls_url, proxied):
        """(address, proxy_to) of the link that reaches the broker which a look-up named.

        The one place that decides "am I connected to the right one?". proxied: False, True: through the service URL, or
        the (url, TLS url) of another cluster.
        """
        url = tls_url if self.tls else url
        if not url:
            raise ConnectError("the broker's answer has no %s:// address" % ("pulsar+ssl" if self.tls else "pulsar"))
        try:
            tls, addresses = parse_service_url(url)
        except ValueError as error:
            raise ConnectError("the broker's answer: %s" % error)
        if tls != bool(self.tls):
            raise ConnectError("the broker's answer %r is not of the service URL's scheme" % url)
        target = addresses[self._turn % len(addresses)]
        if proxied:
            service = self._service if proxied is True else [self.place(proxied[0], proxied[1], False)[0]]
            if target not in service:
                return service[self._turn % len(service)], "%s:%d" % target
        if self._plaintext_refused and not tls:
            from ..features.plaintext import refuse_plaintext

            refuse_plaintext(target[0], ConnectError)
        return target, None

    def _service_address(self):
        return self._service[self._turn % len(self._service)]

    async def _run(self):
        try:
            while not self._closed:
                try:
                    self._wake.clear()
                    pause = await self._tend(ticks_ms())
                    if self.turned:
                        self.turned.set()
                    await wait(self._wake, pause)
                except MemoryError:
                    # A heap that is full for a moment; what was left half done is looked at again.
                    collect()
                    await sleep_ms(_BREATH)
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
                error = self._failure or handle.failure
                handle.fail(error.again() if error else AlreadyClosed("%s: closed" % handle.topic))
        if self.turned:
            self.turned.set()

    async def _tend(self, now):
        """Look at everything once: ms until the next deadline."""
        clock = self.clock
        clock.update(now)
        pause = NEVER
        seconds = unix_seconds()
        if clock.high < clock.floor or clock.jump(seconds):
            from ..features.clock_gate import look

            pause = look(self, seconds, now)
        for key in list(self._links):
            pause = min(pause, await self._tend_link(key, now))
        for handle in list(self.handles):
            try:
                pause = min(pause, await self._tend_handle(handle, now))
            except MemoryError:
                collect()
                pause = min(pause, _BREATH)
                if WAITING <= handle.state <= OPENING:
                    handle.lost(NO_MEMORY, now)  # on its way, some of it may be missing: from the start, later
        return pause

    async def _tend_link(self, key, now):
        link = self._links[key]
        pause = NEVER
        if not link.error:
            try:
                pause = link.connection.sweep(now)
            except PulsarError as error:
                link.fail(error)
        if link.error:
            await self._drop(link, now)
            del self._links[key]
        elif link.connection.handles:
            link.idle_since = None
        elif link.idle_since is None:
            link.idle_since = now
            while self._starved:
                self._starved.pop().not_before = None  # the link may be given up for them
            pause = min(pause, _IDLE_LINK)
        else:
            left = _IDLE_LINK - ticks_diff(now, link.idle_since)
            if left <= 0:
                await link.stop()
                del self._links[key]
            pause = min(pause, left)
        return pause

    async def _drop(self, link, now):
        error = link.error
        await link.stop()
        connection = link.connection
        refused = False
        if connection.speculation > 1:
            self._careful.add(link.address)
        failed = link.address == self._service_address()
        if not connection.connected:
            refused = 0 <= error.code < 128 and error.code in _REFUSALS
        refused = refused or error.code == _AUTHENTICATION_ERROR
        self.report(error)
        for handle in list(connection.handles.values()):
            failed = failed or handle.service
            if error.code == _AUTHENTICATION_ERROR and not handle.established:
                connection.forget(handle)
                handle.fail(error.again())
            else:
                handle.lost(error, now, refused)
        if failed:
            self._turn += 1  # a host that just failed is tried again when all others have been

    async def _tend_handle(self, handle, now):
        if handle.state == CLOSED:
            self.dismiss(handle)
            return NEVER
        pause = handle.sweep(now)
        if handle.state != IDLE:
            return pause
        wait_before = handle.wait_before(now)
        if wait_before:
            return min(pause, wait_before)
        try:
            link = await self._link_for(handle, now)
        except ConnectError as error:
            handle.refuse_place(error, now)
        except MemoryError:
            handle.refuse_place(ConnectError("no memory for the read buffer of a link"), now)
        else:
            if handle.state == IDLE:  # nobody closed it while a link was being given up for it
                link.connection.limit = self.read_limit
                handle.attach(link.connection, now, self._listener_name)
        return min(pause, handle.sweep(now))

    async def _link_for(self, handle, now):
        """The link on which a handle goes on: that to the place it was sent to, else any on which it can look up."""
        move = handle.move_to
        if move:
            key = self.place(move[0], move[1], move[2])
            link = self._links.get(key)
        elif handle.service:
            try:
                key = self.place(handle.service[0], handle.service[1], False)
            except ConnectError:
                handle.service = None  # back to the old one, whose word it was
                raise
            link = self._links.get(key)
        else:
            key = self._service_address(), None
            link = self._links.get(key)
            for other in self._links.values():
                connection = other.connection
                if not link and connection.connected and not (other.proxy_to or other.error or connection.foreign):
                    link = other
        if link:
            return link
        if self._max_links and len(self._links) >= self._max_links:
            await self._give_up_idle(handle, key)
        link = self._links[key] = Link(self, key[0], key[1], self.read_limit, now)
        link.connection.keep_alive = self.keep_alive
        link.connection.foreign = bool(handle.service)
        self.attend()  # once more, for the deadline of its handshake
        if link.address in self._careful:
            link.connection.speculation = 0
        return link

    async def _give_up_idle(self, handle, wanted):
        """Close a link that no handle is on, to dial another; ConnectError where each has one."""
        from ..features.no_link import give_up_idle

        await give_up_idle(self, handle, wanted)

    def end(self):
        """Stop everything soon; no task and no socket stays behind."""
        # Told, not cancelled, and not awaited either, which would hand on a cancellation of whoever closes.
        self._closed = True
        self.attend()

    async def ended(self):
        """Until everything has stopped."""
        while not self._task.done():
            await sleep_ms(0)
