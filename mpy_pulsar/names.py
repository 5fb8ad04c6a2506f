"""Named numbers of the public interface; plain ints are accepted everywhere, so a small board need not load this."""


class InitialPosition:
    """Where a subscription starts that is created now."""

    Latest = 0
    Earliest = 1


class ProducerAccessMode:
    """How the producers of one topic share it."""

    Shared = 0
    Exclusive = 1  # refused while there is another
    WaitForExclusive = 2  # waits until there is no other
    ExclusiveWithFencing = 3  # ends all others


class CompressionType:
    """How payloads are compressed. Only NONE is built so far."""

    NONE = 0
    LZ4 = 1
    ZLib = 2
    ZSTD = 3
    SNAPPY = 4


class ConsumerType:
    """How the consumers of one subscription share its messages."""

    Exclusive = 0
    Shared = 1
    Failover = 2
    KeyShared = 3
