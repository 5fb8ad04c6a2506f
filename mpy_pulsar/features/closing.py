"""`Producer.close`: what is queued goes out first, and whoever waits hears what became of it."""
import asyncio

from ..errors import AlreadyClosed, PulsarError, Timeout


async def close(producer):
    """See `Producer.close`."""
    core = producer.core
    if core.failure:
        await producer._closed()
        return
    # What came after the flush had begun would be taken and then thrown away.
    core.ring.fail(AlreadyClosed("%s: closed" % core.topic))
    # And who still waits for room is to hear of it.
    core.room()
    error = None
    try:
        await asyncio.wait_for(producer.flush(), core.timeout / 1000)
    except asyncio.TimeoutError:
        error = Timeout(
            "%s: closed with messages that the broker has not confirmed within %d ms: their fate is unknown"
            % (core.topic, core.timeout)
        )
    except PulsarError as refusal:
        error = refusal
    finally:
        # Also where this is cancelled: the supervisor sees to the rest.
        producer._start_close()
    await producer._closed()
    if error:
        raise error
