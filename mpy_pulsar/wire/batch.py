"""The ring of one producer: the open batch, behind it those in flight, each as the frame that the broker will get.

A message is written into the open batch the moment it is sent. Closing a batch stores a few small numbers. The frame's
head (SEND, checksum, MessageMetadata) is written right to left before the entries when the frame is first transmitted:
only then are name, sequence id and time known. From then on the frame never changes; it is resent from here until its
receipt.
"""
from ..errors import QueueFull
from ..port import const
from .commands import wrap
from .kernels import copy, put_checksum, put_entry
from .writer import Writer

_SEND = const(6)
_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
ENTRY_HEAD = const(9)  # metadata size, tag and number of payload_size before a bare payload of up to 2^28 - 1 bytes

# The largest head: 40 of sizes and SEND, 10 of magic, checksum and metadata size, 46 of metadata besides the name.
_HEAD_ROOM = const(96)
_NAME_MOST = const(64)

_LATE = const(-1)
_OUT_OF_STEP = const(-2)

# In the list of frames, below any place in a buffer.
_BARE = const(-1)  # it has no head yet
_DONE = const(-2)  # confirmed, refused or given up

_UNBATCHED = const(-1)  # in the list of counts
_NO_LIMIT = const(0x3FFFFFFF)


class BatchRing:
    """Batches by number: oldest <= unsent <= open. What belongs to batch n stands at index n % slots of the lists.

    The open batch always has a slot: with all others in flight it goes on filling until a receipt frees one. What is
    done keeps its bytes and its slot until all older ones are done; neither the oldest nor the next to be transmitted
    is ever done.
    """

    overflow = None  # features/when_full: what makes room where there is none
    gaps = None  # features/dropping: what finds space, from the first batch dropped in the middle on

    def __init__(self, buffer, producer_id, slots, max_messages, max_bytes):
        """buffer: bytearray, its length is the producer's memory for messages. max_messages, max_bytes: of a batch."""
        self.buffer = buffer
        self.producer_id = producer_id
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.largest = len(buffer)  # bytes of entries that the broker takes in one frame, once it has said so
        self.max_pending = _NO_LIMIT  # messages without a receipt
        self.pending = 0  # those of closed batches
        self.own = {}  # by slot: a frame's own buffer, where it is not this one (see features/own_frames)
        self.out = buffer  # where the frame stands that `next_frame` gave last
        self.acked_low = -1  # the highest id confirmed, its high part above 28 bits; the low one may have 29
        self.acked_high = 0
        self.full = False  # somebody found no room: the open batch is not to wait for more
        self.failure = None  # set by `fail`: nothing is accepted any more
        self.name = None
        self.head_room = _HEAD_ROOM + _NAME_MOST
        self.oldest = 0
        self.unsent = 0
        self.resent = 0  # batches below this number had been transmitted when a link was lost
        self.open = 0
        self.sequence = 0  # of the next message to be transmitted first: low 28 bits and what is above
        self.sequence_high = 0
        self._slots = slots
        self._entries = [0] * slots  # where the first entry starts
        self._frames = [0] * slots  # where the frame starts, -1 before it has its head
        self._ends = [0] * slots
        self._counts = [0] * slots  # messages, or _UNBATCHED
        self._heads = [0] * slots  # bytes of metadata that stand before the first entry or the payload
        self._sequences = [0] * slots  # low 28 bits of the first message's id; before: one of its own, -1: the next
        self._highs = [0] * slots  # what is above those bits
        self._count = 0  # messages in the open batch
        self._most = max_messages  # it may hold that many
        self._head = 0
        self._start = 0  # where its metadata or first entry starts
        self._end = 0
        self._limit = 0  # it may grow up to here; 0: there is none
        self._free_end = 0  # where the space found last ends
        self._writer = Writer(buffer, 0)

    def set_name(self, name):
        """The producer's name (bytes, at most 64), which every frame carries."""
        self.name = name
        self.head_room = _HEAD_ROOM + len(name)

    def add(self, payload):
        """Append a message that is nothing but `payload` to the open batch; allocates nothing.

        True where the writer should be woken: on a batch's first message and on a full batch. QueueFull where there is
        no room now, MessageTooBig where there never will be.
        """
        size = len(payload)
        end = self._end
        if end + size + ENTRY_HEAD > self._limit:
            end = self.open_batch(size + ENTRY_HEAD)
        self._end = put_entry(self.buffer, end, payload, size)
        count = self._count + 1
        self._count = count
        if count >= self._most:
            self.close_batch()
            return True
        return count == 1

    def add_unbatched(self, payload, metadata=b"", sequence=-1):
        """A message that is a frame of its own; metadata: the bytes of its MessageMetadata from field 4 up.

        sequence: an id of its own, above all before it. Allocates nothing where there is none.
        """
        size = len(payload)
        head = len(metadata)
        at = self.open_batch(head + size)
        copy(self.buffer, at, metadata, 0, head)
        copy(self.buffer, at + head, payload, 0, size)
        self._end = at + head + size
        self._head = head
        self._count = _UNBATCHED
        self.close_batch()
        if sequence >= 0:
            self._sequences[(self.open - 1) % self._slots] = sequence
        return True

    def has_room(self, size):
        """Will the next bare message of `size` bytes be accepted? Allocates nothing."""
        need = size + ENTRY_HEAD
        if self.failure or need + self.head_room + ENTRY_HEAD > len(self.buffer) or need > self.largest:
            return False
        if self._end + need <= self._limit:
            return True
        number = self.open + 1 if self._count else self.open
        if number - self.oldest >= self._slots or self.pending + self._count >= self.max_pending:
            return False
        return self._place(need, number) >= 0

    def open_batch(self, need, messages=1):
        """Close the open batch and open the next with room for `need` bytes; where its first entry goes.

        messages: it is to hold at least so many. QueueFull and MessageTooBig change nothing but `full`.
        """
        if self.failure:
            raise self.failure.again("; the message was not sent")
        self.refuse_unfit(need)
        if self.overflow:
            self.overflow(need, messages)
        self.full = True
        number = self.open + 1 if self._count else self.open
        if number - self.oldest >= self._slots:
            raise QueueFull("%d batches are in flight: wait with `await producer.room(size)`" % self._slots)
        left = self.max_pending - self.pending - self._count
        if left < messages:
            raise QueueFull("max_pending_messages (%d) are in flight" % self.max_pending)
        start = self._place(need, number)
        if start < 0:
            raise QueueFull("the send buffer is full: wait with `await producer.room(size)`")
        self.close_batch()
        start += self.head_room
        self._start = self._end = start
        self._most = min(self.max_messages, left)
        # A message larger than a batch may be is a batch of its own.
        most = max(need, min(self.max_bytes, self.largest))
        limit = self._free_end
        self._limit = start + most if most < limit - start else limit
        return start

    def refuse_unfit(self, size):
        """Raise MessageTooBig for `size` bytes that do not even fit the empty buffer, or that the broker refuses."""
        if size + self.head_room + ENTRY_HEAD > len(self.buffer) or size > self.largest:
            from ..features.too_big import refuse

            refuse(self, size)

    def _place(self, need, number):
        """Where batch `number` would start, its head room first, or -1; `_free_end` is then where its space ends."""
        need += self.head_room
        size = len(self.buffer)
        first = self.oldest
        if self.own:
            while first < self.open and first % self._slots in self.own:
                first += 1  # it takes no space here
        if number == first:
            if self.gaps:
                self.gaps = None  # from here on one batch stands behind the other again
            self._free_end = size
            return 0
        if self.gaps:
            return self.gaps(self, need, self.last_batch())
        start = self._end if self._count else self._ends[(number - 1) % self._slots]
        lowest = self._lowest(first)
        if start > lowest:
            self._free_end = size
            if start + need <= size:
                return start
            start = 0
        self._free_end = lowest
        return start if start + need <= lowest else -1

    def _lowest(self, first):
        """Where the space of the oldest batch in this buffer begins."""
        if first == self.open:
            return self._start - self.head_room
        slot = first % self._slots
        frame = self._frames[slot]
        return self._entries[slot] - self.head_room if frame < 0 else frame

    def close_batch(self):
        """The open batch, if it holds a message, joins those in flight."""
        count = self._count
        if count:
            slot = self.open % self._slots
            self._entries[slot] = self._start
            self._frames[slot] = _BARE
            self._ends[slot] = self._end
            self._counts[slot] = count
            self._heads[slot] = self._head
            self._sequences[slot] = -1
            self._count = 0
            self.open += 1
            self.pending += count if count > 0 else 1
        self._limit = self._end = self._head = 0
        self.full = False

    def next_frame(self, low, high):
        """The slot of the next frame to transmit, or -1; low, high: publish time in ms since 1970, in two halves.

        Takes the open batch where nothing else waits, unless that would leave no slot to go on with.
        """
        if self.unsent == self.open:
            if not self._count or (self.open + 1 - self.oldest >= self._slots and self.oldest != self.open):
                return -1
            self.close_batch()
        number = self.unsent
        slot = number % self._slots
        buffer = self.buffer
        if self.own:
            buffer = self.own.get(slot, buffer)
        self.out = buffer
        if self._frames[slot] < 0:
            self._dress(slot, buffer, low, high)
        self.unsent = number + 1
        self._skip()
        return slot

    def frame_start(self, slot):
        """Where the frame of a slot starts in its buffer."""
        return self._frames[slot]

    def frame_end(self, slot):
        """Where it ends."""
        if self.own and slot in self.own:
            return len(self.own[slot])
        return self._ends[slot]

    def _dress(self, slot, buffer, time_low, time_high):
        """Write SEND, checksum and metadata right-aligned before the entries; the frame gets its sequence ids."""
        start = self._entries[slot]
        end = self.frame_end(slot)
        count = self._counts[slot]
        low = self.sequence
        high = self.sequence_high
        own = self._sequences[slot]
        if own >= 0:
            low = own & _LOW_MASK
            high = own >> _LOW
        self._sequences[slot] = low
        self._highs[slot] = high
        writer = self._writer
        writer.buffer = buffer
        writer.start = start
        metadata_end = start + self._heads[slot]
        last_low = low
        last_high = high
        if count > 0:
            last_low += count - 1
            last_high += last_low >> _LOW
            last_low &= _LOW_MASK
            writer.number(24, last_low, last_high)
            writer.number(11, count)
        writer.number(3, time_low, time_high)
        writer.number(2, low, high)
        writer.data(1, self.name)
        writer.uint32(metadata_end - writer.start)
        checksum = writer.start - 4
        put_checksum(buffer, checksum, end)
        buffer[checksum - 2] = 0x0E
        buffer[checksum - 1] = 0x01
        command = checksum - 2
        writer.start = command
        if count > 0:
            writer.number(6, last_low, last_high)
            writer.number(3, count)
        writer.number(2, low, high)
        writer.number(1, self.producer_id)
        wrap(writer, _SEND, command)
        writer.uint32(command - writer.start)
        writer.uint32(end - writer.start)
        self._frames[slot] = writer.start
        last_low += 1
        last_high += last_low >> _LOW
        last_low &= _LOW_MASK
        if last_high > self.sequence_high or (last_high == self.sequence_high and last_low > self.sequence):
            self.sequence = last_low
            self.sequence_high = last_high

    def receipt(self, sequence):
        """Release the oldest batch, confirmed by the low 28 bits of its first id: its number.

        -1: a late receipt, to be ignored. -2: receipts are out of step, the link is of no more use.
        """
        number = self.oldest
        if number == self.unsent:
            return _LATE
        slot = number % self._slots
        first = self._sequences[slot]
        ahead = (sequence - first) & _LOW_MASK
        if ahead:
            return _LATE if ahead > _LOW_MASK >> 1 else _OUT_OF_STEP
        self.acked_low = first + max(self._counts[slot], 1) - 1
        self.acked_high = self._highs[slot]
        self.drop(number)
        return number

    def drop(self, number):
        """Nothing more is to become of a closed batch: it was confirmed or refused, or has waited too long."""
        slot = number % self._slots
        self._frames[slot] = _DONE
        self.pending -= max(self._counts[slot], 1)
        self._skip()

    def _skip(self):
        """Pass over what is done."""
        frames = self._frames
        slots = self._slots
        end = self.open
        while self.oldest < end and frames[self.oldest % slots] == _DONE:
            if self.own:
                self.own.pop(self.oldest % slots, None)
            self.oldest += 1
        if self.unsent < self.oldest:
            self.unsent = self.oldest
        while self.unsent < end and frames[self.unsent % slots] == _DONE:
            self.unsent += 1

    def holds(self, number):
        """Is that a closed batch of which nothing is known yet?"""
        return self.oldest <= number < self.open and self._frames[number % self._slots] != _DONE

    def rewind(self):
        """The link is gone: every frame in flight is to be transmitted again, unchanged and in order."""
        if self.resent < self.unsent:
            self.resent = self.unsent
        self.unsent = self.oldest

    def last_batch(self):
        """The number of the batch that holds the message added last."""
        return self.open if self._count else self.open - 1

    def last_index(self):
        """That message's place in its batch; -1: it is unbatched."""
        count = self._count or self._counts[(self.open - 1) % self._slots]
        return count - 1 if count > 0 else -1

    def size_of(self, number):
        """Messages in a batch that is open or in flight or was released last, 0: unbatched."""
        if number == self.open:
            return self._count
        return max(self._counts[number % self._slots], 0)

    def idle(self):
        """Has everything accepted been confirmed?"""
        return self.oldest == self.open and not self._count

    def only_open(self):
        """Is all there is to transmit a batch that is not full?"""
        return self.unsent == self.open and self._count > 0

    def waiting(self):
        """Is there something to transmit, full or not?"""
        return self.unsent != self.open or self._count > 0

    def fail(self, error):
        """Accept nothing any more: every later `add` raises `error`."""
        self.failure = error
        self._limit = 0
