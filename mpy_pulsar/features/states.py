"""What a client, a producer or a consumer is at, in a word, and waiting for another one; loaded when somebody asks."""
import asyncio

from ..core.handle import CLOSED, CLOSING, READY
from ..errors import AlreadyClosed
from ..net.stream import sleep_ms

_FINAL = ("closed", "failed")


def state_of(owner):
    """See `Endpoint.state`; owner: a Client, which has no core, or an Endpoint."""
    core = owner.core
    if not core:
        return _state_of_client(owner)
    if core.state == READY:
        return "open"
    if core.state == CLOSING:
        return "closing"
    if core.state != CLOSED:
        return "connecting"
    return "closed" if isinstance(core.failure, AlreadyClosed) else "failed"


def _state_of_client(client):
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


async def changed(owner):
    """See `Endpoint.state_changed`."""
    before = after = state_of(owner)
    if before in _FINAL:
        await sleep_ms(0)  # who asks again and again must not stop everybody else
    while after == before and after not in _FINAL:
        event = owner._changed if owner.core else _event_of(owner)
        event.clear()
        await event.wait()
        after = state_of(owner)
    return after


def _event_of(client):
    """Set whenever the supervisor has looked at everything, which it does after each change."""
    supervisor = client._supervisor or client._started()
    if not supervisor.turned:
        supervisor.turned = asyncio.Event()
    return supervisor.turned
