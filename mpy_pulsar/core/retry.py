"""How long to wait before the next try."""
import random

from ..port import const

_FIRST = const(100)  # ms
_MOST = const(30000)
_MOST_SLOW = const(600000)
_DOUBLINGS = const(13)
_STEPS = const(18)


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
