"""What a topic knows of sequence ids it has had: for each producer name the highest pushed, and the highest stored.

As the broker does it: a SEND is judged by its first id alone, and counts from the moment it is pushed, before it is
stored; a write that fails takes all names back to what was stored. After a restart the messages' own metadata tells.
"""

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.devbroker.topic import Entry

NONE_YET = -1


class Verdict(Enum):
    """What a SEND is."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """Its first id is stored, or a higher one."""
    UNKNOWN = "unknown"
    """Its first id was pushed, and it is not known yet whether that write succeeds."""


class Deduplication:
    """The ids of one topic. `start`: the index of the first entry that counts."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self._pushed: dict[str, int] = {}
        self._stored: dict[str, int] = {}

    def push(self, producer_name: str, first_id: int, highest_id: int) -> Verdict:
        """Judge a SEND, and count it if it is new."""
        if first_id <= self._pushed.get(producer_name, NONE_YET):
            is_stored = first_id <= self._stored.get(producer_name, NONE_YET)
            return Verdict.DUPLICATE if is_stored else Verdict.UNKNOWN
        self._pushed[producer_name] = highest_id
        return Verdict.NEW

    def stored(self, producer_name: str, highest_id: int) -> None:
        """A write succeeded."""
        self._stored[producer_name] = max(highest_id, self._stored.get(producer_name, NONE_YET))

    def take_back(self) -> None:
        """A write failed: only what is stored counts."""
        self._pushed = dict(self._stored)

    def last_id(self, producer_name: str) -> int:
        """What PRODUCER_SUCCESS says: the highest id pushed under that name, -1 without one."""
        return self._pushed.get(producer_name, NONE_YET)

    def replay(self, entries: Iterable["Entry"]) -> None:
        """Begin anew with the ids in the stored messages, as after a restart."""
        self._stored.clear()
        for entry in entries:
            metadata = entry.metadata
            self.stored(metadata.producer_name, max(metadata.sequence_id, metadata.highest_sequence_id))
        self.take_back()
