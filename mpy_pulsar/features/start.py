"""Where delivery starts: what came before it in the same entry, or before it at all, is passed over."""
from ..core.message import SKIPPED
from ..core.message_id import MessageId


class Start:
    """A place to start from."""

    def __init__(self, message_id, inclusive, all_before):
        """inclusive: is the message itself delivered? all_before: pass over entries before that one too (a reader's
        link was lost), which else are somebody's wish to have them again."""
        self._place = (message_id.ledger_id(), message_id.entry_id())
        self._index = message_id._index
        self._inclusive = inclusive
        self._all_before = all_before

    def skip(self, core, entry):
        """Mark the messages of an Entry that are not to be delivered: how many of them have cost a permit."""
        message_id = MessageId(entry.message_id)
        place = (message_id.ledger_id(), message_id.entry_id())
        count = entry.count or 1
        if place > self._place:
            if self._all_before:
                core.start = None  # entries come in order
            return 0
        if place < self._place and not self._all_before:
            return 0
        end = count
        if place == self._place:
            if self._inclusive:
                end = max(self._index, 0) if entry.count else 0
            elif entry.count and self._index >= 0:
                end = min(self._index + 1, count)
        permits = 0
        done = entry.flags()
        for index in range(end):
            if not done[index]:
                permits += 1
            done[index] = SKIPPED
        return permits
