"""What a feature adds to a consumer's core: an object that hears what happens to it."""
from ..core.handle import NEVER, READY


class Extra:
    """Hears of everything, does nothing."""

    takes_over = False  # is it asked first whether there are to be messages yet?

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

    def on_sought(self):
        """The subscription goes on from another place; what was to be said about messages of before is void."""

    def on_answer(self, kind, number, buffer, fields):
        """The answer to request `number` of this consumer."""

    def flush(self):
        """Send what waits to be acknowledged; the consumer is READY."""

    def sweep(self, now):
        """Deadlines: ms until the next one."""
        return NEVER


class Extras:
    """Stands between a core and who calls it, once there is something to add; a plain consumer never pays for it."""

    def __init__(self, core):
        self._core = core
        self.list = []
        self._on_opened = core.on_opened
        self._on_lost = core.on_lost
        self._on_closed = core.on_closed
        self._flush = core.flush
        self._sweep = core.sweep
        core.extras = self
        core.on_opened = self.on_opened
        core.on_lost = self.on_lost
        core.on_closed = self.on_closed
        core.on_answer = self.on_answer
        core.flush = self.flush
        core.sweep = self.sweep

    def on_opened(self, number, buffer, fields):
        """The broker accepted the SUBSCRIBE."""
        for extra in self.list:
            if not extra.on_opened():
                return False  # it opens the consumer again once it is done, which the others wait for
        return self._on_opened(number, buffer, fields)

    def on_lost(self):
        """The broker's half of the consumer is gone."""
        self._on_lost()
        for extra in self.list:
            extra.on_lost()

    def on_closed(self, buffer, fields):
        """CLOSE_CONSUMER from the broker."""
        for extra in self.list:
            if extra.on_closed():
                return
        self._on_closed(buffer, fields)

    def on_answer(self, kind, number, buffer, fields):
        """The answer to request `number`."""
        for extra in self.list:
            extra.on_answer(kind, number, buffer, fields)

    def flush(self):
        """Send the acknowledgements that wait."""
        self._flush()
        if self._core.state == READY:
            for extra in self.list:
                extra.flush()

    def sweep(self, now):
        """Deadlines: ms until the next one."""
        left = self._sweep(now)
        for extra in self.list:
            left = min(left, extra.sweep(now))
        return left


def extra_of(core, kind):
    """The core's Extra of that class, made now if need be."""
    extras = getattr(core, "extras", None) or Extras(core)
    for extra in extras.list:
        if extra.__class__ is kind:
            return extra
    extra = kind(core)
    if kind.takes_over:
        extras.list.insert(0, extra)
    else:
        extras.list.append(extra)
    return extra


async def change(consumer):
    """Until something has changed; whoever waits looks again."""
    consumer._changed.clear()
    await consumer._changed.wait()
