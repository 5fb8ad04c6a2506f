"""What a feature adds to a consumer's core: an object in `core.extras` that hears what happens to it."""
from ..core.handle import NEVER


class Extra:
    """Hears of everything, does nothing."""

    def __init__(self, core):
        self.core = core

    def on_opened(self):
        """The broker accepted the SUBSCRIBE. False: no messages yet, the feature takes over."""
        return True

    def on_lost(self):
        """The broker's half of the consumer is gone."""

    def on_closed(self):
        """CLOSE_CONSUMER from the broker. True: as expected, it is no loss."""
        return False

    def on_answer(self, kind, number, buffer, fields):
        """The answer to request `number` of this consumer."""

    def flush(self):
        """Send what waits to be acknowledged; the consumer is READY."""

    def sweep(self, now):
        """Deadlines: ms until the next one."""
        return NEVER


def extra_of(core, kind):
    """The core's Extra of that class, made now if need be."""
    for extra in core.extras:
        if extra.__class__ is kind:
            return extra
    extra = kind(core)
    core.extras.append(extra)
    return extra


async def change(consumer):
    """Until something has changed; whoever waits looks again."""
    consumer._changed.clear()
    await consumer._changed.wait()
