"""Which messages of a batch are acknowledged already, as bits: 64 to a word, the lowest first; set: not yet."""
from ..core.message import SKIPPED
from ..errors import ProtocolError
from ..port import const
from ..wire.scanner import each, varint

_ACK_SET = const(4)  # field of MESSAGE
_WORD = const(64)


def _words(buffer, command):
    """The ack_set of a MESSAGE that was scanned into `command`, each value by itself or packed."""
    start = command.at[0]
    try:
        for at, size in each(buffer, start, start + command.value[0], _ACK_SET):
            end = at + size
            while at < end:
                yield varint(buffer, at)
                while buffer[at] > 127:
                    at += 1
                at += 1
            if at != end:
                raise ProtocolError("ack_set that does not end with a number", at)
    except IndexError:
        raise ProtocolError("ack_set that runs past its end", start)


def cost_of(buffer, command, count):
    """How many of `count` messages cost a permit: those not acknowledged. Bits beyond the count say nothing."""
    cost = 0
    for word in _words(buffer, command):
        if count <= 0:
            break
        cost += bin(word & (1 << min(count, _WORD)) - 1).count("1")
        count -= _WORD
    return cost


def mark(buffer, command, done):
    """Let the messages that are acknowledged already be passed over; done: the flags of an Entry."""
    count = len(done)
    start = 0
    for word in _words(buffer, command):
        for index in range(start, min(start + _WORD, count)):
            if not word >> index - start & 1:
                done[index] = SKIPPED
        start += _WORD
    for index in range(start, count):
        done[index] = SKIPPED


def words_of(done):
    """The flags of an entry as a list of words; zero words at the end are left out."""
    words = []
    for start in range(0, len(done), _WORD):
        word = 0
        for index in range(start, min(start + _WORD, len(done))):
            if not done[index]:
                word |= 1 << index - start
        words.append(word)
    while words and not words[-1]:
        words.pop()
    return words
