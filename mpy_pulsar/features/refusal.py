"""What becomes of a frame that the broker refuses, drops, or would not take; loaded with the first one."""
from ..core.verdicts import verdict
from ..errors import MessageTooBig, PulsarError
from ..port import const
from ..wire.kernels import check
from .refused import broker_error

_CHECKSUM_ERROR = const(9)
_NOT_ALLOWED = const(22)
_LOW_MASK = const(0xFFFFFFF)

# In a producer's counts, see features/stats
_UNKNOWN = const(10)
_REFUSED = const(14)
_TOO_LARGE = const(15)
_CLOSED = const(16)


def on_send_error(core, sequence, code, text):
    """The broker stored nothing of the frame whose last id is `sequence` (its low 28 bits).

    About that frame alone: it fails, or is sent again with new ids, and the producer lives. A terminated topic ends the
    producer. All else: opened again, all in flight is resent in order.
    """
    number = _find(core.ring, sequence)
    error = broker_error(code, text, "sending to %s" % core.topic)
    if code == _CHECKSUM_ERROR or code == _NOT_ALLOWED:
        if number < 0:
            return  # it has failed already, of waiting too long
        if code == _NOT_ALLOWED:
            drop(core, number, error.again(_refused(core, number)))
        else:
            _damaged(core, number, error)
    elif verdict(code, True) == "f":
        core._leave()
        core.fail(error)
    else:
        # Those behind it were refused too, as a rule, but their refusals find this handle gone.
        for behind in range(core.ring.oldest if number < 0 else number, core.ring.unsent):
            _suspect(core, behind)
        core.retry(error, verdict(code, True) == "s")


def drop(core, number, error, what=_REFUSED):
    """A closed batch fails, and the producer lives on; what: the index in `counts` where it was not stored."""
    core.ring.drop(number)
    count(core, _UNKNOWN if number < core.ring.resent else what, number)
    core.report(error)
    core._finish(number, None, error)
    core._freed()


def count(core, what, number):
    """Count the messages of a batch that is open, or closed, or was dropped last; what: an index of `counts`."""
    core.counts[what] += max(core.ring.size_of(number), 1)


def _suspect(core, number):
    """It goes again with the same ids: a broker that weeds out duplicates may take it for one, and confirm what it
    never stored."""
    core.suspects = tuple([one for one in core.suspects if one >= core.ring.oldest and one != number]) + (number,)


def _refused(core, number):
    """What a refusal says of a message's fate, as the end of an error's text."""
    if number < core.ring.resent:
        return "; an earlier transmission of the message may have been stored: its fate is unknown"
    return "; the message was not stored"


def _find(ring, sequence):
    """The number of the batch in flight whose last id has these low 28 bits, -1: none.

    In flight is also what goes out again once the producer is open: the link may still bring what it was refused for.
    """
    for number in range(ring.oldest, max(ring.unsent, ring.resent)):
        slot = number % ring._slots
        last = ring._sequences[slot] + max(ring._counts[slot], 1) - 1
        if not (sequence - last) & _LOW_MASK and ring.holds(number):
            return number
    return -1


def _damaged(core, number, error):
    """The broker found the checksum wrong: it was damaged here, or on the way."""
    ring = core.ring
    slot = number % ring._slots
    buffer = ring.own.get(slot, ring.buffer)
    if not check(buffer, _checksum_at(buffer, ring.frame_start(slot)), ring.frame_end(slot)):
        drop(core, number, error.again("; it was damaged in this machine's memory" + _refused(core, number)))
    elif number < ring.resent and number not in core.suspects:
        # New ids could store it twice, where an earlier transmission has arrived.
        _suspect(core, number)
        core.retry(error)
    elif number < ring.resent or number in core.requeued:
        drop(core, number, error.again("; damaged on the way once more" + _refused(core, number)))
    else:
        core.refusal = error
        core.damaged += (number,)
        _suspect(core, number)  # should the link be lost before there is a slot for it
        send_again(core)


def send_again(core):
    """Move damaged batches behind all that is queued, each as soon as there is a slot for it."""
    for number in core.damaged:
        ring = core.ring
        if ring.holds(number):
            behind = ring.open + 1 if ring._count else ring.open
            oldest = ring.oldest + 1 if number == ring.oldest else ring.oldest
            if behind - oldest >= ring._slots:
                return
        core.damaged = tuple([one for one in core.damaged if one != number])
        if ring.holds(number):
            _requeue(core, number)


def _requeue(core, number):
    ring = core.ring
    error = core.refusal
    from .own_frames import requeue

    try:
        new = requeue(ring, number)
    except MemoryError:
        drop(core, number, error.again("; no memory to send it again: the message was not stored"))
        return
    core.suspects = tuple([one for one in core.suspects if one != number])
    core.requeued = tuple([one for one in core.requeued if one >= ring.oldest]) + (new,)
    ticket = core.tickets.pop(number, None)
    if ticket:
        core.tickets[new] = ticket
    core.report(PulsarError(
        "%s; damaged on the way: sent again with new ids, so behind what was sent after it" % error.text, error.code
    ))
    core._freed()


def _checksum_at(buffer, start):
    """Where the checksum of the frame at `start` stands: behind two sizes, the command and two bytes of magic."""
    return start + 8 + (buffer[start + 6] << 8 | buffer[start + 7]) + 2


def fate(ring, number):
    """What is known of a batch without a receipt, as the end of an error's text."""
    if number < ring.unsent or number < ring.resent:
        return "; the message was transmitted and has no receipt: its fate is unknown"
    return "; the message was not sent"


def end_waits(core, first):
    """The producer ends: what is without a receipt is of unknown fate, or will not be sent. first: count it too."""
    ring = core.ring
    for number in range(ring.oldest, ring.last_batch() + 1):
        if first and (number == ring.open or ring.holds(number)):
            count(core, _UNKNOWN if number < max(ring.unsent, ring.resent) else _CLOSED, number)
        if number in core.tickets:
            core._finish(number, None, core.failure.again(fate(ring, number)))


def stored_nowhere(core, number):
    """A receipt without a place: the error where that means a loss, None where it means "stored before"."""
    ring = core.ring
    if number < ring.resent or core.last_sequence_id() <= core.remembered:
        # Transmitted before; or with an id of the application's own that the broker had before this producer was made.
        if number not in core.suspects and not core.topic.startswith("non-persistent:"):
            return None
    error = PulsarError("%s: the broker %s" % (
        core.topic, "refused a message and then took it for a duplicate: its fate is unknown"
        if number in core.suspects else "dropped a message: it was not stored"
    ))
    core.report(error)
    count(core, _UNKNOWN if number in core.suspects else _REFUSED, number)
    return error


def too_large(core, number, slot):
    """A frame was made before the broker said what it takes."""
    ring = core.ring
    fate = "it was not sent"
    if number < ring.resent:
        fate = "one before may have stored it: its fate is unknown"
    drop(core, number, MessageTooBig(
        "%s: a frame of %d bytes, and the broker takes messages of up to %d: %s"
        % (core.topic, ring.frame_end(slot) - ring.frame_start(slot), core.connection.max_message_size, fate)
    ), _TOO_LARGE)
