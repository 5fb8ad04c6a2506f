"""One partition of a topic that has several; loaded for such a topic."""
import random

from ..core.topic import partition_name
from ..errors import PulsarError


def choose(handle, count):
    """A handle's topic is the parent of `count` partitions: go on with one of them, or say which there are."""
    partition = handle.partition
    last = partition_name(handle.topic, count - 1)
    if partition < -1 or partition >= count:
        text = "%s is partitioned: use one of its %d partitions by name, up to %s" % (handle.topic, count, last)
        if handle.established:
            handle.retry(PulsarError(text), True)
        else:
            handle._leave()
            handle.fail(PulsarError(text))
        return
    handle.topic = partition_name(handle.topic, _any_below(count) if partition < 0 else partition)
    handle.plain = True
    handle._found = None
    handle._look_up()


def _any_below(count):
    """A number from 0 to count - 1 by chance; count: at most 2^14 to have even chances on a board."""
    return random.getrandbits(16) * count >> 16
