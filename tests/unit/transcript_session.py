"""One session of a client with a broker, from CONNECT to the closes: the sans-io core with fixed clock, ids and names.

The script below is all that the application does; the broker's bytes come from a tape, and what the client says is
given to it, to be compared or recorded. The same on every interpreter.
"""
from mpy_pulsar.core import consumer_core
from mpy_pulsar.core.clock import Clock
from mpy_pulsar.core.connection import Connection
from mpy_pulsar.core.consumer_core import ConsumerCore
from mpy_pulsar.core.handle import CLOSED, IDLE, READY
from mpy_pulsar.core.producer_core import ProducerCore
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.writer import message as encode
from tests.unit.vector_feed import feed
from tests.unit.vector_file import from_hex
from tests.unit.vector_same import same

consumer_core.ACK_GROUP = 1000  # as on CPython; a board acknowledges at once

TOPIC = "persistent://plant/line-7/press"
NAME = "press-17"
SECONDS = 1767225600  # since 1970, when the session begins
FIRST_TOKEN = b"eyJhbGciOiJFUzI1NiJ9.first.token"
SECOND_TOKEN = b"eyJhbGciOiJFUzI1NiJ9.second.token"
READINGS = 200
DELIVER_AT = 1767225900000

_TICK = 5000  # when the session begins
_TIMEOUT = 30000
_PERMITS = 16
_READ_LIMIT = 512  # with it a board's queue has room for just these permits


class Tape:
    """The stored session: `< name` and `> name` (the broker, the client), then a frame as lines of hex."""

    def __init__(self, path):
        self._file = open(path, encoding="utf-8")
        self._line = self._next()

    def _next(self):
        while True:
            line = self._file.readline()
            if not line.startswith("#"):
                return line.rstrip("\n")

    def _frame(self, mark, name):
        same("next on the tape", mark + " " + name, self._line)
        data = bytearray()
        self._line = self._next()
        while self._line.startswith("+ "):
            data.extend(from_hex(self._line[2:]))
            self._line = self._next()
        return bytes(data)

    def hear(self, name):
        """What the broker says next."""
        return self._frame("<", name)

    def say(self, name, frames):
        """What the client says, frame by frame; Difference where it should say something else."""
        for frame in frames:
            same("what the client says, %s" % name, self._frame(">", name), frame)

    def finish(self):
        """At the end; Difference where there is more on the tape."""
        same("left on the tape", "", self._line)

    def close(self):
        """However it ended."""
        self._file.close()


class Ticket:
    """Waits for the receipt of a batch."""

    def __init__(self):
        self.outcome = None

    def finish(self, message_id, size, error):
        """The broker's word."""
        self.outcome = (message_id, size, error)


class Session:
    """The client's side and its script, `run`; the owner of its connection and handles."""

    def __init__(self, tape, piece=0):
        """piece: bytes of the broker's that come at a time, 0: all of a step."""
        self.tape = tape
        self.piece = piece
        self.now = _TICK
        self.clock = Clock(SECONDS, _TICK)
        self.connection = Connection(self, bytearray(4096), _READ_LIMIT, _TICK)
        self.ring = BatchRing(bytearray(6000), 1, 8, READINGS, 6000)
        self.producer = ProducerCore(TOPIC, 1, _TIMEOUT, self.ring, NAME, properties={"site": "B"})
        self.consumer = ConsumerCore(TOPIC, 2, _TIMEOUT, "audit", 1, 1, _PERMITS, "c-0", {"role": "audit"})
        self.producer.plain = self.consumer.plain = True
        self.connection.speculation = 0
        self.reports = []
        self.producer.report = self.consumer.report = self.reports.append

    # The connection's owner

    def wake(self):
        """There is something to write."""

    def serves(self, url, tls_url, proxied):
        """Is this the broker that a look-up named?"""
        return url == "pulsar://b-1.plant.example:6650"

    def describe(self):
        """The broker's address, for errors."""
        return "b-1.plant.example:6650"

    def challenged(self):
        """Fresh credentials, please."""
        self.connection.answer_challenge("token", SECOND_TOKEN)

    # Both directions

    def hear(self, *names):
        """These frames of the broker's arrive in one go, or piece by piece."""
        data = b"".join([self.tape.hear(name) for name in names])
        piece = self.piece or len(data)
        for start in range(0, len(data), piece):
            feed(self.connection, data, start, min(start + piece, len(data)))

    def say(self, name):
        """Give the tape what a link's writer would write now, in its order; how many frames that was."""
        connection = self.connection
        self.consumer.flush()  # what a link's sweep does after a while
        frames = list(connection.control)
        del connection.control[:]
        self.clock.update(self.now)
        for handle in (self.producer, self.consumer):
            if handle.connection is None or handle.ring is None:
                continue
            slot = handle.next_frame(self.clock, self.now)
            while slot >= 0:
                ring = handle.ring
                frames.append(bytes(memoryview(ring.buffer)[ring.frame_start(slot):ring.frame_end(slot)]))
                slot = handle.next_frame(self.clock, self.now)
        self.tape.say(name, frames)
        self.now += 7
        return len(frames)

    def said_nothing(self):
        """The client has nothing to say."""
        same("frames where none belong", 0, self.say("nothing"))

    # The script

    def run(self):
        """The whole session."""
        try:
            self.connect()
            self.open_producer()
            self.send()
            self.keep_alive()
            self.open_consumer()
            self.receive()
            self.move_producer()
            self.close()
            self.tape.finish()
        finally:
            self.tape.close()

    def connect(self):
        """CONNECT with a token: nothing else may leave before CONNECTED."""
        self.connection.start("token", FIRST_TOKEN)
        self.producer.attach(self.connection, self.now)
        same("frames", 1, self.say("connect"))
        self.hear("connected")
        same("max_message_size", 1048576, self.connection.max_message_size)

    def open_producer(self):
        """Look-up and PRODUCER; the broker knows the name up to id 41."""
        self.say("producer-lookup")
        self.hear("producer-lookup-answer")
        self.say("producer")
        self.hear("producer-success")
        same("state", READY, self.producer.state)
        self.said_nothing()

    def send(self):
        """Batches of 1, 2 and 200, and a message of its own; ids from 42 on."""
        ring = self.ring
        tickets = [Ticket() for _ in range(4)]
        for number, ticket in enumerate(tickets):
            self.producer.tickets[number] = ticket
        ring.add(b"21.5")
        same("frames", 1, self.say("send-1"))
        add_entry(ring, b"21.75", encode(1, (1, "unit", 2, "°C"), 2, "line-7", 3, 5, 5, 1767225599000))
        add_entry(ring, b"", encode(3, 0, 7, b"\x00\xff"))
        same("frames", 1, self.say("send-2"))
        for number in range(READINGS):
            ring.add(b"t=%d" % number)
        same("frames", 1, self.say("send-200"))
        ring.add_unbatched(b"later", encode(4, (1, "kind", 2, "alarm"), 19, DELIVER_AT))
        same("frames", 1, self.say("send-later"))
        self.said_nothing()
        same("idle", False, ring.idle())
        self.hear("receipt-1", "receipt-2", "receipt-200", "receipt-later")
        same("idle", True, ring.idle())
        same("outcomes", [(encode(1, 71, 2, entry), size, None) for entry, size in ((5, 1), (6, 2), (7, 200), (8, 0))],
             [ticket.outcome for ticket in tickets])

    def keep_alive(self):
        """PING both ways, and fresh credentials."""
        self.hear("broker-ping")
        same("frames", 1, self.say("pong"))
        self.now += 30000
        self.connection.sweep(self.now)
        same("frames", 1, self.say("ping"))
        self.hear("broker-pong")
        self.said_nothing()
        self.hear("auth-challenge")
        same("frames", 1, self.say("auth-response"))

    def open_consumer(self):
        """SUBSCRIBE, SUCCESS, FLOW."""
        self.consumer.attach(self.connection, self.now)
        self.say("consumer-lookup")
        self.hear("consumer-lookup-answer")
        self.say("subscribe")
        self.hear("subscribe-success")
        same("state", READY, self.consumer.state)
        same("frames", 1, self.say("flow"))

    def receive(self):
        """A batch of 2, a single message and a batch of 12; then one that was damaged on its way."""
        self.hear("message-2", "message-single", "message-12")
        taken = []
        while True:
            message = self.consumer.take()
            if message is None:
                break
            taken.append(message)
        same("payloads", [b"a", b"", b"21.5"] + [b"n%d" % number for number in range(12)], [m.data() for m in taken])
        same("properties", {"unit": "°C"}, taken[0].properties())
        same("key", "line-7", taken[0].partition_key())
        same("null value", True, taken[1].has_null_value())
        same("event time", 1767225599000, taken[2].event_timestamp())
        same("place", "(90,3,-1,11)", repr(taken[-1].message_id()))
        self.say("flow-back")
        self.consumer.acknowledge(taken[0])
        self.said_nothing()
        self.consumer.acknowledge(taken[1])
        self.consumer.acknowledge(taken[2])
        same("frames", 1, self.say("ack-two"))
        for message in taken[3:]:
            self.consumer.acknowledge(message)
        same("frames", 1, self.say("ack-batch"))
        same("reports", 0, len(self.reports))
        self.hear("message-damaged")
        same("taken", None, self.consumer.take())
        same("reports", 1, len(self.reports))
        same("frames", 2, self.say("give-up"))  # the ACK, and a FLOW for eight permits used up

    def move_producer(self):
        """The broker closes the producer with a frame in flight: opened again, the very same frame leaves again."""
        self.ring.add(b"in flight")
        same("frames", 1, self.say("send-unlucky"))
        self.hear("producer-closed")
        same("state", IDLE, self.producer.state)
        self.producer.attach(self.connection, self.now)
        self.say("producer-lookup-again")
        self.hear("producer-lookup-answer-again")
        self.say("producer-again")
        self.ring.add(b"after")
        self.hear("producer-success-again")
        same("frames", 2, self.say("send-again"))
        self.hear("receipt-unlucky", "receipt-after")
        same("idle", True, self.ring.idle())

    def close(self):
        """A last acknowledgement, CLOSE_CONSUMER, CLOSE_PRODUCER."""
        self.hear("message-last")
        self.consumer.acknowledge(self.consumer.take())
        self.consumer.start_close(self.now)
        self.say("close-consumer")
        self.hear("consumer-close-success")
        same("state", CLOSED, self.consumer.state)
        self.producer.start_close(self.now)
        self.say("close-producer")
        self.hear("producer-close-success")
        same("state", CLOSED, self.producer.state)
        self.said_nothing()
