"""The options of a Client, checked; loaded when one is made, and forgotten again."""
from ..core.topic import parse_service_url
from ..port import const

_MOST = const(500000000)  # ms; differences of ticks reach no farther than six days


def check(service_url, force_tls, plaintext_refused, others):
    """(uses TLS, [(host, port), …]) of the service URL. ValueError, TypeError: see Client; others: unknown options."""
    if others:
        from .options import refuse

        refuse("Client", others)
    tls, addresses = parse_service_url(service_url)
    if force_tls and not tls:
        raise ValueError("force_tls: the service URL %r is plaintext; use pulsar+ssl://" % service_url)
    if plaintext_refused and not tls:
        from .plaintext import refuse_plaintext

        for host, _ in addresses:
            refuse_plaintext(host, ValueError)
    return tls, addresses


def milliseconds(name, seconds, least=1):
    """An option's seconds in milliseconds, `least` or more; ValueError."""
    if seconds * 1000 < least:
        raise ValueError("%s must be at least %g" % (name, least / 1000))
    return min(int(seconds * 1000), _MOST)
