"""What becomes of a handle when the broker says no, and how long to wait before the next try."""
import random

from ..port import const

# By ServerError number, 0 to 25: "f" final, "r" try again with a back-off of up to 30 s, "s" the same up to 10 minutes.
# Creating: create_producer or subscribe has not returned yet. Established: it has, and somebody relies on it, so only
# a terminated topic and a fenced producer end it.
_CREATING = "rrrffrrrrrfffrrfrfffffffff"
_ESTABLISHED = "rsrssrrssrsssrrfrssssssssf"

_FIRST = const(100)  # ms
_MOST = const(30000)
_MOST_SLOW = const(600000)
_DOUBLINGS = const(13)
_STEPS = const(18)


def verdict(code, established):
    """"f", "r" or "s" for a ServerError; codes that no table knows are tried again."""
    table = _ESTABLISHED if established else _CREATING
    return table[code] if 0 <= code < len(table) else "r"


def back_off(failures, slow=False):
    """Milliseconds to wait after so many failures in a row (1 and up), half of it by chance: fleets spread out.

    It doubles where somebody has to mend something; else it grows half as fast, so that a broker which is back is soon
    found.
    """
    if slow:
        delay = min(_FIRST << min(failures - 1, _DOUBLINGS), _MOST_SLOW)
    else:
        failures = min(failures, _STEPS)
        delay = _FIRST << (failures - 1) // 2
        delay = min(delay if failures & 1 else delay + delay // 2, _MOST)
    return delay // 2 + random.getrandbits(16) * (delay // 2 + 1) // 65536


def any_below(count):
    """A number from 0 to count - 1 by chance; count: at most 2^14 to have even chances on a board."""
    return random.getrandbits(16) * count >> 16
