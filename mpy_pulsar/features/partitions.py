"""How many partitions a topic has; loaded by `client.get_topic_partitions`."""
from ..core.finding import Finding
from ..core.handle import CLOSED, nothing
from ..core.topic import partition_name


class PartitionsQuery(Finding):
    """A handle that asks one question and is gone with the answer: `topics`, the full names to use."""

    ack_frame = nothing  # the link's writer asks every handle without a ring for one
    counts = ()  # it has nothing to tell of

    def __init__(self, topic, handle_id, timeout):
        super().__init__(topic, handle_id, timeout)
        self.plain = False  # a partition's own name is asked about too
        self.topics = []

    def _look_up(self):
        self._found = ()  # any broker knows: no answer of a look-up is waited for

    def _on_partitions(self, count):
        self._finish([partition_name(self.topic, index) for index in range(count)])

    def _go(self, *_):
        self._finish([self.topic])

    def _finish(self, topics):
        self.topics = topics
        self.established = True
        self._leave()
        self._set(CLOSED)
