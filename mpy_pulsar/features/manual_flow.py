"""auto_flow=False: the broker sends only as many messages as the application has asked for with `consumer.flow(n)`."""
from ..core.consumer_core import ConsumerCore
from ..core.handle import READY


class ManualFlowCore(ConsumerCore):
    """A consumer whose permits are the application's; at most the receiver queue's size of them are at the broker."""

    auto_flow = False

    def __init__(self, *args):
        super().__init__(*args)
        self._wanted = 0  # messages asked for and not taken
        self._granted_now = 0  # permits that the broker has, less what came of them and was taken

    def flow(self, permits):
        """The application wants so many messages more."""
        self._wanted += permits
        self._top_up()

    def grant(self, permits):
        # A fresh start: none of the permits of before is left at the broker.
        self._granted_now = 0
        self._top_up(opening=True)

    def give_permits(self, count):
        self._granted_now -= count
        self._top_up()

    def _return_permits(self, count):
        self._wanted = max(self._wanted - count, 0)
        self._granted_now -= count
        self._top_up()

    def _top_up(self, opening=False):
        missing = min(self._wanted, self.permits) - self._granted_now
        if missing > 0 and (opening or self.state == READY) and (
            missing * 2 >= self.permits or self._granted_now < 1 or self._wanted <= self.permits
        ):
            self._granted_now += missing
            super().grant(missing)
