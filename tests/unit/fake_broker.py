"""The broker's side of a Connection for the core's tests: it makes the broker's frames and reads the client's.

No socket and no clock: bytes are put into the read buffer as a link would, and time is a tick that the test moves.
"""
from mpy_pulsar.core.clock import Clock
from mpy_pulsar.core.connection import Connection
from mpy_pulsar.core.consumer_core import ConsumerCore
from mpy_pulsar.core.producer_core import ProducerCore
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.commands import command
from mpy_pulsar.wire.writer import message
from tests.unit.wire_support import crc32c, read_varint

CONNECT = 2
CONNECTED = 3
SUBSCRIBE = 4
PRODUCER = 5
SEND_RECEIPT = 7
SEND_ERROR = 8
MESSAGE = 9
ACK = 10
FLOW = 11
SUCCESS = 13
ERROR = 14
CLOSE_PRODUCER = 15
CLOSE_CONSUMER = 16
PRODUCER_SUCCESS = 17
PING = 18
PONG = 19
LOOKUP = 23
LOOKUP_RESPONSE = 24
AUTH_CHALLENGE = 36
AUTH_RESPONSE = 37

NO_REQUEST = (1 << 64) - 1  # the request id of what the broker says unasked
TIME = 1700000000000  # publish time of test messages, ms since 1970
TOPIC = "persistent://public/default/t"
HERE = "pulsar://here:6650"
THERE = "pulsar://there:6650"
TIMEOUT = 30000
START = 1000  # the tick at which tests begin


class Command:
    """One of the client's control frames: `kind`, and the sub-message's fields (numbers or bytes) by number."""

    def __init__(self, frame):
        total = int.from_bytes(frame[0:4], "big")
        size = int.from_bytes(frame[4:8], "big")
        assert total == len(frame) - 4 and size == total - 4, "not one whole command"
        outer = _read_lists(frame[8:])
        self.kind = outer[1][0]
        assert len(outer) == 2 and len(outer[self.kind]) == 1
        self._fields = _read_lists(outer[self.kind][0])

    def __getitem__(self, field):
        return self._fields[field][-1]

    def get(self, field):
        """The last value of a field, None where it is absent."""
        return self._fields[field][-1] if field in self._fields else None

    def all(self, field):
        """The values of a repeated field."""
        return self._fields.get(field, [])


def _read_lists(data):
    fields = {}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = bytes(data[at:at + value]), at + value
        else:
            assert tag & 7 == 0, "wire type %d" % (tag & 7)
        fields.setdefault(tag >> 3, []).append(value)
    return fields


class Broker:
    """A Connection and what stands around it: it is the link that owns it, and the broker at its other end."""

    def __init__(self, size=2048, limit=4096, now=START, token=None, proxy_to=None, connected=True):
        """size, limit: of the read buffer. token: bytes. connected: say CONNECTED at once, and drop the CONNECT."""
        self.now = now
        self.wakes = 0
        self.challenges = 0
        self.places = [HERE]  # URLs that name this very broker
        self.connection = Connection(self, bytearray(size), limit, now)
        self.connection.speculation = 0  # one step after the other; test_finding has the rest
        self.clock = Clock(TIME // 1000, now)
        if connected:
            self.connection.start("token" if token else "none", token, proxy_to)
            self.say(CONNECTED, 1, "fake", 2, 21)
            self.heard()

    # What a link is for its connection

    def wake(self):
        self.wakes += 1

    def describe(self):
        return "here:6650"

    def challenged(self):
        self.challenges += 1

    def serves(self, url, tls_url, proxied):
        return url in self.places

    # Both directions

    def feed(self, data, step=1 << 30):
        """The broker's bytes arrive, at most `step` at a time, and never more than the read buffer has room for."""
        at = 0
        while at < len(data):
            buffer = self.connection.buffer
            filled = self.connection.filled
            room = len(buffer) - filled
            assert room > 0, "the connection left no room to read into"
            piece = data[at:at + min(step, room)]
            buffer[filled:filled + len(piece)] = piece
            self.connection.feed(len(piece), self.now)
            at += len(piece)

    def say(self, kind, *pairs):
        """Send one command to the client."""
        self.feed(command(kind, *pairs))

    def heard(self):
        """The client's control frames since the last call, as Commands."""
        frames = self.connection.control
        commands = [Command(frame) for frame in frames]
        frames.clear()
        return commands

    def hear(self, *kinds):
        """The client's control frames since the last call, which must be of these kinds; the last of them."""
        commands = self.heard()
        assert [one.kind for one in commands] == list(kinds), [one.kind for one in commands]
        return commands[-1] if commands else None

    def sent(self, core):
        """Frames of messages that a producer transmits now, in order."""
        frames = []
        slot = core.next_frame(self.clock, self.now)
        while slot >= 0:
            frames.append(bytes(core.ring.out[core.ring.frame_start(slot):core.ring.frame_end(slot)]))
            slot = core.next_frame(self.clock, self.now)
        return frames

    # Steps of a handle

    def answer_lookup(self, url=HERE, response=1, authoritative=None, tls_url=None, proxied=None):
        """Answer the LOOKUP that the client has just sent; the Command. response: 0 Redirect, 1 Connect."""
        asked = self.hear(LOOKUP)
        self.say(LOOKUP_RESPONSE, 1, url, 2, tls_url, 3, response, 4, asked[2], 5, authoritative, 8, proxied)
        return asked

    def attach(self, core):
        """Put a handle on the connection and bring it to its PRODUCER or SUBSCRIBE, which is returned."""
        core.plain = True
        core.attach(self.connection, self.now)
        self.answer_lookup()
        return self.hear(core.close_kind - 10 if core.close_kind == CLOSE_PRODUCER else SUBSCRIBE)

    def open(self, core, name="made", last=None):
        """The same, and accept it. name, last: producer_name and last_sequence_id of PRODUCER_SUCCESS."""
        asked = self.attach(core)
        if asked.kind == PRODUCER:
            self.say(PRODUCER_SUCCESS, 1, asked[3], 2, name, 3, last)
        else:
            self.say(SUCCESS, 1, asked[5])
        return asked

    def receipt(self, sequence, entry=0, producer_id=1, ledger=7):
        """SEND_RECEIPT for the frame whose first id is `sequence`."""
        self.say(SEND_RECEIPT, 1, producer_id, 2, sequence, 3, message_id(entry, ledger), 4, NO_REQUEST)


class Watch:
    """What a handle tells its owner: counts of calls, reported errors, and the states it went through."""

    def __init__(self, core):
        self.core = core
        self.states = []
        self.errors = []
        self.attended = 0
        self.rooms = 0
        self.arrivals = 0
        core.changed = self._changed
        core.attend = self._attend
        core.reporter = self.errors.append
        core.room = self._room
        core.arrived = self._arrived

    def _changed(self):
        self.states.append(self.core.state)

    def _attend(self):
        self.attended += 1

    def _room(self):
        self.rooms += 1

    def _arrived(self):
        self.arrivals += 1


class Ticket:
    """What waits for one batch, all its messages."""

    senders = 1 << 20

    def __init__(self):
        self.calls = []

    def finish(self, encoded, size, error):
        self.calls.append((encoded, size, error))


def producer(slots=8, messages=100, size=4000, **options):
    """A watched ProducerCore with id 1 and a ring of its own."""
    core = ProducerCore(TOPIC, 1, TIMEOUT, BatchRing(bytearray(size), 1, slots, messages, size), **options)
    core.plain = True
    core.watch = Watch(core)
    return core


def consumer(permits=4, consumer_type=0, initial_position=0, **options):
    """A watched ConsumerCore with id 2."""
    core = ConsumerCore(TOPIC, 2, TIMEOUT, "sub", consumer_type, initial_position, permits, **options)
    core.plain = True
    core.watch = Watch(core)
    return core


def opened_producer(last=None, **options):
    """A broker and an open producer."""
    broker, core = Broker(), producer(**options)
    broker.open(core, last=last)
    return broker, core


def producer_in_flight(count=3, **options):
    """An open producer with so many one-message batches transmitted: broker, core, frames, tickets."""
    broker, core = opened_producer(messages=1, **options)
    tickets = []
    for number in range(count):
        core.ring.add(b"message %d" % number)
        ticket = core.tickets[core.ring.last_batch()] = Ticket()
        tickets.append(ticket)
    frames = broker.sent(core)
    assert len(frames) == count
    return broker, core, frames, tickets


def reopen(broker, core, **answer):
    """Go through look-up and PRODUCER again; the Command."""
    core.not_before = None
    return broker.open(core, **answer)


def message_id(entry, ledger=7, *more):
    """Encoded MessageIdData."""
    return message(1, ledger, 2, entry, *more)


def batch_entry(payload, *pairs):
    """A batch's entry: size, SingleMessageMetadata of these fields (without any: payload_size alone), payload."""
    metadata = message(*(pairs or (3, len(payload))))
    return len(metadata).to_bytes(4, "big") + metadata + payload


def entry_frame(entry, metadata, payload, consumer_id=2, checksum=True, broker_entry=None, command_pairs=()):
    """A MESSAGE frame. metadata: bytes of MessageMetadata; checksum: True, False (none) or four bytes of one's own."""
    covered = len(metadata).to_bytes(4, "big") + metadata + payload
    rest = covered
    if checksum:
        rest = b"\x0e\x01" + (crc32c(covered) if checksum is True else checksum) + covered
    if broker_entry is not None:
        rest = b"\x0e\x02" + len(broker_entry).to_bytes(4, "big") + broker_entry + rest
    return raw_frame(rest, 1, consumer_id, 2, message_id(entry), *command_pairs)


def raw_frame(rest, *command_pairs):
    """MESSAGE of these fields with whatever bytes behind it."""
    head = command(MESSAGE, *command_pairs)[4:]
    return (len(head) + len(rest)).to_bytes(4, "big") + head + rest


def single(entry, payload, *pairs, **options):
    """A MESSAGE of one message outside of a batch; pairs: fields of MessageMetadata from 4 up."""
    return entry_frame(entry, message(1, "from", 2, 5, 3, TIME, *pairs), payload, **options)


def batch(entry, entries, count=None, *pairs, **options):
    """A MESSAGE of a batch; entries: a list of payloads, or of bytes made by `batch_entry` joined already."""
    payload = entries
    if isinstance(entries, list):
        count = len(entries) if count is None else count
        payload = b"".join([batch_entry(one) for one in entries])
    return entry_frame(entry, message(1, "from", 2, 5, 3, TIME, 11, count, *pairs), payload, **options)
