"""The ring of a producer, one behaviour at a time (test_ring_model has arbitrary sequences of them)."""
from mpy_pulsar.errors import MessageTooBig, QueueFull
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.writer import message
from tests.unit.support import raises
from tests.unit.wire_support import crc32c, read_batch, read_send

NAME = b"vec"
TIME = 1700000000000
ENTRY = 6  # bytes that a payload below 128 bytes takes besides itself; the ring asks for up to 9
HEAD = 96 + len(NAME)

# It was sent to a broker and came back to a consumer as it was.
SINGLE = "000000290000000808063204080110000e01ce00da050000000e0a0376656310001880d095ffbc3168656c6c6f"


def _ring(size=2000, slots=8, max_messages=100, max_bytes=10000, name=NAME):
    ring = BatchRing(bytearray(size), 1, slots, max_messages, max_bytes)
    if name:
        ring.set_name(name)
    return ring


def _halves(value):
    return value & 0xFFFFFFF, value >> 28


def _frame(ring, time=TIME):
    """The next frame's bytes; None where there is none to transmit now."""
    slot = ring.next_frame(*_halves(time))
    return None if slot < 0 else bytes(ring.buffer[ring.frame_start(slot):ring.frame_end(slot)])


def _payloads(frame):
    """A batch frame's payloads, its checksum and counts checked."""
    command, metadata, checksum, covered, rest = read_send(frame)
    assert checksum == crc32c(covered)
    payloads = [payload for _, payload in read_batch(rest)]
    assert command[3] == metadata[11] == len(payloads)
    assert command[2] == metadata[2] and command[6] == metadata[24] == command[2] + len(payloads) - 1
    return payloads


def test_an_unbatched_frame_is_the_one_a_broker_has_accepted():
    ring = _ring()
    assert ring.add_unbatched(b"hello", b"") is True
    assert _frame(ring).hex() == SINGLE
    assert (ring.last_batch(), ring.last_index()) == (0, -1)


def test_an_unbatched_frame_keeps_its_metadata():
    ring = _ring()
    ring.add(b"before")
    ring.add_unbatched(memoryview(b"\0payload")[1:], message(4, (1, "k", 2, "v"), 19, TIME))
    ring.add(b"after")
    assert _payloads(_frame(ring)) == [b"before"]
    command, metadata, checksum, covered, payload = read_send(_frame(ring))
    assert command == {1: 1, 2: 1}
    assert metadata == {1: NAME, 2: 1, 3: TIME, 4: b"\x0a\x01k\x12\x01v", 19: TIME}
    assert payload == b"payload" and checksum == crc32c(covered)
    frame = _frame(ring)
    assert _payloads(frame) == [b"after"] and read_send(frame)[0][2] == 2


def test_a_batch_frame():
    ring = _ring()
    assert ring.add(b"one") is True  # the batch's first message: the writer is to be woken
    assert ring.add(bytearray()) is False
    assert ring.add(memoryview(b"three")) is False
    frame = _frame(ring)
    command, metadata, checksum, covered, payload = read_send(frame)
    assert command == {1: 1, 2: 0, 3: 3, 6: 2}
    assert metadata == {1: NAME, 2: 0, 3: TIME, 11: 3, 24: 2}
    assert checksum == crc32c(covered)
    assert read_batch(payload) == [({3: 3}, b"one"), ({3: 0}, b""), ({3: 5}, b"three")]
    assert _frame(ring) is None


def test_entries_with_metadata_share_a_batch_with_bare_ones():
    ring = _ring(max_messages=3)
    assert add_entry(ring, b"one", message(1, (1, "k", 2, "v"), 2, "key", 3, 3)) is True
    assert ring.add(b"two") is False
    assert (ring.last_batch(), ring.last_index()) == (0, 1)
    assert add_entry(ring, b"", message(3, 0, 6, True)) is True  # the batch is full
    assert (ring.last_batch(), ring.last_index()) == (0, 2)
    entries = read_batch(read_send(_frame(ring))[4])
    assert entries == [({1: b"\x0a\x01k\x12\x01v", 2: b"key", 3: 3}, b"one"), ({3: 3}, b"two"), ({3: 0, 6: 1}, b"")]


def test_batches_close_by_count():
    ring = _ring(max_messages=2)
    assert [ring.add(b"x") for _ in range(5)] == [True, True, True, True, True]
    assert ring.open == 2 and not ring.only_open()
    assert [len(_payloads(_frame(ring))) for _ in range(3)] == [2, 2, 1]


def test_batches_close_by_bytes():
    for size in range(1, 40):
        ring = _ring(5000, slots=25, max_bytes=100)
        for _ in range(20):
            ring.add(bytes(size))
        counts = []
        frame = _frame(ring)
        while frame:
            counts.append(len(_payloads(frame)))
            assert len(read_send(frame)[4]) <= 100
            frame = _frame(ring)
        # The ring asks for 3 bytes more than a small entry takes.
        assert counts[0] == (100 - 3) // (size + ENTRY) and sum(counts) == 20, counts


def test_a_message_larger_than_a_batch_may_be_is_a_batch_of_its_own():
    ring = _ring(max_bytes=50)
    for payload in (b"a", b"b" * 300, b"c", b"d"):
        ring.add(payload)
    assert _payloads(_frame(ring)) == [b"a"]
    assert _payloads(_frame(ring)) == [b"b" * 300]
    assert _payloads(_frame(ring)) == [b"c", b"d"]


def test_the_largest_message_that_fits():
    empty = _ring(300)
    size = max(size for size in range(300) if empty.has_room(size))
    assert size >= 300 - HEAD - 20
    ring = _ring(300)
    for _ in range(2):
        error = raises(MessageTooBig, ring.add, bytes(size + 1))
        assert "send_buffer_size" in error.text and "300" in error.text
        assert not ring.has_room(size + 1) and ring.has_room(size)
        ring.add(b"y" * size)
        raises(MessageTooBig, ring.add, bytes(size + 1))  # and not QueueFull: waiting would never end
        raises(MessageTooBig, add_entry, ring, bytes(size + 6), b"")
        raises(MessageTooBig, ring.add_unbatched, bytes(size + 10), b"")
        frame = _frame(ring)
        assert _payloads(frame) == [b"y" * size]
        ring.receipt(read_send(frame)[0][2])


def test_queue_full_by_slots():
    ring = _ring(slots=3, max_messages=1)
    for _ in range(3):
        assert ring.has_room(1)
        ring.add(b"x")
    assert not ring.has_room(1)
    error = raises(QueueFull, ring.add, b"x")
    assert "3 batches" in error.text and "room(" in error.text
    raises(QueueFull, add_entry, ring, b"x", b"\x18\x01")
    raises(QueueFull, ring.add_unbatched, b"x", b"")
    assert _frame(ring) and not ring.has_room(1)
    assert ring.receipt(0) == 0
    assert ring.has_room(1) and ring.add(b"x") is True


def test_queue_full_by_bytes():
    ring = _ring(700, max_messages=1)
    accepted = 0
    while ring.has_room(100):
        ring.add(bytes(100))
        accepted += 1
    assert accepted == 3
    assert "room(" in raises(QueueFull, ring.add, bytes(100)).text
    assert ring.has_room(1) is False or ring.add(b"x") is True  # a smaller one may fit
    _frame(ring)
    ring.receipt(0)
    assert ring.has_room(80)


def test_a_refused_message_changes_nothing():
    ring = _ring(400, slots=2, max_bytes=50)
    ring.add(b"first")
    for payload in (bytes(1000), bytes(250)):
        raises((MessageTooBig, QueueFull), ring.add, payload)
        raises((MessageTooBig, QueueFull), add_entry, ring, payload, b"\x18\x00")
        raises((MessageTooBig, QueueFull), ring.add_unbatched, payload, b"")
    assert ring.add(b"second") is False
    assert _payloads(_frame(ring)) == [b"first", b"second"]


def test_the_open_batch_in_the_last_slot_waits_for_a_receipt():
    for slots in (2, 3, 5):
        ring = _ring(slots=slots)
        for number in range(slots - 1):
            ring.add(b"x")
            assert _frame(ring), number
        ring.add(b"y")
        assert ring.waiting() and ring.only_open()
        assert _frame(ring) is None  # or nothing could be accepted any more
        assert ring.add(b"z") is False
        assert ring.receipt(0) == 0
        assert _payloads(_frame(ring)) == [b"y", b"z"]


def test_a_full_batch_in_the_last_slot_is_transmitted():
    ring = _ring(slots=2, max_messages=2)
    ring.add(b"a")
    assert _payloads(_frame(ring)) == [b"a"]
    ring.add(b"b")
    assert _frame(ring) is None
    ring.add(b"c")
    assert _payloads(_frame(ring)) == [b"b", b"c"]
    raises(QueueFull, ring.add, b"d")


def test_a_ring_of_one_slot_goes_on_after_each_receipt():
    ring = _ring(slots=1)
    for sequence in range(5):
        assert ring.add(b"x") is True
        assert _payloads(_frame(ring)) == [b"x"]
        raises(QueueFull, ring.add, b"y")
        assert ring.receipt(sequence) == sequence and ring.idle()


def test_sequence_ids_across_the_border_of_their_halves():
    for border in (1 << 28, 1 << 31, 1 << 32, 1 << 56):
        for back in range(4):
            ring = _ring(max_messages=3)
            ring.sequence, ring.sequence_high = _halves(border - back)
            for _ in range(6):
                ring.add(b"x")
            ring.add_unbatched(b"y", b"")
            expected = border - back
            for count in (3, 3):
                frame = _frame(ring)
                command = read_send(frame)[0]
                assert command[2] == expected and command[6] == expected + count - 1
                assert len(_payloads(frame)) == count
                expected += count
            assert read_send(_frame(ring))[0] == {1: 1, 2: expected}
            assert (ring.sequence, ring.sequence_high) == _halves(expected + 1)
            for number in range(3):
                assert ring.receipt((border - back + 3 * number) & 0xFFFFFFF) == number
            assert ring.idle()


def test_receipts_late_and_out_of_step():
    ring = _ring(max_messages=2)
    ring.sequence = (1 << 28) - 3
    assert ring.receipt(0) == -1  # nothing was transmitted
    for _ in range(6):
        ring.add(b"x")
    first = (1 << 28) - 3
    assert ring.receipt(first) == -1
    assert _frame(ring) and _frame(ring)
    for late in (first - 1, first - 2, first - 100000):
        assert ring.receipt(late) == -1
    for ahead in (first + 1, first + 2, 1, 100000):
        assert ring.receipt(ahead) == -2
    assert ring.oldest == 0
    assert ring.receipt(first) == 0
    assert ring.receipt(first) == -1  # the same once more
    assert ring.receipt(first + 2) == 1
    assert ring.receipt(1) == -1  # accepted, not transmitted
    assert _frame(ring) and ring.receipt(1) == 2
    assert ring.idle()


def test_a_refused_frame_is_named_by_its_last_id():
    # Here, where all that it needs is loaded: imports that nest take more C stack than 32-bit builds have.
    from mpy_pulsar.features.refusal import _find

    ring = _ring(max_messages=3)
    ring.sequence = (1 << 28) - 2
    for _ in range(3):
        ring.add(b"x")
    ring.add_unbatched(b"y", b"")
    assert _frame(ring) and _frame(ring)
    for other in ((1 << 28) - 2, (1 << 28) - 1, 2):
        assert _find(ring, other) == -1
    assert (_find(ring, 0), _find(ring, 1)) == (0, 1)
    ring.drop(1)
    assert (_find(ring, 0), _find(ring, 1)) == (0, -1) and ring.oldest == 0
    ring.drop(0)
    assert ring.idle()


def test_frames_do_not_change_when_they_are_transmitted_again():
    ring = _ring(max_messages=2)
    for index in range(5):
        ring.add(b"%d" % index)
    ring.add_unbatched(b"single", message(4, (1, "k", 2, "v")))
    frames = [_frame(ring) for _ in range(4)]
    ring.add(b"not transmitted yet")
    assert ring.receipt(0) == 0
    for later in range(1, 4):
        ring.rewind()
        assert ring.receipt(2) == -1  # of the link that is gone
        for number in range(1, 1 + later):
            assert _frame(ring, TIME + 5000 * later) == frames[number]
    last = _frame(ring, TIME + 1)
    command, metadata = read_send(last)[:2]
    assert command[2] == 6 and metadata[3] == TIME + 1
    assert [ring.receipt(sequence) for sequence in (2, 4, 5, 6)] == [1, 2, 3, 4]
    assert ring.idle() and not ring.waiting()
