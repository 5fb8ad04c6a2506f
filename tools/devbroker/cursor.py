"""A subscription's place in a topic: what is acknowledged, in whole and in part, and what is read next.

Entries are counted by their index in the topic, from 0. No asyncio, no protobuf.
"""

from collections.abc import Iterable

_WORD_BITS = 64
_WORD_MASK = (1 << _WORD_BITS) - 1


def bits_from_words(words: Iterable[int]) -> int:
    """A bitset as the protocol writes it (signed 64-bit words, lowest first) as one number."""
    bits = 0
    for position, word in enumerate(words):
        bits |= (word & _WORD_MASK) << (position * _WORD_BITS)
    return bits


def words_from_bits(bits: int) -> list[int]:
    """The reverse of `bits_from_words`, without trailing zero words."""
    words = []
    while bits:
        word = bits & _WORD_MASK
        words.append(word - (1 << _WORD_BITS) if word >> (_WORD_BITS - 1) else word)
        bits >>= _WORD_BITS
    return words


class Cursor:
    """Acknowledgements and the read position of one subscription."""

    def __init__(self, start: int) -> None:
        self.acknowledged_before = start
        """Every entry below this index is acknowledged (the mark-delete position is the one before it)."""
        self.read_index = start
        """The entry to be read next."""
        self._acknowledged: set[int] = set()
        self._unacknowledged_bits: dict[int, int] = {}

    def is_acknowledged(self, index: int) -> bool:
        """Whether the whole entry is acknowledged."""
        return index < self.acknowledged_before or index in self._acknowledged

    def unacknowledged_bits(self, index: int) -> int | None:
        """Of a batch acknowledged in part: a bitset of the messages that are not. None when there is no such state."""
        return self._unacknowledged_bits.get(index)

    def acknowledge(self, index: int) -> None:
        """Acknowledge one whole entry."""
        self._unacknowledged_bits.pop(index, None)
        if self.is_acknowledged(index):
            return
        self._acknowledged.add(index)
        while self.acknowledged_before in self._acknowledged:
            self._acknowledged.remove(self.acknowledged_before)
            self.acknowledged_before += 1
        self.read_index = max(self.read_index, self.acknowledged_before)

    def acknowledge_in_batch(self, index: int, unacknowledged_bits: int) -> bool:
        """Acknowledge the messages of a batch whose bits are clear. True when with them the entry is complete."""
        if self.is_acknowledged(index):
            return True
        left = unacknowledged_bits & self._unacknowledged_bits.get(index, unacknowledged_bits)
        if left:
            self._unacknowledged_bits[index] = left
            return False
        self.acknowledge(index)
        return True

    def acknowledge_up_to(self, index: int, unacknowledged_bits: int | None = None) -> None:
        """Acknowledge all entries up to this one; with bits, of this one only the messages whose bits are clear."""
        before = index if unacknowledged_bits else index + 1
        if before > self.acknowledged_before:
            self._set_acknowledged_before(before)
        if unacknowledged_bits:
            self.acknowledge_in_batch(index, unacknowledged_bits)

    def _set_acknowledged_before(self, before: int) -> None:
        while before in self._acknowledged:
            before += 1
        self.acknowledged_before = before
        self._acknowledged = {index for index in self._acknowledged if index > before}
        self._unacknowledged_bits = {
            index: bits for index, bits in self._unacknowledged_bits.items() if index >= before
        }
        self.read_index = max(self.read_index, before)

    def forget_parts(self) -> None:
        """Of batches acknowledged in part nothing is acknowledged any more: that is kept in a broker's memory only."""
        self._unacknowledged_bits.clear()

    def rewind(self) -> None:
        """Read again from the first entry that is not acknowledged."""
        self.read_index = self.acknowledged_before

    def reset(self, index: int, unacknowledged_bits: int | None = None) -> None:
        """Forget all acknowledgements and go on from `index` (seek); with bits, inside that entry's batch."""
        self.acknowledged_before = self.read_index = index
        self._acknowledged.clear()
        self._unacknowledged_bits.clear()
        if unacknowledged_bits:
            self._unacknowledged_bits[index] = unacknowledged_bits

    def read(self, end: int) -> int | None:
        """The index of the next entry to be delivered, below `end`; None when nothing is left. Moves on past it."""
        while self.read_index < end:
            index = self.read_index
            self.read_index += 1
            if index not in self._acknowledged:
                return index
        return None
