"""The arithmetic of keys: which slot a message's key falls in, which consumer a slot or a topic belongs to. No sockets.

A slot is one of 65536 hash values. Two ways to give slots to consumers: split the largest range for every newcomer
(AUTO_SPLIT), or take the ranges that each consumer brings (STICKY).
"""

import base64
import binascii
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

from tools.devbroker.frames import Refused, ServerError

if TYPE_CHECKING:
    from tools.devbroker.consumers import Consumer

SLOTS = 65536
_POINTS_ON_RING = 100
_WORD = 0xFFFFFFFF
_FIRST_FACTOR = 0xCC9E2D51
_SECOND_FACTOR = 0x1B873593


def murmur3_32(data: bytes) -> int:
    """MurmurHash3 (x86, 32 bit, seed 0), unsigned."""
    value = 0
    whole = len(data) & ~3
    for offset in range(0, whole, 4):
        value ^= _scramble(int.from_bytes(data[offset : offset + 4], "little"))
        value = (_rotate(value, 13) * 5 + 0xE6546B64) & _WORD
    value ^= _scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = ((value ^ value >> 16) * 0x85EBCA6B) & _WORD
    value = ((value ^ value >> 13) * 0xC2B2AE35) & _WORD
    return value ^ value >> 16


def _scramble(word: int) -> int:
    return (_rotate(word * _FIRST_FACTOR & _WORD, 15) * _SECOND_FACTOR) & _WORD


def _rotate(word: int, count: int) -> int:
    return (word << count | word >> (32 - count)) & _WORD


def hash_of(key: bytes) -> int:
    """The hash that Pulsar uses: MurmurHash3 with its highest bit cleared."""
    return murmur3_32(key) & 0x7FFFFFFF


def slot_of(key: bytes) -> int:
    """The slot of a key, 1 to 65535: slot 0 is not used by the broker, its keys go to slot 1."""
    return hash_of(key) % SLOTS or 1


def place_on_ring(topic_name: str, consumer_names: list[str]) -> int:
    """Which consumer of a Failover subscription a topic without partitions belongs to: the next one on a ring.

    Every consumer has a hundred points there, and the topic one.
    """
    points = {
        hash_of(f"{name}{replica}".encode()): place
        for place, name in enumerate(consumer_names)
        for replica in range(_POINTS_ON_RING)
    }
    topic_point = hash_of(topic_name.encode())
    return points[min((point for point in points if point >= topic_point), default=min(points))]


def sticky_key(metadata: Any) -> bytes:
    """What Key_Shared sorts an entry by; of a batch, its MessageMetadata has the first message's key."""
    if metadata.HasField("ordering_key"):
        return metadata.ordering_key
    if metadata.HasField("partition_key"):
        if metadata.partition_key_b64_encoded:
            try:
                return base64.b64decode(metadata.partition_key)
            except binascii.Error:
                pass
        return metadata.partition_key.encode()
    return f"{metadata.producer_name}-{metadata.sequence_id}".encode()


class AutoSplit:
    """Ranges that always cover everything: a newcomer gets the lower half of the largest one."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._consumers: dict[int, Consumer] = {}
        """By the last slot of its range."""

    def add(self, consumer: "Consumer") -> None:
        """Give the consumer a range."""
        end = SLOTS
        if self._ends:
            start, largest = self._largest()
            end = largest - (largest - start >> 1)
        insort(self._ends, end)
        self._consumers[end] = consumer

    def remove(self, consumer: "Consumer") -> None:
        """Give the consumer's range to its neighbour."""
        end = next((end for end, holder in self._consumers.items() if holder is consumer), None)
        if end is None:
            return
        if end == SLOTS and len(self._ends) > 1:
            neighbour = self._ends.pop(-2)
            self._consumers[end] = self._consumers.pop(neighbour)
        else:
            self._ends.remove(end)
            del self._consumers[end]

    def select(self, slot: int) -> "Consumer | None":
        """The consumer of a slot, None while there is none."""
        place = bisect_left(self._ends, slot)
        return self._consumers[self._ends[place]] if place < len(self._ends) else None

    def conflict(self, consumer: "Consumer") -> "Consumer | None":
        """Nobody stands in a newcomer's way here. Raises Refused when no range can be split any more."""
        if self._ends:
            start, largest = self._largest()
            if largest - start <= 1:
                text = f"No more range can be assigned to a new consumer, there are {len(self._ends)}"
                raise Refused(ServerError.ConsumerAssignError, text)
        return None

    def _largest(self) -> tuple[int, int]:
        """The slot before the largest range, and its last one."""
        return max(zip([0, *self._ends[:-1]], self._ends, strict=True), key=lambda ends: ends[1] - ends[0])


class FixedRanges:
    """Ranges as the consumers ask for them; slots that nobody asked for wait."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, Consumer]] = []

    def add(self, consumer: "Consumer") -> None:
        """Give the consumer its ranges, which have no conflict."""
        self._ranges.extend((wanted.start, wanted.end, consumer) for wanted in consumer.key_shared.hashRanges)

    def remove(self, consumer: "Consumer") -> None:
        """Forget the consumer's ranges."""
        self._ranges = [held for held in self._ranges if held[2] is not consumer]

    def select(self, slot: int) -> "Consumer | None":
        """The consumer of a slot, None when nobody asked for it."""
        return next((consumer for start, end, consumer in self._ranges if start <= slot <= end), None)

    def conflict(self, consumer: "Consumer") -> "Consumer | None":
        """A consumer that holds a part of what this one wants. Raises Refused for ranges nobody can have."""
        ranges = consumer.key_shared.hashRanges
        if not ranges:
            raise Refused(ServerError.ConsumerAssignError, "Ranges for KeyShared policy must not be empty.")
        for wanted in ranges:
            if wanted.start > wanted.end:
                text = f"Fixed hash range start > end for range: [{wanted.start},{wanted.end}]"
                raise Refused(ServerError.ConsumerAssignError, text)
            for start, end, holder in self._ranges:
                if wanted.start <= end and start <= wanted.end:
                    return holder
        return None
