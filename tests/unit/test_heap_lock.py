"""Sending allocates nothing: the send path with MicroPython's heap locked, with plain kernels and with the fast ones.

CPython has no such lock; there the same runs without it.
"""
from mpy_pulsar.features import entries
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire import batch, kernels, kernels_plain, writer
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.scanner import Fields, scan_command
from mpy_pulsar.wire.writer import message
from tests.unit.support import raises
from tests.unit.wire_support import crc32c, read_batch, read_send

try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    heap_lock = heap_unlock = None

_TIME_LOW = 5
_TIME_HIGH = 6000
_PAYLOAD = b"21.5 C, 40 %"
_METADATA = message(2, "key", 3, len(_PAYLOAD))
_MESSAGES = 10  # a batch holds three
_FIRST = (1 << 28) - 5


def _with_kernels(module, test):
    """Run `test` with the ring and the writer on the kernels of `module`."""
    kept = batch.copy, batch.put_checksum, batch.put_entry, writer.copy, entries.copy
    batch.copy, batch.put_checksum, batch.put_entry = module.copy, module.put_checksum, module.put_entry
    writer.copy = entries.copy = module.copy
    try:
        test()
    finally:
        batch.copy, batch.put_checksum, batch.put_entry, writer.copy, entries.copy = kept


def _locked(function, first, second):
    """function(first, second) with the heap locked: whatever allocates raises MemoryError (as `*args` here would)."""
    if heap_lock is None:
        return function(first, second)
    heap_lock()
    try:
        return function(first, second)
    finally:
        heap_unlock()


def _ring():
    ring = BatchRing(bytearray(1500), 1, 8, 3, 1000)
    ring.set_name(b"vec")
    ring.sequence = _FIRST
    return ring


def _send(ring, view_and_counts):
    """Add messages in all forms, transmit and confirm them; counts: messages added, frames, batches confirmed."""
    view, counts = view_and_counts
    while ring.has_room(len(_PAYLOAD)) and counts[0] < _MESSAGES:
        if counts[0] == 4:
            add_entry(ring, _PAYLOAD, _METADATA)
        elif counts[0] == 6:
            ring.add_unbatched(_PAYLOAD)  # as `send_nowait` calls it with batching off
        else:
            ring.add(view if counts[0] & 1 else _PAYLOAD)
        counts[0] += 1
        ring.last_batch()
        ring.last_index()
    while ring.next_frame(_TIME_LOW, _TIME_HIGH) >= 0:
        counts[1] += 1
    ring.rewind()
    while ring.next_frame(_TIME_LOW, _TIME_HIGH) >= 0:
        pass
    sequence = _FIRST
    while not ring.idle() and sequence < _FIRST + 20:
        if ring.receipt(sequence & 0xFFFFFFF) >= 0:
            counts[2] += 1
        sequence += 1


def _check_send():
    ring = _ring()
    view = memoryview(bytearray(_PAYLOAD))
    counts = [0, 0, 0]
    # Two batches of three, the unbatched message, and a third batch.
    _locked(_send, ring, (view, counts))
    assert counts == [_MESSAGES, 4, 4]
    assert ring.idle()


def _check_frames():
    """What was written with the heap locked is right."""
    ring = _ring()
    for _ in range(7):
        _locked(BatchRing.add, ring, _PAYLOAD)
    counts = []
    for _ in range(3):
        slot = _locked(ring.next_frame, _TIME_LOW, _TIME_HIGH)
        command, metadata, checksum, covered, payload = read_send(
            ring.buffer[ring.frame_start(slot):ring.frame_end(slot)]
        )
        assert checksum == crc32c(covered)
        assert metadata[3] == (_TIME_HIGH << 28) + _TIME_LOW
        assert [entry for _, entry in read_batch(payload)] == [_PAYLOAD] * command[3]
        counts.append(command[3])
    assert counts == [3, 3, 1]


def _add(first, second):
    return first + second


def test_the_lock_works():
    if heap_lock:
        raises(MemoryError, _locked, _add, b"ab", b"cd")
    else:
        assert _locked(_add, b"ab", b"cd") == b"abcd"


def test_sending_allocates_nothing_with_the_interpreters_kernels():
    _with_kernels(kernels, _check_send)
    _with_kernels(kernels, _check_frames)


def test_sending_allocates_nothing_with_plain_kernels():
    _with_kernels(kernels_plain, _check_send)
    _with_kernels(kernels_plain, _check_frames)


def test_checking_and_scanning_what_was_received_allocate_nothing():
    command = message(1, 7, 7, (1, 5, 2, 300, 3, (1, 1 << 40, 2, 77), 4, 1 << 63))
    buffer = bytearray(b"\x0e\x01____" + command + b"\xff" * 9)
    end = 6 + len(command)
    kernels.put_checksum(buffer, 2, end)

    def receive(check, fields):
        return scan_command(fields, buffer, 6, end) if check(buffer, 2, end) else -1

    for module in (kernels, kernels_plain):
        fields = Fields()
        assert _locked(receive, module.check, fields) == 7
        assert fields.value[1] == 5 and fields.value[2] == 300
        buffer[8] ^= 1
        assert _locked(receive, module.check, fields) == -1
        buffer[8] ^= 1
