"""Acknowledging by MessageId, where no Message is at hand."""
from ..errors import PulsarError
from ..port import const
from .extra import Extra, extra_of

_MOST = const(1000)  # entries that are acknowledged in part by ids from elsewhere


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

    def __init__(self, core):
        super().__init__(core)
        self.tracked = {}

    def on_lost(self):
        self.tracked.clear()


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
    tracked = extra_of(core, ByIds).tracked
    entry = tracked.get(message_id.encoded)
    if not entry or len(entry.done) != size:
        if len(tracked) >= _MOST:
            tracked.clear()  # what was acknowledged in part comes again
        entry = tracked[message_id.encoded] = Tracked(message_id.encoded, bytearray(size))
    return entry


def acknowledge_entry(core, message):
    """All messages of the entry that a Message or MessageId belongs to are done with."""
    core.check()
    entry = message._entry
    if entry is None:
        if message._index >= 0 and not message.done:
            core.acknowledged(message.encoded)
            return
        entry = entry_of(core, message)
    done = entry.flags()
    if not all(done):
        for index in range(len(done)):
            done[index] = done[index] or 1
        core.acknowledged(entry.message_id)
