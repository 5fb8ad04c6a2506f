"""Apache Pulsar client in plain Python, for microcontrollers and for CPython. Public names load when first used."""

__version__ = "0.1.0"

_HOMES = {
    "Client": "client",
    "AuthenticationToken": "auth",
    "MessageId": "core.message_id",
    "InitialPosition": "names",
    "ConsumerType": "names",
    "PulsarError": "errors",
    "PulsarException": "errors",
    "Timeout": "errors",
    "QueueFull": "errors",
    "MessageTooBig": "errors",
    "AlreadyClosed": "errors",
    "ConnectError": "errors",
    "ProtocolError": "errors",
    "AuthenticationError": "errors",
}


# What every client needs, from the bottom up: a module whose imports are all loaded nests none, and deep nesting is
# what a board's small C stack cannot take.
_FIRST = (
    "errors", "port", "wire.crc32c", "wire.kernels", "wire.writer", "wire.scanner", "wire.commands", "core.retry",
    "core.clock", "core.topic", "core.connection", "core.handle", "net.stream", "net.link", "net.supervisor", "auth",
)


def _load(module):
    return __import__("mpy_pulsar." + module, None, None, ("__name__",))


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError("mpy_pulsar has no %r" % name)
    home = _HOMES[name]
    if home == "client":
        from .port import collect

        for module in _FIRST:
            _load(module)
            collect()
    return getattr(_load(home), name)
