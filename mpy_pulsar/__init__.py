"""Apache Pulsar client in plain Python, for microcontrollers and for CPython. Public names load when first used."""

__version__ = "0.1.0"

# Where a public name lives; those that are not named here are errors.
_HOMES = {
    "Client": "client",
    "AuthenticationToken": "auth",
    "MessageId": "core.message_id",
    "InitialPosition": "names",
    "ConsumerType": "names",
    "ProducerAccessMode": "names",
    "CompressionType": "names",
    "ConsumerKeySharedPolicy": "features.key_shared",
    "KeySharedMode": "features.key_shared",
}

# What every client needs, from the bottom up: a module whose imports are all loaded nests none, and deep nesting is
# what a board's small C stack cannot take.
_FIRST = (
    "errors", "port", "wire.crc32c", "wire.kernels", "wire.writer", "wire.scanner", "wire.commands", "core.retry",
    "core.clock", "core.topic", "core.connection", "core.handle", "core.finding", "net.stream", "net.link",
    "net.supervisor", "auth",
)


def _load(module):
    return __import__("mpy_pulsar." + module, None, None, ("__name__",))


def __getattr__(name):
    home = _HOMES.get(name, "errors")
    if home == "client":
        from .port import collect

        for module in _FIRST:
            _load(module)
            collect()
    return getattr(_load(home), name)
