"""Arbitrary sequences of sends, receipts, refusals, time-outs and lost links, against a model of a broker that weeds
out duplicates: every message has one outcome, that outcome is true, and what is stored stands in order, once."""
from mpy_pulsar.core.handle import READY
from mpy_pulsar.errors import ConnectError, PulsarError, QueueFull
from mpy_pulsar.features.entries import add_entry
from mpy_pulsar.features.own_frames import add_large
from mpy_pulsar.features.send_timeout import SendTimeout
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import opened_producer, reopen
from tests.unit.wire_support import Random, crc32c, read_batch, read_send

_STEPS = 120
_TIMEOUT = 1000
_NOWHERE = (1 << 64) - 1


class Ticket:
    """Hears of one batch and notes its messages' outcome."""

    def __init__(self, model):
        self.model = model
        self.payloads = []

    senders = 1 << 20

    def finish(self, encoded, size, error):
        assert size == len(self.payloads) or (size == 0 and len(self.payloads) == 1)
        for payload in self.payloads:
            assert payload not in self.model.outcomes, "a second outcome"
            self.model.outcomes[payload] = error


class Model:
    """A producer, the broker's storage, and what became of each message."""

    def __init__(self, seed):
        self.random = Random(seed)
        below = self.random.below
        self.broker, self.core = opened_producer(
            size=400 + below(800), slots=1 + below(6), messages=1 + below(4), delay=(0, 0, 40)[below(3)],
        )
        if below(2):
            SendTimeout(self.core, _TIMEOUT)
        self.accepted = []
        self.outcomes = {}
        self.stored = []  # payloads
        self.highest = -1
        self.answers = []  # what the broker is going to say on this link: a command's fields, and messages refused
        self.unheard = []  # messages refused by an answer that a lost link has swallowed: no client can tell
        self.deaf = False  # it takes nothing more until the producer is opened again
        self.moved = False

    def add(self):
        """A message of any kind."""
        ring = self.core.ring
        kind = self.random.below(8)
        payload = b"%d:" % len(self.accepted) + bytes(self.random.below(60)) + (bytes(2000) if kind == 7 else b"")
        try:
            if kind < 4:
                ring.add(payload)
            elif kind < 6:
                add_entry(ring, payload, message(2, "k", 3, len(payload)), message(6, "k"))
            elif kind == 6:
                ring.add_unbatched(payload, message(6, "k"))
            else:
                add_large(ring, payload, b"", -1, True)
        except QueueFull:
            assert not ring.idle()
            return
        self.accepted.append(payload)
        tickets = self.core.tickets
        ticket = tickets.get(ring.last_batch())
        if ticket is None:
            ticket = tickets[ring.last_batch()] = Ticket(self)
        ticket.payloads.append(payload)

    def transmit(self, luck):
        """Whatever the writer has; luck: how often the broker is in order, of 16."""
        for frame in self.broker.sent(self.core):
            command, metadata, checksum, covered, payload = read_send(frame)
            assert checksum == crc32c(covered)
            payloads = [one for _, one in read_batch(payload)] if 11 in metadata else [payload]
            first = command[2]
            last = command.get(6, first)
            if self.deaf:
                continue
            if self.random.below(16) >= luck:
                code = (9, 22, 2)[self.random.below(3)]
                self.answers.append(((fake.SEND_ERROR, 1, 1, 2, last, 3, code, 4, "no"), payloads))
                self.moved = self.moved or code == 9
                self.deaf = code == 2
            elif first <= self.highest:
                self.answers.append(((fake.SEND_RECEIPT, 1, 1, 2, first, 3, fake.message_id(_NOWHERE, _NOWHERE)), []))
            else:
                self.highest = last
                self.stored += payloads
                self.answers.append(((fake.SEND_RECEIPT, 1, 1, 2, first, 3, fake.message_id(len(self.stored))), []))

    def hear(self):
        """The broker's next word."""
        if self.answers and self.core.state == READY:
            self.broker.say(*self.answers.pop(0)[0])
            self.settle()

    def lose(self):
        """The link is gone, with what it had still to bring."""
        self.core.lost(ConnectError("gone"), self.broker.now)
        self.settle()

    def settle(self):
        """Open it again where it was lost."""
        if self.core.state != READY:
            for _, payloads in self.answers:
                self.unheard += payloads
            self.answers = []
            self.deaf = False
            reopen(self.broker, self.core)
            self.broker.heard()

    def wait(self):
        """Time passes."""
        self.broker.now += self.random.below(400)
        self.broker.clock.update(self.broker.now)
        self.core.sweep(self.broker.now)

    def step(self):
        """Anything that can happen."""
        choice = self.random.below(16)
        if choice < 6:
            self.add()
        elif choice < 10:
            self.transmit(13)
        elif choice < 14:
            self.hear()
        elif choice == 14:
            self.wait()
        else:
            self.lose()
        ring = self.core.ring
        assert ring.oldest <= ring.unsent <= ring.open and 0 <= ring.pending and ring.open - ring.oldest <= ring._slots
        assert self.core.failure is None

    def drain(self):
        """From now on all goes well."""
        rounds = 0
        while not self.core.ring.idle():
            self.core.ring.close_batch()
            self.transmit(16)
            while self.answers:
                self.hear()
            if self.deaf:
                self.lose()
            rounds += 1
            assert rounds < 100, "it never ends"

    def check(self):
        """Each outcome is there, and true."""
        ring = self.core.ring
        assert ring.pending == 0 and ring.own == {} and self.core.tickets == {}
        assert len(set(self.stored)) == len(self.stored), "stored twice"
        for payload in self.accepted:
            error = self.outcomes[payload]
            if error is None:
                assert payload in self.stored or payload in self.unheard, "confirmed and lost"
            elif "unknown" not in str(error):
                assert payload not in self.stored, "stored, and the error says it is not: %s" % error
            assert error is None or isinstance(error, PulsarError)
        if not self.moved:
            places = [self.accepted.index(payload) for payload in self.stored]
            assert places == sorted(places), "out of order"


def test_every_message_has_one_true_outcome():
    refusals = stored = unknown = 0
    for seed in range(300):
        model = Model(seed)
        for _ in range(_STEPS):
            model.step()
        model.drain()
        model.check()
        stored += len(model.stored)
        errors = [str(error) for error in model.outcomes.values() if error]
        unknown += len([error for error in errors if "unknown" in error])
        refusals += len(errors)
    assert stored > 3000 and refusals > 300 and unknown > 50, (stored, refusals, unknown)
