"""Key_Shared's dispatcher: the messages of one key go to one consumer, in order.

A key belongs to the consumer its slot belongs to (`sticky`). When consumers come or go, slots change hands; then the
messages of a slot wait until the consumer that had it before has acknowledged, or given back, what it holds of it.
"""

from bisect import insort
from typing import TYPE_CHECKING

from tools.devbroker.consumers import Consumer
from tools.devbroker.dispatch import RoundRobin
from tools.devbroker.frames import Refused, ServerError
from tools.devbroker.sticky import AutoSplit, FixedRanges, slot_of, sticky_key

if TYPE_CHECKING:
    from tools.devbroker.subscription import Subscription
    from tools.devbroker.topic import Entry

AUTO_SPLIT, STICKY = 0, 1
"""KeySharedMode."""
_MODE_NAMES = ("AUTO_SPLIT", "STICKY")


class KeyShared(RoundRobin):
    """Made for the first consumer, whose mode the following ones have to share."""

    def __init__(self, subscription: "Subscription", first: Consumer) -> None:
        super().__init__(subscription)
        self._mode = first.key_shared.keySharedMode
        self._out_of_order = first.key_shared.allowOutOfOrderDelivery
        self._selector = FixedRanges() if self._mode == STICKY else AutoSplit()
        self._slots: dict[int, int] = {}
        """By the index of an entry: of those held by a consumer or set aside."""
        self._holders: dict[int, tuple[Consumer, int]] = {}
        """By slot: who has entries of it that are not acknowledged, and how many."""

    def check(self, newcomer: Consumer) -> Consumer | None:
        """Raises Refused for another mode (ConsumerBusy) or ranges nobody can have (ConsumerAssignError)."""
        meta = newcomer.key_shared
        if meta.keySharedMode != self._mode:
            raise _different(
                f"key_shared mode of '{_MODE_NAMES[self._mode]}' is different than the connecting consumer's "
                f"key_shared mode '{_MODE_NAMES[meta.keySharedMode]}'."
            )
        if meta.allowOutOfOrderDelivery != self._out_of_order:
            theirs, its = ("does not allow", "allows") if meta.allowOutOfOrderDelivery else ("allows", "does not allow")
            raise _different(f"{theirs} out of order delivery while the connecting consumer {its} it.")
        return self._selector.conflict(newcomer)

    def added(self, consumer: Consumer) -> None:
        """A consumer came: some slots are its own from now on."""
        super().added(consumer)
        self._selector.add(consumer)

    def removed(self, consumer: Consumer) -> None:
        """A consumer went: its slots are others' from now on."""
        self._selector.remove(consumer)
        super().removed(consumer)

    def acknowledged(self, index: int) -> None:
        """An entry less of its slot is held; the last one lets those that waited for it go."""
        for consumer in self.subscription.consumers:
            if index in consumer.pending:
                consumer.pending.remove(index)
                if self._release(index) and self._replay:
                    self.subscription.dispatch()
                return

    def clear(self) -> None:
        """All consumers are gone."""
        super().clear()
        self._slots.clear()
        self._holders.clear()

    def pick(self, entry: "Entry") -> Consumer | None:
        """Whom an entry goes to that cannot wait."""
        return self._selector.select(slot_of(sticky_key(entry.metadata)))

    def dispatch(self) -> None:
        """Hand out what was set aside, then new entries.

        A slot that has to wait does so to the end of the round, since permits only become fewer in it: so no entry
        overtakes an earlier one of its slot.
        """
        replay, self._replay = self._replay, []
        for index in replay:
            if self.subscription.cursor.is_acknowledged(index):
                self._slots.pop(index, None)
            elif not self._try(index):
                self._replay.append(index)
        limit = self.subscription.limits.look_ahead_per_consumer * len(self.subscription.consumers)
        while len(self._replay) < limit and any(consumer.is_ready for consumer in self.subscription.consumers):
            new = self._read()
            if new is None:
                return
            if not self._try(new):
                self._set_aside(new)

    def _try(self, index: int) -> bool:
        """Deliver an entry if its slot need not wait."""
        slot = self._slots.get(index)
        if slot is None:
            slot = self._slots[index] = slot_of(sticky_key(self.subscription.topic.entries[index].metadata))
        consumer = self._selector.select(slot)
        holder, count = self._holders.get(slot, (consumer, 0))
        in_order = self._out_of_order or holder is consumer
        if consumer is None or not consumer.is_ready or not in_order:
            return False
        self._holders[slot] = consumer, count + 1
        consumer.pending.add(index)
        self.deliver(consumer, index)
        return True

    def _give_back(self, consumer: Consumer, indexes: set[int]) -> None:
        consumer.pending -= indexes
        for index in indexes:
            slot = self._slots[index]
            self._release(index)
            self._slots[index] = slot
            self._set_aside(index)

    def _set_aside(self, index: int) -> None:
        insort(self._replay, index)

    def _release(self, index: int) -> bool:
        """An entry is no longer held; whether it was the last one of its slot."""
        slot = self._slots.pop(index)
        consumer, count = self._holders[slot]
        if count > 1:
            self._holders[slot] = consumer, count - 1
            return False
        del self._holders[slot]
        return True


def _different(what: str) -> Refused:
    return Refused(ServerError.ConsumerBusy, f"Subscription is of different type. Active subscription {what}")
