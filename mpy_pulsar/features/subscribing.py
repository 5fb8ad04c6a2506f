"""The options of `subscribe` that are not the usual ones; loaded where one of them is given."""
from ..port import const

_KEY_SHARED = const(3)
_LONGEST = const(400000000)  # ms, about what ticks can tell apart


def apply(consumer, negative_ack_redelivery_delay_ms, start_message_id_inclusive, key_shared_policy,
          batch_index_ack_enabled, auto_flow, acknowledge_unreadable, others):
    """Give a Consumer its options; see `make_consumer`. others: a dict of those that it does not know."""
    if others:
        from .options import refuse

        refuse("subscribe", others)
    core = consumer.core
    if not 0 <= core.consumer_type <= _KEY_SHARED or not 0 <= negative_ack_redelivery_delay_ms <= _LONGEST:
        raise ValueError("consumer_type is 0 to 3, negative_ack_redelivery_delay_ms 0 to %d" % _LONGEST)
    if core.consumer_type == _KEY_SHARED:
        from .key_shared import pairs_of

        core.key_shared = pairs_of(key_shared_policy)
    elif key_shared_policy:
        raise ValueError("key_shared_policy is for consumer_type 3 (Key_Shared)")
    if batch_index_ack_enabled:
        from .batch_acks import encode_acks

        core.partial = encode_acks
    if not auto_flow:
        from .manual_flow import ManualFlow

        ManualFlow(core)
    core.inclusive = bool(start_message_id_inclusive)
    core.acknowledges_unreadable = acknowledge_unreadable
    consumer.nack_delay = negative_ack_redelivery_delay_ms
