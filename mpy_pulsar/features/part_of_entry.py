"""Entries of which not every message is to be delivered; loaded where a MESSAGE or the consumer has cause for it."""
from ..core.message import SKIPPED

_ID_IN_ACK = b"\x1a"  # tag


def permits_of(entry):
    """What the messages of an entry that nobody took yet have cost."""
    done = entry.flags()
    return sum([done[index] != SKIPPED for index in range(entry.index, len(done))])


def prepare(core, entry, buffer, command):
    """Mark what of a fresh Entry is not to be delivered, and settle its permits. False: none of it is.

    Acknowledged already (ack_set): costs no permit. Sent before the last redelivery was asked for (epoch): void, it
    comes again. Before the place to start from: done with.
    """
    if command.value[4] >= 0 and entry.count:
        from .ack_set import mark

        mark(buffer, command, entry.flags())
    if 0 <= command.value[5] < core.epoch:
        core.give_permits(permits_of(entry))
        return False
    if core.start:
        core.give_permits(core.start.skip(core, entry))
    if permits_of(entry):
        return True
    core.acknowledged(entry.message_id)
    return False


def acknowledged(core, entry):
    """After a lost link: is an Entry that waits to be taken acknowledged? Then it is passed over."""
    message_id = entry.message_id
    sought = _ID_IN_ACK + bytes([len(message_id)]) + message_id
    known = message_id in core._acks
    for frame in core._sent:
        known = known or sought in frame
    if known:
        pass_over(core, entry)
    return known


def pass_over(core, entry):
    """One that waits to be taken is acknowledged, and came again: the broker may not know it."""
    core.acknowledged(entry.message_id)
    core._queue.remove(entry)
    core.give_permits(permits_of(entry))


def drop_queue(core):
    """Forget what waits to be taken: the permits it cost."""
    permits = sum([permits_of(entry) for entry in core._queue])
    core._queue = []
    return permits
