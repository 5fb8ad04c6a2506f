"""The end of a client's links and handles; loaded when it comes."""
import asyncio

from ..core.handle import CLOSED
from ..errors import AlreadyClosed


async def stop(supervisor):
    """Close every link, and end what still waits for a broker: for one that was lost, or since the client is closed."""
    for link in list(supervisor._links.values()):
        await link.stop()
    supervisor._links.clear()
    for handle in list(supervisor.handles):
        if handle.state != CLOSED:
            # Its broker will not answer any more, and somebody may be waiting for that.
            error = supervisor._failure or handle.failure
            handle.fail(error.again() if error else AlreadyClosed("%s: closed" % handle.topic))
    if supervisor.turned:
        supervisor.turned.set()


async def close(client):
    """See `Client.close`."""
    if client._closed:
        return
    client._closed = True
    ends = [core.owner.close() for core in client._supervisor.handles] if client._supervisor else []
    try:
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        supervisor = client._supervisor
        client.shutdown()
        if supervisor:
            await supervisor.ended()
