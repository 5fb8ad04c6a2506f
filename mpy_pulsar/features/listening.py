"""A callback for every message: `consumer.listen(callback)`."""
import asyncio

from ..errors import AlreadyClosed, PulsarError
from ..net.stream import sleep_ms
from ..port import const

_PAUSE = const(100)  # ms after an error, for others to free what they hold


class Listener:
    """One task that receives and calls, one message after the other, until the consumer's end."""

    def __init__(self, consumer, callback):
        self._consumer = consumer
        self._callback = callback
        self._calling = False
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        core = self._consumer.core
        while True:
            try:
                message = await self._consumer.receive()
            except PulsarError as error:
                if not isinstance(error, AlreadyClosed):
                    core.report(error)
                return
            except Exception as error:  # noqa: BLE001
                # Most likely there was no memory; the message, if there was one, is still to be taken.
                core.report(PulsarError("listener of %s: %r, it goes on" % (core.topic, error)))
                await sleep_ms(_PAUSE)
                continue
            self._calling = True
            try:
                outcome = self._callback(message)
                if hasattr(outcome, "send"):  # a coroutine, on both interpreters
                    await outcome
            except Exception as error:  # noqa: BLE001
                core.report(PulsarError(
                    "listener of %s: %r for message %r, which stays unacknowledged"
                    % (core.topic, error, message.message_id())
                ))
            message = None  # so that an idle consumer holds no entry
            self._calling = False
            # A queue that is never empty must not starve the other tasks.
            await sleep_ms(0)

    def running(self):
        """Is its task still there?"""
        return not self._task.done()

    async def ended(self):
        """Until its task is gone; a callback under way may itself be closing the consumer, and is not waited for."""
        while self.running() and not self._calling:
            await sleep_ms(0)


def listen(consumer, callback):
    """The Listener of a consumer; ValueError where it has one."""
    if consumer.listener and consumer.listener.running():
        raise ValueError("%s: this consumer has a listener already" % consumer.core.topic)
    consumer.core.check()
    consumer.listener = Listener(consumer, callback)
    return consumer.listener
