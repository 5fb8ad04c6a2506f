"""The ring at its limits: payloads that are none, failure, the largest head there can be."""
from mpy_pulsar.errors import AlreadyClosed, MessageTooBig
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire.batch import BatchRing
from tests.unit.support import is_like, raises
from tests.unit.wire_support import crc32c, read_batch, read_send

_ID_MOST = (1 << 64) - 1


class _OnlyALength:
    """Has a length, as payloads do, but no bytes."""

    def __len__(self):
        return 5


def _ring(size=1000, name=b"vec", max_bytes=10000):
    ring = BatchRing(bytearray(size), 1, 8, 3, max_bytes)
    ring.set_name(name)
    return ring


def _frame(ring):
    """The next frame's bytes; empty where there is none to transmit now."""
    slot = ring.next_frame(0, 0)
    return b"" if slot < 0 else bytes(ring.buffer[ring.frame_start(slot):ring.frame_end(slot)])


def _payloads(frame):
    return [payload for _, payload in read_batch(read_send(frame)[4])]


def test_a_payload_that_is_no_bytes_leaves_the_ring_sound():
    for before in range(3):
        ring = _ring()
        sent = [b"%d" % index for index in range(before)]
        for payload in sent:
            ring.add(payload)
        for _ in range(2):
            raises(TypeError, ring.add, _OnlyALength())
            raises(TypeError, ring.add, 7)
            raises(TypeError, ring.add, None)
            raises(TypeError, add_entry, ring, _OnlyALength(), b"\x18\x05")
        assert ring.waiting() is (before > 0) and ring.idle() is (before == 0)
        sent.append(b"after")
        assert ring.add(sent[-1]) is (before != 1)
        assert _payloads(_frame(ring)) == sent
        assert ring.receipt(0) == 0 and ring.idle()


def test_an_unbatched_payload_that_is_no_bytes_leaves_the_ring_sound():
    ring = _ring()
    ring.add(b"before")
    raises(TypeError, ring.add_unbatched, _OnlyALength(), b"")
    assert ring.add(b"after") is True  # it had closed the batch before
    assert [_payloads(_frame(ring)) for _ in range(2)] == [[b"before"], [b"after"]]
    assert not ring.waiting()


def test_a_payload_that_is_no_bytes_takes_no_room():
    ring = _ring(600, max_bytes=30)
    ring.add(b"before")
    _frame(ring)
    largest = max(size for size in range(600) if ring.has_room(size))
    raises(TypeError, ring.add, _OnlyALength())
    assert ring.has_room(largest)
    ring.add(b"x" * largest)
    assert _payloads(_frame(ring)) == [b"x" * largest]


def test_a_text_is_refused_or_leaves_the_ring_sound():
    # Viper kernels take a str for its bytes: who calls the ring refuses it before.
    ring = _ring()
    ring.add(b"before")
    try:
        ring.add("text")
        sent = [b"before", b"text", b"after"]
    except TypeError:
        sent = [b"before", b"after"]
    ring.add(b"after")
    assert _payloads(_frame(ring)) == sent


def test_after_a_failure_nothing_is_accepted_and_what_is_there_goes_out():
    ring = _ring()
    ring.add(b"before")
    failure = AlreadyClosed("the producer was closed")
    ring.fail(failure)
    assert not ring.has_room(1)
    for _ in range(2):
        assert is_like(raises(AlreadyClosed, ring.add, b"x"), failure)
        assert is_like(raises(AlreadyClosed, add_entry, ring, b"x", b"\x18\x01"), failure)
        assert is_like(raises(AlreadyClosed, ring.add_unbatched, b"x", b""), failure)
    assert _payloads(_frame(ring)) == [b"before"]
    assert ring.receipt(0) == 0 and ring.idle()
    assert not ring.has_room(1)
    assert is_like(raises(AlreadyClosed, ring.add, b"x"), failure)


def test_the_largest_head_stays_within_its_room():
    for name in (b"", b"n", b"m" * 64):
        for id_back in (2, 3, 1 << 20):
            ring = BatchRing(bytearray(1000), (1 << 28) - 1, 3, 1000, 10000)
            ring.set_name(name)
            ring.add_unbatched(b"before", b"")
            first = _frame(ring)
            ring.sequence = (_ID_MOST - id_back) & 0xFFFFFFF
            ring.sequence_high = (_ID_MOST - id_back) >> 28
            ring.add(b"one")
            ring.add(b"two")
            ring.close_batch()
            slot = ring.next_frame(0xFFFFFFF, 0xFFFFFFF)
            start = ring.frame_start(slot)
            assert ring.frame_end(0) <= start, "the head has overwritten the frame before"
            assert bytes(ring.buffer[ring.frame_start(0):ring.frame_end(0)]) == first
            command, metadata, checksum, covered, payload = read_send(ring.buffer[start:ring.frame_end(slot)])
            assert checksum == crc32c(covered)
            assert command == {1: (1 << 28) - 1, 2: _ID_MOST - id_back, 3: 2, 6: _ID_MOST - id_back + 1}
            assert metadata[3] == (1 << 56) - 1 and metadata[2] == command[2] and metadata[24] == command[6]
            assert [entry for _, entry in read_batch(payload)] == [b"one", b"two"]


def test_the_name_may_come_after_the_messages():
    for name in (b"n", b"standalone-0-1", b"m" * 64):
        ring = BatchRing(bytearray(1000), 1, 8, 2, 10000)
        sent = []
        while ring.has_room(20):
            sent.append(b"%020d" % len(sent))
            ring.add(sent[-1])
        ring.set_name(name)
        while ring.has_room(20):  # a shorter name needs less room than was kept
            sent.append(b"%020d" % len(sent))
            ring.add(sent[-1])
        assert len(sent) >= 7
        received = []
        frame = _frame(ring)
        while frame:
            assert read_send(frame)[1][1] == name
            received += _payloads(frame)
            ring.receipt(read_send(frame)[0][2])
            frame = _frame(ring)
        assert received == sent and ring.idle()


def test_places_in_their_batches():
    ring = _ring()
    assert (ring.last_batch(), ring.last_index()) == (-1, -1)
    places = []
    for _ in range(4):
        ring.add(b"x")
        places.append((ring.last_batch(), ring.last_index()))
    ring.add_unbatched(b"x", b"")
    places.append((ring.last_batch(), ring.last_index()))
    ring.add(b"x")
    places.append((ring.last_batch(), ring.last_index()))
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (2, -1), (3, 0)]
    for _ in range(4):
        _frame(ring)
    assert [ring.size_of(number) for number in range(4)] == [3, 1, 0, 1]
    assert ring.receipt(0) == 0 and ring.size_of(0) == 3  # still told while its receipt is dealt with


def test_a_buffer_too_small_for_any_message():
    for size in (0, 1, 50, 100):
        ring = _ring(size)
        assert not ring.has_room(0)
        raises(MessageTooBig, ring.add, b"")
        raises(MessageTooBig, ring.add_unbatched, b"", b"")
        assert ring.idle() and ring.next_frame(0, 0) == -1
