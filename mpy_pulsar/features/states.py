"""What a client, a producer or a consumer is at, in a word, and waiting for another one; loaded when somebody asks."""
import asyncio

from ..core.handle import CLOSED, CLOSING, READY
from ..errors import AlreadyClosed
from ..net.stream import sleep_ms

_FINAL = ("closed", "failed")


def state_of(core):
    """See `Endpoint.state`."""
    if core.state == READY:
        return "open"
    if core.state == CLOSING:
        return "closing"
    if core.state != CLOSED:
        return "connecting"
    return "closed" if isinstance(core.failure, AlreadyClosed) else "failed"


async def changed(endpoint):
    """See `Endpoint.state_changed`."""
    core = endpoint.core
    before = after = state_of(core)
    if before in _FINAL:
        await sleep_ms(0)  # who asks again and again must not stop everybody else
    while after == before and after not in _FINAL:
        endpoint._changed.clear()
        await endpoint._changed.wait()
        after = state_of(core)
    return after


def state_of_client(client):
    """See `Client.state`."""
    supervisor = client._supervisor
    if client._closed:
        return "closing" if supervisor else "closed"
    if not supervisor:
        return "idle"
    if supervisor._failure:
        return "failed"
    state = "idle"
    for core in supervisor.handles:
        if core.state < READY:
            return "connecting"
        if core.state == READY:
            state = "open"
    return state


async def client_changed(client):
    """See `Client.state_changed`."""
    before = after = state_of_client(client)
    if before in _FINAL:
        await sleep_ms(0)
    while after == before and after not in _FINAL:
        supervisor = client._supervisor or client._started()
        if not supervisor.turned:
            supervisor.turned = asyncio.Event()
        supervisor.turned.clear()
        await supervisor.turned.wait()
        after = state_of_client(client)
    return after
