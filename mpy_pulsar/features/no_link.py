"""A handle that needs a link more than there may be; loaded for the first one."""
from ..errors import ConnectError


def shortage(handle, wanted, links, most):
    """The ConnectError that names who waits for which broker, and who has the links. wanted: a link's key."""
    users = [
        "%s for %s" % (link.describe(), " and ".join([user.topic for user in link.connection.handles.values()]))
        for link in links
    ]
    return ConnectError("%s: no link to %s:%d, max_links=%d are in use: %s" % (
        handle.topic, wanted[0][0], wanted[0][1], most, ", ".join(users)
    ))


async def give_up_idle(supervisor, handle, wanted):
    """Close a link that no handle is on, to dial another; ConnectError where each has one."""
    links = supervisor._links
    for key in list(links):
        link = links[key]
        if not link.connection.handles:
            await link.stop()
            del links[key]
            return
    if handle not in supervisor._starved:
        supervisor._starved.append(handle)
    raise shortage(handle, wanted, links.values(), supervisor._max_links)
