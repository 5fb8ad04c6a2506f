"""Picks TCP ports that a server on 127.0.0.1 may take, leave and take again."""

import random
import socket
from pathlib import Path

_LOWEST = 20000
# Below every usual range of outgoing ports: Linux starts at 32768, macOS at 49152.
_END = 32768
_TRIES = 200


def free_port(taken: tuple[int, ...] = ()) -> int:
    """Return a TCP port that nothing listens on just now and that is not one of `taken`.

    The port lies outside the range from which the kernel takes the near ends of outgoing connections. A
    broker keeps its ports over a restart, and inside that range another connection could take one while the
    broker is down; worse, a client that keeps trying to reach the broker on loopback could in the end connect
    to itself.

    Raises OSError when no free port was found.
    """
    end = max(_LOWEST + 1000, min(_END, _first_outgoing_port()))
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, end)
        if port not in taken and is_free(port):
            return port
    raise OSError(f"found no free TCP port on 127.0.0.1 between {_LOWEST} and {end} in {_TRIES} tries")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` on all of this machine's IPv4 addresses."""
    with socket.socket() as probe:
        # As Java's servers do: connections in TIME_WAIT from an earlier run are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _END
