"""`create_producer(…, when_full=…)`: what happens to messages for which the send buffer has no room.

"block" and "error" are what block_if_queue_full says. "drop_oldest" drops batches that were never transmitted, the
oldest first, for what comes; "drop_newest" what comes.
"""
from ..errors import QueueFull
from ..port import const
from ..wire.batch import ENTRY_HEAD
from .dropping import Dropping, first_unsent, place

_FULL = const(11)  # in a producer's counts, see features/stats
_BATCHES = const(4)  # that a full buffer holds at least, so that a drop costs little

_POLICIES = ("block", "error", "drop_oldest", "drop_newest")


def apply(producer, block_if_queue_full, others):
    """The options of `create_producer` that few use: when_full, time_to_live_ms; whatever else `others` has is refused.

    ValueError, TypeError.
    """
    others = dict(others)
    when_full = others.pop("when_full", None)
    time_to_live = others.pop("time_to_live_ms", 0)
    if others:
        from .options import refuse

        refuse("create_producer", others)
    if time_to_live:
        from .send_timeout import set_time_to_live

        set_time_to_live(producer.core, time_to_live)
    if when_full is not None:
        set_policy(producer, when_full, block_if_queue_full)


def set_policy(producer, when_full, block_if_queue_full):
    """Apply the two options (None: not given); ValueError where the policy is none, or they contradict each other."""
    if when_full not in _POLICIES:
        raise ValueError("when_full: %r is none of %s" % (when_full, ", ".join(_POLICIES)))
    if block_if_queue_full is not None and when_full != ("block" if block_if_queue_full else "error"):
        raise ValueError(
            "when_full=%r contradicts block_if_queue_full=%r: leave one out" % (when_full, block_if_queue_full)
        )
    producer.block = when_full == "block" or when_full == "drop_oldest"
    if when_full == "drop_oldest":
        DropOldest(producer.core)
    elif when_full == "drop_newest":
        DropNewest(producer)


def _dropping(core):
    return core.dropping or Dropping(core)


class DropOldest:
    """Makes room in a ring by dropping, where that makes enough."""

    def __init__(self, core):
        self._core = core
        self._ring = core.ring
        self._dropping = _dropping(core)
        self._error = QueueFull(
            "%s: the send buffer was full: the message was not sent, dropped for newer ones" % core.topic
        )
        self._ring.max_bytes = min(self._ring.max_bytes, len(self._ring.buffer) // _BATCHES)
        self._ring.overflow = self.make_room

    def make_room(self, need, messages):
        """Before a batch is opened for so many messages of `need` bytes (None: a large one, in a buffer of its own)."""
        ring = self._ring
        first = first_unsent(ring)
        if self._has_room(need, messages) or not self._would_have(need, messages, first):
            return  # where what was transmitted is in the way, nothing is gained by dropping the rest
        while first <= ring.last_batch() and not self._has_room(need, messages):
            self._dropping.drop(first, _FULL, self._error)
            first = first_unsent(ring)

    def _has_room(self, need, messages):
        ring = self._ring
        number = ring.last_batch() + 1
        if number - ring.oldest >= ring._slots or ring.pending + ring._count + messages > ring.max_pending:
            return False
        return not ring.own if need is None else ring._place(need, number) >= 0

    def _would_have(self, need, messages, first):
        """Is there room once all batches from number `first` on are dropped?"""
        ring = self._ring
        pending = 0
        for number in range(ring.oldest, first):
            if ring.holds(number):
                pending += max(ring.size_of(number), 1)
            if need is None and number % ring._slots in ring.own:
                return False
        if first - ring.oldest >= ring._slots or pending + messages > ring.max_pending:
            return False
        return need is None or place(ring, need + ring.head_room, first - 1) >= 0


class DropNewest:
    """Stands before a producer's ring, and takes nothing for which it has no room."""

    def __init__(self, producer):
        self._core = producer.core
        self._ring = producer.core.ring
        self._dropping = _dropping(producer.core)
        self._head = ENTRY_HEAD if producer.batching else 0
        self._add = producer._add
        self._error = QueueFull(
            "%s: the send buffer was full: the message was dropped, it was not sent" % producer.core.topic
        )
        producer._add = self.add
        producer.newest = self

    def add(self, payload):
        """What `BatchRing.add` is, but that a message without room ends here; allocates nothing."""
        ring = self._ring
        need = len(payload) + self._head
        if ring.failure or ring.has_room(need - ENTRY_HEAD):
            return self._add(payload)
        ring.refuse_unfit(need)
        self.drop()
        return True

    def drop(self):
        """A message that nobody waits for was not taken: the next flush tells; allocates nothing."""
        self._count(1)
        if not self._core.refused:
            self._core.refused = self._error

    def refuse(self, messages):
        """So many were not taken: the error that tells whoever sent them."""
        self._count(messages)
        return self._error.again()

    def _count(self, messages):
        self._core.counts[_FULL] += messages
        self._ring.full = True  # what is open is not to wait for its delay
        self._dropping.note()
