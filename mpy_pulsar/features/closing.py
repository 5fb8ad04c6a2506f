"""Closing a producer; loaded when the first one is."""
import asyncio

from ..errors import AlreadyClosed, PulsarError, Timeout


async def close(producer):
    """See `Producer.close`."""
    core = producer.core
    error = None
    if not core.failure:
        # What came after the flush had begun would be taken and then thrown away. Who waits for room is told.
        producer._ring.fail(AlreadyClosed("%s: closed" % core.topic))
        producer.freed.set()
        try:
            await asyncio.wait_for(producer.flush(), core.timeout / 1000)
        except asyncio.TimeoutError:
            error = Timeout(
                "%s: closed, messages without a receipt after %d ms: their fate is unknown"
                % (core.topic, core.timeout)
            )
        except PulsarError as refusal:
            error = refusal
        finally:
            # Also where this is cancelled: the supervisor sees to the rest.
            producer._start_close()
    elif not isinstance(core.failure, AlreadyClosed):
        error = core.refused
        core.refused = None
        if not producer._ring.idle():
            error = core.failure.again("; messages without a receipt may be stored or not")
    await producer._closed()
    if error:
        raise error
