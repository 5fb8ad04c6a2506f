"""Key_Shared subscriptions: how keys are dealt out to consumers."""


class KeySharedMode:
    """Who decides which keys a consumer gets: the broker, or ranges that it names."""

    AutoSplit = 0
    Sticky = 1


class ConsumerKeySharedPolicy:
    """For `subscribe(…, key_shared_policy=)`, under the names that pulsar-client has."""

    def __init__(self, key_shared_mode=0, allow_out_of_order_delivery=False, sticky_ranges=None):
        """key_shared_mode: see KeySharedMode. sticky_ranges: [(first, last), …] of key hashes, 0 to 65535, both
        included. allow_out_of_order_delivery: a key may move to a new consumer before the old one has acknowledged.
        """
        self.key_shared_mode = key_shared_mode
        self.allow_out_of_order_delivery = allow_out_of_order_delivery
        self.sticky_ranges = sorted(sticky_ranges or ())
        if key_shared_mode not in (0, 1):
            raise ValueError("key_shared_mode is 0 (AutoSplit) or 1 (Sticky), not %r" % (key_shared_mode,))
        if (key_shared_mode == 1) != bool(self.sticky_ranges):
            raise ValueError("sticky_ranges belong to key_shared_mode 1 (Sticky), which needs them")
        above = -1
        for first, last in self.sticky_ranges:
            if not above < first <= last <= 65535:
                raise ValueError(
                    "sticky_ranges: (%d, %d) is not within 0 to 65535, or meets another one" % (first, last)
                )
            above = last


def pairs_of(policy):
    """The fields of KeySharedMeta for a ConsumerKeySharedPolicy, None: the broker splits."""
    policy = policy or ConsumerKeySharedPolicy()
    ranges = [(1, first, 2, last) for first, last in policy.sticky_ranges]
    return (1, policy.key_shared_mode, 3, ranges, 4, bool(policy.allow_out_of_order_delivery))
