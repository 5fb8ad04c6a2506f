"""auto_flow=False: the broker sends only as many messages as the application has asked for with `consumer.flow(n)`."""
from ..core.handle import READY


class ManualFlow:
    """Takes over a core's permits: at most the receiver queue's size of them are at the broker at a time."""

    def __init__(self, core):
        self._core = core
        self._wanted = 0  # messages asked for and not taken
        self._out = 0  # permits that the broker has, and those of messages that came and were not taken
        self._grant = core.grant
        core.grant = self._begin
        core.give_permits = self._dropped
        core.taken = self._taken
        core.flow = self.flow

    def flow(self, permits):
        """The application wants so many messages more."""
        self._wanted += permits
        self._top_up()

    def _begin(self, permits):
        # A fresh start: none of the permits of before is left at the broker.
        self._out = 0
        self._top_up(True)

    def _dropped(self, count):
        self._out -= count
        self._top_up()

    def _taken(self, count):
        self._wanted = max(self._wanted - count, 0)
        self._dropped(count)

    def _top_up(self, opening=False):
        core = self._core
        missing = min(self._wanted, core.permits) - self._out
        # In lumps, while there is more to come than fits.
        if missing > 0 and (opening or core.state == READY) and (
            missing * 2 >= core.permits or self._wanted <= core.permits
        ):
            try:
                self._grant(missing)
            except MemoryError:
                core._used = core.permits  # so that the core's sweep comes back to it
                core.attend()
                return
            self._out += missing
        core._used = 0


def flow(core, permits):
    """See `Consumer.flow`."""
    ask = getattr(core, "flow", None)
    if not ask or permits < 1:
        raise ValueError("flow(permits) is for auto_flow=False, and permits must be at least 1")
    ask(permits)
