"""Consumer: what an application receives with. The work is done by core/consumer_core, without a task of its own."""
import asyncio

from .core.consumer_core import ConsumerCore
from .endpoint import Endpoint
from .port import RECEIVER_QUEUE


def make_consumer(
    topic, consumer_id, timeout, subscription_name, *, consumer_type=0, initial_position=0,
    receiver_queue_size=None, consumer_name=None, properties=None,
):
    """A Consumer of a full topic name. For `subscribe`, whose options these are:

    consumer_type: 0 Exclusive (see ConsumerType). initial_position: 0 latest, 1 earliest; only matters when the
    subscription is created. receiver_queue_size: messages that the broker may send ahead, 1000 on CPython; on a board
    as many as fit its queue, at least one entry. consumer_name: str, for the broker's statistics. properties: dict.
    """
    permits = RECEIVER_QUEUE if receiver_queue_size is None else receiver_queue_size
    if permits < 1:
        raise ValueError("receiver_queue_size must be at least 1")
    if not subscription_name:
        raise ValueError("a subscription needs a name")
    return Consumer(ConsumerCore(
        topic, consumer_id, timeout, subscription_name, consumer_type, initial_position, permits, consumer_name,
        properties,
    ))


class Consumer(Endpoint):
    """Receives the messages of one topic. Made by `Client.subscribe`; `async with` closes it at the end."""

    def __init__(self, core):
        super().__init__(core)
        self._arrived = asyncio.Event()
        core.changed = self._on_change
        core.arrived = self._arrived.set

    def _on_change(self):
        self._changed.set()
        if self.core.failure:
            self._arrived.set()

    async def receive(self):
        """The next Message; waits for it. Cancelling the wait loses nothing. Raises what ended the consumer."""
        core = self.core
        message = core.take()
        while message is None:
            core.check()
            self._arrived.clear()
            await self._arrived.wait()
            message = core.take()
        return message

    def __aiter__(self):
        return self

    __anext__ = receive

    async def acknowledge(self, message):
        """The message is done with; the broker need not send it again. Leaves in a group, with the entry's last one."""
        self.core.acknowledge(message)

    async def close(self):
        """Send the acknowledgements that wait, then close it at the broker. Closing again does nothing."""
        self._start_close()
        self._arrived.set()
        await self._closed()

    def subscription_name(self):
        """The subscription's name."""
        return self.core.subscription
