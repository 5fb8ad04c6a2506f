"""The ring against a model: a list of what was accepted, compared with the frames that are transmitted.

Small rings of every size and random sequences of everything that can happen to them.
"""
from mpy_pulsar.errors import MessageTooBig, QueueFull
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.writer import message
from tests.unit.wire_support import Random, crc32c, read_batch, read_message, read_send

STEPS = 90
NAMES = (b"", b"n", b"vec-7", b"m" * 64)
BARE, ENTRY, UNBATCHED = range(3)


class Model:
    """A ring, what it has accepted, and the frames it gave out; every step checks all of them."""

    def __init__(self, random, size, slots, max_messages, max_bytes, name):
        self.random = random
        self.ring = BatchRing(bytearray(size), 3, slots, max_messages, max_bytes)
        # Near the border of the halves, so that most runs cross it.
        self.sequence = (1 << 28) - random.below(40)
        self.ring.sequence = self.sequence & 0xFFFFFFF
        self.ring.sequence_high = self.sequence >> 28
        self.slots = slots
        self.name = name
        self.named = False
        self.accepted = []  # (kind, payload, metadata), not transmitted yet
        self.frames = []  # by the number of their batch
        self.first_ids = []
        self.confirmed = 0
        self.time = 1 << 40
        self.refused = 0

    def add(self):
        """Add a message of a random kind and size; refused exactly when the ring said so before."""
        ring = self.ring
        kind = self.random.below(4) % 3
        size = self.random.below((8, 20, 60, len(ring.buffer) - 90)[self.random.below(4)])
        payload = self.random.data(size)
        metadata = b""
        waiting = ring.waiting()
        room = ring.has_room(size)
        try:
            if kind == BARE:
                wake = ring.add(payload)
            elif kind == ENTRY:
                metadata = message(2, "k" * self.random.below(9), 3, size)
                wake = add_entry(ring, payload, metadata)
            else:
                metadata = message(4, [(1, "k", 2, "v")] * self.random.below(3))
                wake = ring.add_unbatched(payload, metadata)
        except QueueFull:
            assert not (room and kind == BARE), "has_room said yes to %d bytes" % size
            assert not ring.idle(), "nothing to wait for"
            self.refused += 1
            return
        except MessageTooBig:
            assert not room or kind != BARE
            assert size + len(metadata) + ring.head_room + 20 > len(ring.buffer)
            return
        assert room or kind != BARE, "has_room said no to %d bytes" % size
        assert wake or waiting, "the writer sleeps on"
        assert wake is True or wake is False
        assert (ring.last_index() == -1) is (kind == UNBATCHED)
        self.accepted.append((kind, bytes(payload), metadata))

    def transmit(self):
        """Take a frame: one that was transmitted before is the same, a new one holds what was accepted next."""
        ring = self.ring
        if not self.named:
            return
        number = ring.unsent
        self.time += 1
        slot = ring.next_frame(self.time & 0xFFFFFFF, self.time >> 28)
        if slot < 0:
            assert not ring.waiting() or ring.oldest < ring.unsent, "stuck: nothing in flight, nothing transmitted"
            return
        assert ring.unsent == number + 1
        frame = bytes(ring.buffer[ring.frame_start(slot):ring.frame_end(slot)])
        if number < len(self.frames):
            assert frame == self.frames[number], "a frame has changed"
        else:
            assert number == len(self.frames)
            self.check_new(frame)
            self.frames.append(frame)

    def check_new(self, frame):
        """A frame that was never transmitted: right in itself, its messages those that were accepted next."""
        command, metadata, checksum, covered, payload = read_send(frame)
        assert checksum == crc32c(covered)
        assert command[1] == 3 and metadata[1] == self.name
        assert command[2] == metadata[2] == self.sequence
        assert metadata[3] == self.time
        self.first_ids.append(self.sequence)
        kind, first, extra = self.accepted[0]
        if kind == UNBATCHED:
            assert sorted(command) == [1, 2] and payload == first
            assert covered[:-len(payload) or len(covered)].endswith(extra)
            count = 1
        else:
            entries = read_batch(payload)
            count = len(entries)
            assert command[3] == metadata[11] == count
            assert command[6] == metadata[24] == self.sequence + count - 1
            assert count <= self.ring.max_messages
            assert count == 1 or len(payload) <= self.ring.max_bytes
            for (fields, content), (kind, sent, extra) in zip(entries, self.accepted):
                assert kind != UNBATCHED and content == sent
                assert fields == (read_message(extra) if kind == ENTRY else {3: len(sent)})
        self.accepted = self.accepted[count:]
        self.sequence += count

    def receipt(self):
        """Confirm the oldest frame; before it, receipts that do not fit."""
        ring = self.ring
        number = self.confirmed
        if ring.unsent == ring.oldest:
            assert ring.receipt(self.sequence & 0xFFFFFFF) == -1
            return
        first = self.first_ids[number]
        assert ring.receipt(first - 1 & 0xFFFFFFF) == -1
        assert ring.receipt(first + 1 & 0xFFFFFFF) == -2
        assert ring.receipt(first & 0xFFFFFFF) == number
        self.confirmed = number + 1

    def check(self):
        """No step may touch a frame in flight."""
        ring = self.ring
        assert ring.oldest == self.confirmed
        assert ring.open + 1 - ring.oldest <= self.slots + 1
        for number in range(self.confirmed, len(self.frames)):
            slot = number % self.slots
            start = ring.frame_start(slot)
            assert ring.buffer[start:ring.frame_end(slot)] == self.frames[number], "a frame was overwritten"
        assert ring.idle() is (self.confirmed == len(self.frames) and not self.accepted)
        assert ring.waiting() is (ring.unsent < len(self.frames) or bool(self.accepted))

    def step(self):
        """Anything that can happen."""
        choice = self.random.below(16)
        if choice < 6:
            self.add()
        elif choice < 10:
            self.transmit()
        elif choice < 13:
            self.receipt()
        elif choice == 13:
            self.ring.rewind()
        elif choice == 14:
            self.ring.close_batch()
        elif self.named or self.random.below(2):  # the same again after each new link
            self.set_name()
        self.check()

    def set_name(self):
        """The broker has told the name."""
        self.ring.set_name(self.name)
        self.named = True

    def drain(self):
        """Transmit and confirm all there is; then the ring is as good as new."""
        self.set_name()
        rounds = 0
        while not self.ring.idle():
            self.transmit()
            self.receipt()
            self.check()
            rounds += 1
            assert rounds < 200, "the ring never gets empty"
        assert not self.accepted
        assert self.ring.has_room(len(self.ring.buffer) - self.ring.head_room - 20)


def test_random_sequences_on_rings_of_every_size():
    refused = transmitted = 0
    for size in range(190, 800):
        random = Random(size)
        model = Model(
            random, size, 1 + random.below(6), 1 + random.below(9), (30, 100, 10000)[random.below(3)],
            NAMES[random.below(len(NAMES))],
        )
        for _ in range(STEPS):
            model.step()
        model.drain()
        refused += model.refused
        transmitted += len(model.frames)
    assert refused > 5000 and transmitted > 4000, (refused, transmitted)


def test_messages_of_one_size_fill_rings_of_every_size_again_and_again():
    for size in range(200, 420):
        model = Model(Random(size), size, 4, 2, 10000, b"vec")
        ring = model.ring
        model.set_name()
        payload = bytes(Random(size).data(size % 37))
        for number in range(24):
            while ring.has_room(len(payload)):
                ring.add(payload)
                model.accepted.append((BARE, payload, b""))
            assert model.accepted or len(model.frames) > number
            while ring.waiting() and (ring.unsent < ring.open or ring.idle() or ring.oldest == ring.open):
                model.transmit()
            model.check()
            model.receipt()
            model.check()
        model.drain()
