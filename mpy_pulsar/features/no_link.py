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
