"""Acknowledging by MessageId, where no Message is at hand."""
from ..errors import PulsarError
from ..port import const
from .extra import Extra, extra_of

_ACKNOWLEDGED = const(1)  # in a consumer's counts


class Tracked:
    """What an Entry is for its acknowledgement, without its data."""

    def __init__(self, message_id, done):
        self.message_id = message_id
        self.done = done

    def flags(self):
        """See Entry."""
        return self.done


class ByIds(Extra):
    """Entries known by ids that were deserialized or compared, not received: their messages are counted here."""

    most = 1000  # entries

    def __init__(self, core):
        super().__init__(core)
        self.tracked = {}
        self._order = []  # its keys, oldest first

    def on_lost(self):
        self.tracked.clear()
        self._order.clear()

    on_sought = on_lost

    def add(self, entry):
        """Count the messages of a Tracked; where there are too many, those of the oldest come again."""
        if entry.message_id in self.tracked:
            self.remove(entry.message_id)
        elif len(self._order) >= self.most:
            self.remove(self._order[0])
        self._order.append(entry.message_id)
        self.tracked[entry.message_id] = entry

    def remove(self, encoded):
        """All of its messages are done with."""
        if self.tracked.pop(encoded, None):
            self._order.remove(encoded)


def entry_of(core, message_id):
    """What stands for the entry of a MessageId in acknowledgements."""
    if message_id.done:
        return Tracked(message_id.encoded, message_id.done)
    if message_id._index < 0:
        return Tracked(message_id.encoded, bytearray(1))
    size = message_id.batch_size()
    if message_id._index >= size:
        raise PulsarError(
            "%r is inside of a batch of unknown size, so its entry's end is unknown: acknowledge the message, or the"
            " entry with acknowledge_entry" % message_id
        )
    by_ids = extra_of(core, ByIds)
    entry = by_ids.tracked.get(message_id.encoded)
    if not entry or len(entry.done) != size:
        entry = Tracked(message_id.encoded, bytearray(size))
        by_ids.add(entry)
    kept = entry.done[message_id._index]
    entry.done[message_id._index] = 1
    if all(entry.done):
        by_ids.remove(message_id.encoded)  # with the message that the caller is about to mark
    entry.done[message_id._index] = kept
    return entry


def acknowledge_entry(core, message):
    """All messages of the entry that a Message or MessageId belongs to are done with."""
    core.check()
    entry = message._entry
    if entry is None:
        if message._index >= 0 and not message.done:
            extra_of(core, ByIds).remove(message.encoded)
            core.acknowledged(message.encoded)
            core.counts[_ACKNOWLEDGED] += max(message.batch_size(), 1)
            return
        entry = entry_of(core, message)
    done = entry.flags()
    if not all(done):
        for index in range(len(done)):
            if not done[index]:
                done[index] = 1
                core.counts[_ACKNOWLEDGED] += 1
        core.acknowledged(entry.message_id)
