"""Client: what an application makes once, and its producers and consumers from it."""
import asyncio

from .auth import NoAuthentication
from .errors import AlreadyClosed
from .endpoint import Endpoint
from .net.stream import tls_context
from .net.supervisor import Supervisor
from .port import CLOCK_FLOOR, MAX_LINKS, READ_LIMIT_CONSUMER, const, ticks_ms, unload

_KEEP_ALIVE_LEAST = const(100)  # ms
_COUNTS_MOST = const(8)  # lists that are kept before those of closed handles are added up


class Client:
    """A Pulsar client. Nothing is connected before the first producer or consumer asks for it.

    `async with Client(…) as client:` closes it at the end, and with it all that it made.
    """

    core = None

    def __init__(
        self, service_url, authentication=None, operation_timeout_seconds=30, *, listener_name=None, logger=None,
        on_error=None, read_buffer_size=None, max_links=MAX_LINKS, allow_plaintext_token=False,
        tls_trust_certs_file_path=None, tls_validate_hostname=True, tls_allow_insecure_connection=False,
        force_tls=False, keep_alive_seconds=30, wait_for_clock=True, **others,
    ):
        """service_url: "pulsar://host:6650" or "pulsar+ssl://host:6651", several hosts by comma. authentication:
        AuthenticationToken or None.

        operation_timeout_seconds: for opening and closing. listener_name: which of the broker's advertised addresses to
        use. logger: anything with warning(text); on_error: a function of one argument, the PulsarError: both hear of
        errors that belong to no call, as `errors()` does. read_buffer_size: bytes of the largest frame that can be
        received; 2 KB on a board (4 KB with a consumer), up to the broker's maximum on CPython. max_links: connections
        at a time, 2 on a board, 0 for any number as on CPython; a topic on one broker more waits until one is free.
        allow_plaintext_token: send the token over a link that is not encrypted, to other machines than this one.
        keep_alive_seconds: a broker that has said nothing for so long, or for half of it while it owes an answer, is
        asked whether it is there; half of it later the link is given up.
        wait_for_clock: False: send messages with whatever time a board's clock shows; else they wait until it was set.

        With pulsar+ssl://: tls_trust_certs_file_path: file (PEM or DER) of the authority that signed the brokers'
        certificates, or its bytes; None: the system's store, which boards have not. tls_validate_hostname: does the
        certificate have to name the host? tls_allow_insecure_connection: any certificate will do (for tries only).
        force_tls: refuse another service URL than pulsar+ssl://; with one, no plaintext address is ever dialled.

        ValueError: the URL is none, the token would travel in the clear, an option is not supported; with its name.
        """
        from .features.client_options import check, milliseconds

        self.service_url = service_url
        self._authentication = authentication or NoAuthentication()
        self._plaintext_refused = self._authentication.secret and not allow_plaintext_token
        tls, self._service = check(service_url, force_tls, self._plaintext_refused, others)
        self._tls = tls and tls_context(
            tls_trust_certs_file_path, tls_validate_hostname, tls_allow_insecure_connection
        )
        self._timeout = milliseconds("operation_timeout_seconds", operation_timeout_seconds)
        self._keep_alive = milliseconds("keep_alive_seconds", keep_alive_seconds, _KEEP_ALIVE_LEAST)
        unload("client_options")
        self._listener_name = listener_name
        self._logger = logger
        self._on_error = on_error
        self._streams = []  # of errors
        self._counts = []  # those of all producers and consumers there ever were, see features/stats
        self._max_links = max_links
        self._clock_floor = CLOCK_FLOOR if wait_for_clock else 0
        self._read_limit = read_buffer_size
        self._supervisor = None
        self._next_id = 0
        self._closed = False

    async def create_producer(self, topic, **options):
        """A Producer on a topic, once the broker has accepted it; its options: features/new_producer.

        PulsarError where the broker refuses for good, Timeout where nothing came of it in operation_timeout_seconds.
        With wait=False it is there at once, whatever the network and the broker do: see features/offline.
        """
        from .features.new_producer import make_producer

        producer = make_producer(self._full(topic), self._id(), self._timeout, **options)
        unload("new_producer")
        return await self._open(producer)

    async def subscribe(self, topic, subscription_name, **options):
        """A Consumer of a topic by a subscription; its options: features/new_consumer. Errors as above."""
        from .features.new_consumer import make_consumer

        return await self._receive_with(
            make_consumer(self._full(topic), self._id(), self._timeout, subscription_name, **options)
        )

    async def create_reader(self, topic, start_message_id, **options):
        """A Reader of a topic from a MessageId on; its options: see `features.reader.make_reader`. Errors as above."""
        from .features.reader import make_reader

        return await self._receive_with(
            make_reader(self._full(topic), self._id(), self._timeout, start_message_id, **options)
        )

    def _full(self, topic):
        from .features.topic_name import full_topic

        name = full_topic(topic)
        unload("topic_name")
        return name

    async def _receive_with(self, consumer):
        unload("new_consumer")
        if self._read_limit is None:
            self._read_limit = READ_LIMIT_CONSUMER
            if self._supervisor:
                self._supervisor.read_limit = READ_LIMIT_CONSUMER
        return await self._open(consumer)

    async def get_topic_partitions(self, topic):
        """The full names of a topic's partitions, a list; of a topic without partitions its own name alone."""
        from .features.partitions import PartitionsQuery

        query = PartitionsQuery(self._full(topic), self._id(), self._timeout)
        await self._open(Endpoint(query))
        return query.topics

    def errors(self):
        """The errors that belong to no call (a link lost, a topic moved, a broker that refuses), as they come.

        A `features.error_stream.ErrorStream`: `async for error in client.errors()`, each a PulsarError. Who leaves that
        loop closes the stream: its `close()`, or `async with client.errors() as errors`.
        """
        from .features.error_stream import ErrorStream

        stream = ErrorStream(self._streams)
        if self._closed:
            stream.close()
        return stream

    # "idle": it holds no producer or consumer, "open": all that it holds are open, "connecting": not all of them are;
    # "closing", "closed"; "failed": by a fault in the client itself.
    state = Endpoint.state
    state_changed = Endpoint.state_changed

    def _id(self):
        if self._closed:
            raise AlreadyClosed("the client is closed")
        self._next_id += 1
        return self._next_id

    def _started(self):
        if not self._supervisor:
            self._supervisor = Supervisor(
                self._service, self._tls, self._authentication, self._plaintext_refused, self._listener_name,
                self._read_limit, self._max_links, self._report, self._keep_alive, self._clock_floor,
            )
        return self._supervisor

    async def _open(self, handle):
        supervisor = self._started()
        supervisor.adopt(handle.core)
        self._counts.append(handle.core.counts)
        if len(self._counts) > _COUNTS_MOST + 2 * len(supervisor.handles):
            from .features.stats import add_up

            add_up(self._counts, supervisor.handles)
        try:
            await handle.opened()
        except BaseException:
            # Refused, timed out, or the caller was cancelled: nothing of it stays.
            handle.core.start_close(ticks_ms())
            supervisor.attend()
            raise
        return handle

    def stats(self):
        """What its producers and consumers have done, also those closed since: a dict of "producers" and "consumers"
        (sums, as their own `stats`) and "reconnects"."""
        from .features.stats import stats_of_all

        return stats_of_all(self._counts, self._supervisor)

    def _report(self, error):
        for stream in self._streams:
            stream.put(error)
        try:
            if self._on_error:
                self._on_error(error)
            if self._logger:
                self._logger.warning(str(error))
        except Exception:  # noqa: BLE001, S110
            pass  # a logger that fails (a full flash, say) must not take the links down with it

    async def close(self):
        """Close all producers (what they hold is sent first, within operation_timeout_seconds) and consumers."""
        if self._closed:
            return
        self._closed = True
        ends = [core.owner.close() for core in self._supervisor.handles] if self._supervisor else []
        try:
            for outcome in await asyncio.gather(*ends, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        finally:
            supervisor = self._supervisor
            self.shutdown()
            if supervisor:
                await supervisor.ended()

    def shutdown(self):
        """Drop everything at once: what was not confirmed yet may be lost, and no broker is told.

        Links and tasks are gone a few turns of the event loop later.
        """
        self._closed = True
        if self._supervisor:
            self._supervisor.end()
            self._supervisor = None
        for stream in list(self._streams):
            stream.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        await self.close()
