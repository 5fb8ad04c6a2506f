"""Named numbers of the public interface; plain ints are accepted everywhere, so a small board need not load this."""


class InitialPosition:
    """Where a subscription starts that is created now."""

    Latest = 0
    Earliest = 1


class ConsumerType:
    """How the consumers of one subscription share its messages."""

    Exclusive = 0
    Shared = 1
    Failover = 2
    KeyShared = 3
