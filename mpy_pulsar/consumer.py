"""Consumer: what an application receives with. The work is done by core/consumer_core, without a task of its own."""
import asyncio

from .endpoint import Endpoint
from .port import const

NACK_DELAY = const(60000)  # ms


class Consumer(Endpoint):
    """Receives the messages of one topic. Made by `Client.subscribe`; `async with` closes it at the end."""

    nack_delay = NACK_DELAY
    listener = None

    def __init__(self, core):
        super().__init__(core)
        self._arrived = asyncio.Event()
        core.changed = self._on_change
        core.arrived = self._arrived.set

    def _on_change(self):
        self._changed.set()
        if self.core.failure:
            self._arrived.set()

    async def receive(self, timeout_millis=None):
        """The next Message; waits for it, at most timeout_millis: Timeout. Cancelling the wait loses nothing. Raises
        what ended the consumer. With a time limit use timeout_millis: on MicroPython `asyncio.wait_for` around this
        may end with a message in hand, and loses it."""
        core = self.core
        message = core.take()
        if message is None and timeout_millis is not None:
            from .features.receiving import receive

            return await receive(self, timeout_millis)
        while message is None:
            core.check()
            self._arrived.clear()
            await self._arrived.wait()
            message = core.take()
        return message

    def __aiter__(self):
        return self

    __anext__ = receive

    async def receive_batch(self, max_messages, timeout_millis=None):
        """What is there, at least one Message and at most max_messages: a list. Waits and raises as `receive` does."""
        from .features.receiving import receive_batch

        return await receive_batch(self, max_messages, timeout_millis)

    def listen(self, callback):
        """Call callback(message) for every message, one after the other; a coroutine function is awaited.

        What it raises goes to the error stream, and the message stays unacknowledged. It ends with the consumer. Gives
        a features.listening.Listener. ValueError: there is one already.
        """
        from .features.listening import listen

        return listen(self, callback)

    def flow(self, permits):
        """With auto_flow=False: the broker may send so many messages more; it sends batches whole."""
        from .features.manual_flow import flow

        flow(self.core, permits)

    async def acknowledge(self, message):
        """A Message or MessageId is done with; the broker need not send it again.

        Leaves in a group within 100 ms, with the entry's last message. Raises what ended the consumer.
        """
        core = self.core
        core.check()
        core.acknowledge(message)

    async def acknowledge_entry(self, message):
        """All messages of the entry (batch) that a Message or MessageId belongs to are done with."""
        from .features.by_id import acknowledge_entry

        acknowledge_entry(self.core, message)

    async def acknowledge_cumulative(self, message):
        """A Message or MessageId and all before it are done with; in mid-batch, all before its entry, or up to itself
        with batch_index_ack_enabled. PulsarError: the subscription is Shared or Key_Shared."""
        from .features.cumulative import acknowledge_cumulative

        acknowledge_cumulative(self.core, message)

    async def negative_acknowledge(self, message):
        """Have the entry of a Message or MessageId sent again after negative_ack_redelivery_delay_ms.

        A consumer that shares a subscription gets that entry again; any other all that is not acknowledged, in order.
        """
        from .features.redelivery import negative_acknowledge

        negative_acknowledge(self.core, message, self.nack_delay)

    def redeliver_unacknowledged_messages(self):
        """Have all that is not acknowledged sent again; what waits to be received is dropped, and comes again too."""
        from .features.redelivery import redeliver_all

        redeliver_all(self.core)

    async def seek(self, messageid):
        """Go on behind a MessageId (at it with start_message_id_inclusive), or with the first message published at a
        time (int, ms since 1970) or later, for the whole subscription. PulsarError: the broker refuses, or Timeout."""
        from .features.seeking import seek

        await seek(self, messageid)

    async def get_last_message_id(self):
        """The MessageId of the topic's last message; that of an empty topic has entry -1."""
        from .core.message_id import MessageId
        from .features.requests import last_message

        return MessageId.deserialize((await last_message(self)).last)

    async def unsubscribe(self):
        """Remove the subscription and its position from the broker, and close this consumer."""
        from .features.requests import remove_subscription

        await remove_subscription(self)

    async def close(self):
        """Send the acknowledgements that wait, then close it at the broker. Closing again does nothing."""
        self._start_close()
        self._arrived.set()
        await self._closed()
        if self.listener:
            await self.listener.ended()

    def subscription_name(self):
        """The subscription's name."""
        return self.core.subscription

    def consumer_name(self):
        """The name given, or the one made up."""
        return self.core.name
