"""Client: what an application makes once, and its producers and consumers from it."""
import asyncio

from .auth import NoAuthentication
from .core.topic import full_topic, parse_service_url, refuse_plaintext
from .errors import AlreadyClosed
from .net.supervisor import Supervisor
from .port import READ_LIMIT_CONSUMER, ticks_ms


class Client:
    """A Pulsar client. Nothing is connected before the first producer or consumer asks for it.

    `async with Client(…) as client:` closes it at the end, and with it all that it made.
    """

    def __init__(
        self, service_url, *, authentication=None, operation_timeout_seconds=30, listener_name=None, logger=None,
        read_buffer_size=None, allow_plaintext_token=False,
    ):
        """service_url: "pulsar://host:6650", several hosts by comma. authentication: AuthenticationToken or None.

        operation_timeout_seconds: for opening and closing. listener_name: which of the broker's advertised addresses to
        use. logger: anything with warning(text), for errors that belong to no call. read_buffer_size: bytes of the
        largest frame that can be received; 2 KB on a board (4 KB with a consumer), up to the broker's maximum on
        CPython. allow_plaintext_token: send the token over a link that is not encrypted, to other machines than this
        one. ValueError: the URL is none, or the token would travel in the clear.
        """
        tls, addresses = parse_service_url(service_url)
        if operation_timeout_seconds <= 0:
            raise ValueError("operation_timeout_seconds must be above 0")
        self.service_url = service_url
        self._authentication = authentication or NoAuthentication()
        self._plaintext_refused = self._authentication.secret and not allow_plaintext_token
        if self._plaintext_refused and not tls:
            for host, _ in addresses:
                refuse_plaintext(host, ValueError)
        self._timeout = int(operation_timeout_seconds * 1000)
        self._listener_name = listener_name
        self._logger = logger
        self._read_limit = read_buffer_size
        self._supervisor = None
        self._next_id = 0
        self._closed = False

    async def create_producer(self, topic, **options):
        """A Producer on a topic, once the broker has accepted it; its options: see `producer.make_producer`.

        PulsarError where the broker refuses for good, Timeout where nothing came of it in operation_timeout_seconds.
        """
        from .producer import make_producer

        return await self._open(make_producer(full_topic(topic), self._id(), self._timeout, **options))

    async def subscribe(self, topic, subscription_name, **options):
        """A Consumer of a topic by a subscription; its options: see `consumer.make_consumer`. Errors as above."""
        from .consumer import make_consumer

        return await self._receive_with(
            make_consumer(full_topic(topic), self._id(), self._timeout, subscription_name, **options)
        )

    async def create_reader(self, topic, start_message_id, **options):
        """A Reader of a topic from a MessageId on; its options: see `features.reader.make_reader`. Errors as above."""
        from .features.reader import make_reader

        return await self._receive_with(
            make_reader(full_topic(topic), self._id(), self._timeout, start_message_id, **options)
        )

    async def _receive_with(self, consumer):
        if self._read_limit is None:
            self._read_limit = READ_LIMIT_CONSUMER
            if self._supervisor:
                self._supervisor.read_limit = READ_LIMIT_CONSUMER
        return await self._open(consumer)

    def _id(self):
        if self._closed:
            raise AlreadyClosed("the client is closed")
        self._next_id += 1
        return self._next_id

    async def _open(self, handle):
        supervisor = self._supervisor
        if not supervisor:
            supervisor = self._supervisor = Supervisor(
                self.service_url, self._authentication, self._plaintext_refused, self._listener_name,
                self._read_limit, self._report,
            )
        supervisor.adopt(handle.core)
        try:
            await handle.opened()
        except BaseException:
            # Refused, timed out, or the caller was cancelled: nothing of it stays.
            handle.core.start_close(ticks_ms())
            supervisor.attend()
            raise
        return handle

    def _report(self, error):
        if self._logger:
            try:
                self._logger.warning(str(error))
            except Exception:  # noqa: BLE001, S110
                pass  # a logger that fails (a full flash, say) must not take the links down with it

    async def close(self):
        """Close all producers (what they hold is sent first, within operation_timeout_seconds) and consumers."""
        self._closed = True
        supervisor = self._supervisor
        if not supervisor:
            return
        self._supervisor = None
        try:
            ends = [core.owner.close() for core in supervisor.handles]
            for outcome in await asyncio.gather(*ends, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        finally:
            await supervisor.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        await self.close()
