"""Host names to addresses on a board, where looking one up blocks the event loop, on some ports for ever."""
import socket

# (host, port) of links that came up, and their addresses.
_known = {}
# Of a name with several addresses the next one, wherever the last did not come up.
_turns = [0]


def address_of(host, port):
    """getaddrinfo's entry for host:port: the one of the link before, else a look-up. OSError."""
    found = _known.get((host, port))
    if not found:
        if not host.replace(".", "").isdigit():
            from ..features.network_up import check

            check(host)
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        found = _known[host, port] = addresses[_turns[0] % len(addresses)]
    return found


def forget(address):
    """The link to `address`, (host, port), did not come up: look its name up next time."""
    if _known.pop(address, None):
        _turns[0] += 1
