"""Which producers a topic lets in: names that are held, and the access modes with their queue and their epochs.

The order of the broker: the access mode is looked at first, the name after it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tools.devbroker.frames import Refused, ServerError

if TYPE_CHECKING:
    from asyncio import Future

    from tools.devbroker.topic import Topic

SHARED_ACCESS, EXCLUSIVE, WAIT_FOR_EXCLUSIVE, EXCLUSIVE_WITH_FENCING = range(4)
"""ProducerAccessMode."""


class ProducerLink(Protocol):
    """What a topic needs of the link a producer came over."""

    def close_producer(self, producer: "Producer", assigned: tuple[str, str] = ("", "")) -> None:
        """Close the producer from the broker's side; `assigned` are the URLs, plain and TLS, of where to go."""
        ...

    def drop_producer(self, producer: "Producer") -> None:
        """Forget the producer without a word: it is fenced, and a SEND of it costs the link."""
        ...

    def end_waiting(self, producer: "Producer", refusal: Refused | None) -> None:
        """A producer that waited has the topic now, or never will."""
        ...

    def probe(self) -> "Future[bool]":
        """Find out whether the peer is alive; the future gives the answer."""
        ...


@dataclass(eq=False)
class Producer:
    """A producer that is open on a topic, or waits for its turn."""

    name: str
    producer_id: int
    topic: "Topic"
    link: ProducerLink
    access_mode: int = SHARED_ACCESS
    topic_epoch: int | None = None
    """What PRODUCER said; once it is let in, the topic's epoch, None while the topic has had no exclusive producer."""
    request_id: int = 0
    """Of PRODUCER: the answer at the end of waiting repeats it."""
    schema_version: bytes = b""
    properties: dict[str, str] = field(default_factory=dict)
    """What PRODUCER says of its producer, for whoever looks."""
    is_waiting: bool = False
    is_closed: bool = False


class Admission:
    """The producers of one topic."""

    def __init__(self, topic_name: str) -> None:
        self.producers: dict[str, Producer] = {}
        """Those that are let in, by name."""
        self.waiting: list[Producer] = []
        self.exclusive: Producer | None = None
        self.epoch = -1
        """How many exclusive producers came one after the other, from 0; -1 before the first."""
        self._topic_name = topic_name

    def check_access(self, producer: Producer) -> None:
        """Raises Refused where the access mode keeps a producer out: ProducerBusy, ProducerFenced.

        ExclusiveWithFencing fences the others here, and may find itself fenced by its epoch after that, as it does
        with a real broker.
        """
        mode = producer.access_mode
        if mode in (SHARED_ACCESS, EXCLUSIVE) and (self.exclusive or self.waiting):
            code = ServerError.ProducerBusy if mode == SHARED_ACCESS else ServerError.ProducerFenced
            name = self.exclusive.name if self.exclusive else None
            raise Refused(code, f"Topic has an existing exclusive producer: {name}")
        if mode == EXCLUSIVE and self.producers:
            raise Refused(ServerError.ProducerFenced, "Topic has existing shared producers")
        if mode == EXCLUSIVE_WITH_FENCING and self.producers:
            self._fence_all()
        if mode != SHARED_ACCESS and not self.producers:
            epoch = producer.topic_epoch
            if epoch is not None and epoch < self.epoch:
                text = f"Topic epoch has already moved. Current epoch: {self.epoch}, Producer epoch: {epoch}"
                raise Refused(ServerError.ProducerFenced, text)

    def admit(self, producer: Producer) -> None:
        """Let a producer in, or have it wait. Raises Refused (see check_access), or ProducerBusy: its name is held."""
        self.check_access(producer)
        if producer.access_mode == SHARED_ACCESS:
            if producer.name in self.producers:
                raise self.name_held(producer.name)
            producer.topic_epoch = self.epoch if self.epoch >= 0 else None
            self.producers[producer.name] = producer
        elif producer.access_mode == WAIT_FOR_EXCLUSIVE and self.producers:
            producer.is_waiting = True
            self.waiting.append(producer)
        else:
            self._make_exclusive(producer)

    def name_held(self, producer_name: str) -> Refused:
        """The refusal of a producer whose name another live one holds."""
        text = f"Producer with name '{producer_name}' is already connected to topic '{self._topic_name}'"
        return Refused(ServerError.ProducerBusy, text)

    def remove(self, producer: Producer) -> None:
        """Forget a producer; harmless when another one holds its name by now. The next in the queue may come in."""
        producer.is_closed = True
        if self.producers.get(producer.name) is producer:
            del self.producers[producer.name]
            if self.exclusive is producer:
                self.exclusive = None
            self._let_next_in()

    def close_all(self, refusal: Refused, assigned: tuple[str, str] = ("", "")) -> None:
        """Close all producers from the broker's side; those that wait get the refusal."""
        producers = list(self.producers.values())
        self._refuse_waiting(refusal)
        self.forget()
        for producer in producers:
            producer.link.close_producer(producer, assigned)

    def forget(self) -> None:
        """Forget all producers, as a broker does that restarts; the epoch stays."""
        self.producers.clear()
        self.waiting.clear()
        self.exclusive = None

    def _make_exclusive(self, producer: Producer) -> None:
        self.epoch = self.epoch + 1 if producer.topic_epoch is None else producer.topic_epoch
        producer.topic_epoch = self.epoch
        self.exclusive = producer
        self.producers[producer.name] = producer

    def _let_next_in(self) -> None:
        while self.waiting and not self.producers:
            producer = self.waiting.pop(0)
            self._make_exclusive(producer)
            if producer.is_closed:
                # It left the queue without a trace there: its turn comes, and takes an epoch, all the same.
                del self.producers[producer.name]
                self.exclusive = None
            else:
                producer.is_waiting = False
                producer.link.end_waiting(producer, None)

    def _fence_all(self) -> None:
        producers = list(self.producers.values())
        self._refuse_waiting(Refused(ServerError.ProducerFenced, "Fenced out"))
        self.forget()
        for producer in producers:
            producer.is_closed = True
            producer.link.drop_producer(producer)

    def _refuse_waiting(self, refusal: Refused) -> None:
        waiting, self.waiting = self.waiting, []
        for producer in waiting:
            if not producer.is_closed:
                producer.is_closed = True
                producer.link.end_waiting(producer, refusal)
