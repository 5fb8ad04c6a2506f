"""What the twin takes as a message: anything made of bytes, and nothing whose items are wider."""

from array import array

import pytest

from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.features.payload import check
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.writer import message

WIDE = array("H", range(20))
SIZE = 1000


def ring() -> BatchRing:
    made = BatchRing(bytearray(SIZE), 1, 8, 100, SIZE)
    made.set_name(b"p")
    return made


@pytest.mark.parametrize("content", [WIDE, memoryview(WIDE)], ids=["array", "memoryview"])
def test_items_wider_than_a_byte_are_refused_and_nothing_changes(content: object) -> None:
    made = ring()
    with pytest.raises(TypeError, match="made of bytes"):
        made.add(content)
    with pytest.raises(TypeError, match="made of bytes"):
        add_entry(made, content, message(2, "key", 3, 20))
    assert made.idle() and len(made.buffer) == SIZE


@pytest.mark.parametrize("content", [b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(WIDE).cast("B")])
def test_whatever_is_made_of_bytes_is_taken(content: bytes) -> None:
    made = ring()
    made.add(content)
    add_entry(made, content, message(2, "key", 3, len(content)))
    assert made.last_index() == 1
    slot = made.next_frame(0, 0)
    assert bytes(made.buffer[:made.frame_end(slot)]).count(bytes(content)) == 2


@pytest.mark.parametrize("content", [memoryview(WIDE).cast("B").cast("B", (4, 10)), memoryview(b"abcdef")[::2]])
def test_shapes_that_are_no_row_of_bytes_are_refused_too(content: memoryview) -> None:
    with pytest.raises(TypeError, match="bytes"):
        ring().add(content)
    with pytest.raises(TypeError, match="bytes"):
        check(content)
