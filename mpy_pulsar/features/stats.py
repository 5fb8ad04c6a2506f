"""`stats()`: the counts of producers and consumers as dicts, made when asked for.

Each core counts into one list, `counts`, which outlives it: its indexes stand here, and as constants where they are
used.
"""
from ..port import const

_RECONNECTS = const(0)
_ACKNOWLEDGED = const(1)
_BYTES = const(4)  # low 28 bits
_BYTES_HIGH = const(5)

# Of producers
_BATCHES = const(2)
_RESENT = const(3)
_TRIP_TOTAL = const(6)  # the same
_TRIP_TOTAL_HIGH = const(7)
_TRIP_LEAST = const(8)
_TRIP_MOST = const(9)
_UNKNOWN = const(10)
_FIRST_REASON = const(11)
_REASONS = ("full", "expired", "timeout", "refused", "too_large", "closed")
_OF_PRODUCER = const(17)

# Of consumers
_ENTRIES = const(2)
_REDELIVERED = const(3)
_RECEIVED = const(6)
_OF_CONSUMER = const(7)

_LOW = const(28)


def stats_of(core):
    """The dict of one producer or consumer."""
    return _producer(core.counts, _pending(core)) if core.ring else _consumer(core.counts)


def stats_of_all(lists, supervisor):
    """The dict of a client: the `counts` of all its handles; those that still live are its supervisor's (or None's)."""
    producers, consumers = _sums(lists)
    cores = supervisor.handles if supervisor else ()
    pending = sum([_pending(core) for core in cores if core.ring])
    return {
        "producers": _producer(producers, pending), "consumers": _consumer(consumers),
        "reconnects": producers[_RECONNECTS] + consumers[_RECONNECTS],
    }


def add_up(lists, cores):
    """Replace the counts of handles that are gone by their sums; cores: those that live."""
    live = [core.counts for core in cores]
    lists[:] = live + _sums([one for one in lists if not any(one is other for other in live)])


def _sums(lists):
    """[counts of all producers, of all consumers]."""
    producers = [0] * _OF_PRODUCER
    consumers = [0] * _OF_CONSUMER
    for one in lists:
        sums = producers if len(one) == _OF_PRODUCER else consumers
        for index in range(len(one)):
            sums[index] += max(one[index], 0)  # below that are the reconnects of a handle that was never open
    timed = [one for one in lists if len(one) == _OF_PRODUCER and one[_BATCHES]]
    if timed:
        producers[_TRIP_LEAST] = min([one[_TRIP_LEAST] for one in timed])
        producers[_TRIP_MOST] = max([one[_TRIP_MOST] for one in timed])
    return [producers, consumers]


def _pending(core):
    """Messages without an outcome yet; whose producer has ended are counted already."""
    return 0 if core.failure else core.ring.pending + core.ring._count


def _producer(counts, pending):
    dropped = {}
    for index in range(len(_REASONS)):
        dropped[_REASONS[index]] = counts[_FIRST_REASON + index]
    batches = counts[_BATCHES]
    milliseconds = (counts[_TRIP_TOTAL_HIGH] << _LOW) + counts[_TRIP_TOTAL]
    return {
        "sent": counts[_ACKNOWLEDGED] + counts[_UNKNOWN] + sum(dropped.values()) + pending,
        "acknowledged": counts[_ACKNOWLEDGED],
        "unknown": counts[_UNKNOWN],
        "dropped": dropped,
        "pending": pending,
        "batches": batches,
        "bytes": (counts[_BYTES_HIGH] << _LOW) + counts[_BYTES],
        "resent": counts[_RESENT],
        "reconnects": max(counts[_RECONNECTS], 0),
        "round_trip_ms": (counts[_TRIP_LEAST], milliseconds // batches, counts[_TRIP_MOST]) if batches else None,
    }


def _consumer(counts):
    return {
        "received": counts[_RECEIVED],
        "acknowledged": counts[_ACKNOWLEDGED],
        "entries": counts[_ENTRIES],
        "bytes": (counts[_BYTES_HIGH] << _LOW) + counts[_BYTES],
        "redelivered": counts[_REDELIVERED],
        "reconnects": max(counts[_RECONNECTS], 0),
    }
