"""Service URLs and the names of partitions, checked before a byte goes to a broker."""
from ..port import const

_PLAIN_PORT = const(6650)
_TLS_PORT = const(6651)


def partition_name(topic, index):
    """The full name of a partition of a partitioned topic."""
    return "%s-partition-%d" % (topic, index)


def is_partition(topic):
    """Is this the name of a partition? bool. Only a decimal without leading zeros counts as its index."""
    index = topic.split("-partition-")[-1]
    digits = index != "" and all(character in "0123456789" for character in index)
    return digits and topic.endswith(partition_name("", int(index)))


def parse_service_url(url):
    """(uses TLS, [(host, port), …]) of "pulsar://h1:6650,h2" or "pulsar+ssl://…"; ValueError says what is wrong."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in ("pulsar", "pulsar+ssl"):
        raise ValueError(
            "service URL %r: use pulsar://HOST:6650 or pulsar+ssl://HOST:6651 (http addresses are the web port's)" % url
        )
    tls = scheme != "pulsar"
    addresses = []
    for text in rest.split("/")[0].replace(";", ",").split(","):
        addresses.append(_address(text, _TLS_PORT if tls else _PLAIN_PORT, url))
    return tls, addresses


def _address(text, default_port, url):
    if text.startswith("["):
        host, mark, port = text[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, mark, port = text.partition(":")
    if not host or (port and not port.isdigit()) or (port and not 0 < int(port) < 65536):
        raise ValueError("service URL %r: %r is not HOST or HOST:PORT" % (url, text))
    return host, int(port or default_port)
