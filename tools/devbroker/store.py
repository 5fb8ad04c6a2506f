"""All topics, in memory, and what is known of those that are not there: partitions, settings, schemas. No sockets.

What a topic loses when its broker restarts or it moves to another is decided here as well (`Store.reload`).
"""

import time
from collections.abc import Callable, Mapping

from tools.devbroker.access import Producer
from tools.devbroker.frames import Refused, ServerError
from tools.devbroker.names import TopicName
from tools.devbroker.nonpersistent import NonPersistentTopic
from tools.devbroker.policies import Policies
from tools.devbroker.schemas import SchemaRegistry
from tools.devbroker.topic import Entry, Topic, Write, signed

__all__ = ["Entry", "Producer", "Refused", "Store", "Topic", "Write", "signed"]


class Store:
    """Everything the broker keeps while its process runs.

    `partitioned`: the partitioned topics there are from the start, by name, with how many partitions each has.
    """

    def __init__(self, policies: Policies | None = None, partitioned: Mapping[str, int] | None = None) -> None:
        self.topics: dict[str, Topic] = {}
        self.policies = policies or Policies()
        self.schemas = SchemaRegistry()
        self.partitions: dict[str, int] = {}
        """How many partitions a topic has, by the full names of those that are partitioned."""
        self.migrated: dict[str, tuple[str, str]] = {}
        """The service URLs, plain and TLS, of the clusters that topics have migrated to, by full names."""
        self.writer: Callable[[Write], None] = Write.complete
        """Takes every SEND that was pushed. A fault puts its own here, which calls `complete` or `fail` in its time."""
        self.watchers: list[Callable[[], None]] = []
        """Called after what no command brought about: a write decided later, a delayed message delivered."""
        # Never those of the broker before: clients remember for a moment what they have acknowledged.
        self._next_ledger_id = int(time.time())
        self._next_producer_number = 0
        for name, count in (partitioned or {}).items():
            self.create_partitioned(TopicName.parse(name), count)

    def topic(self, name: TopicName) -> Topic:
        """The topic of that name, created on first use."""
        topic = self.topics.get(name.full)
        if topic is None:
            kind = Topic if name.is_persistent else NonPersistentTopic
            topic = self.topics[name.full] = kind(name, self._new_ledger_id(), self)
        return topic

    def open(self, name: TopicName, create: bool = True) -> Topic:
        """The topic of that name, for a producer or a consumer.

        Made if its settings, and `create`, allow. Raises Refused: NotAllowedError for a partitioned topic as such or a
        partition of one that is not partitioned, TopicNotFound for what is not there.
        """
        topic = self.find(name)
        if topic is not None:
            return topic
        if name.full in self.partitions:
            text = f"Found partitioned metadata for non-partitioned topic: {name.full}"
            raise Refused(ServerError.NotAllowedError, text)
        may_create = create and bool(self.policies.of(name).auto_topic_creation)
        if name.partition >= 0:
            count = self.partitions.get(name.parent.full)
            if count is None and may_create:
                text = f"Partition metadata not found for the partitioned topic: {name.full}"
                raise Refused(ServerError.NotAllowedError, text)
            may_create = count is not None and name.partition < count
        if not may_create:
            raise Refused(ServerError.TopicNotFound, f"Topic not found {name.full}")
        return self.topic(name)

    def find(self, name: TopicName) -> Topic | None:
        """The topic of that name, None if it was never used."""
        return self.topics.get(name.full)

    def create_partitioned(self, name: TopicName, count: int) -> None:
        """Make a partitioned topic, or give one more partitions. Raises ValueError for what cannot be."""
        if name.partition >= 0 or name.full in self.topics:
            raise ValueError(f"{name.full} is a partition, or a topic that is not partitioned")
        if count < max(self.partitions.get(name.full, 1), 1):
            raise ValueError(f"{name.full} cannot have {count} partitions: at least 1, and never fewer than it has")
        self.partitions[name.full] = count

    def partition_count(self, name: TopicName, create: bool) -> int:
        """What PARTITIONED_METADATA answers; 0: not partitioned. Raises Refused (TopicNotFound)."""
        if name.partition >= 0:
            count = self.partitions.get(name.parent.full)
            if name.partition >= count if count is not None else not create:
                raise Refused(ServerError.TopicNotFound, "")
            return 0
        if name.full not in self.partitions and self.find(name) is None:
            policy = self.policies.of(name)
            if not create or not policy.auto_topic_creation:
                raise Refused(ServerError.TopicNotFound, "")
            if policy.auto_partitions:
                self.partitions[name.full] = policy.auto_partitions
        return self.partitions.get(name.full, 0)

    def changed(self) -> None:
        """Something happened that no command brought about."""
        for watcher in self.watchers:
            watcher()

    def new_producer_name(self) -> str:
        """A name for a producer that brought none; never the same twice, also across restarts."""
        name = f"devbroker-{self._next_producer_number}"
        self._next_producer_number += 1
        return name

    def reload(self, topic: Topic) -> None:
        """Forget what of a topic lives in a broker's memory only; entries and durable subscriptions stay.

        Its producers and consumers have to be gone already. It goes on in a new ledger.
        """
        topic.reload(self._new_ledger_id())

    def _new_ledger_id(self) -> int:
        self._next_ledger_id += 1
        return self._next_ledger_id - 1
