"""The end of a client's links and handles; loaded when it comes."""
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
