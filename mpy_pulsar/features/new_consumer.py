"""Making a Consumer from the options of `subscribe`; loaded for that, and forgotten again."""
import random

from ..consumer import NACK_DELAY, Consumer
from ..core.consumer_core import ConsumerCore
from ..port import RECEIVER_QUEUE


def make_consumer(
    topic, consumer_id, timeout, subscription_name, *, consumer_type=0, initial_position=0,
    receiver_queue_size=None, consumer_name=None, properties=None, negative_ack_redelivery_delay_ms=NACK_DELAY,
    start_message_id_inclusive=False, key_shared_policy=None, batch_index_ack_enabled=False, auto_flow=True,
    acknowledge_unreadable=False, wait=True, **others
):
    """A Consumer of a full topic name. For `subscribe`, whose options these are:

    consumer_type: 0 Exclusive, 1 Shared, 2 Failover, 3 Key_Shared (see ConsumerType). initial_position: 0 latest,
    1 earliest; only matters when the subscription is created. receiver_queue_size: messages that the broker may send
    ahead, 1000 on CPython; on a board as many as fit its queue, at least one entry. consumer_name: str, for the
    broker's statistics; by chance where none is given. properties: dict of str to str.
    negative_ack_redelivery_delay_ms: see `negative_acknowledge`. start_message_id_inclusive: does a seek to a message's
    id deliver that message too? key_shared_policy: a ConsumerKeySharedPolicy, None: the broker splits the keys.
    batch_index_ack_enabled: acknowledge messages of a batch one by one; only brokers that are set up for it remember.
    auto_flow: False: the broker sends only what `flow` asks for. acknowledge_unreadable: acknowledge entries that are
    too large, compressed, encrypted or chunked, instead of leaving them to other consumers; reported in either case.
    wait: False: there need be no broker nor network yet, see features/offline.
    ValueError, TypeError: an option is wrong or not supported, with its name.
    """
    if not subscription_name:
        raise ValueError("a subscription needs a name")
    consumer = Consumer(ConsumerCore(
        topic, consumer_id, timeout, subscription_name, int(consumer_type), int(initial_position),
        permits_of(receiver_queue_size), consumer_name or "%05x" % random.getrandbits(20), properties,
    ))
    consumer.core.established = not wait
    options = (
        negative_ack_redelivery_delay_ms, start_message_id_inclusive, key_shared_policy, batch_index_ack_enabled,
        auto_flow, acknowledge_unreadable, others,
    )
    if consumer_type or options != (NACK_DELAY, False, None, False, True, False, {}):
        from .subscribing import apply

        apply(consumer, *options)
    return consumer


def permits_of(receiver_queue_size):
    """The permits that an option of that name means; ValueError."""
    permits = RECEIVER_QUEUE if receiver_queue_size is None else receiver_queue_size
    if permits < 1:
        raise ValueError("receiver_queue_size must be at least 1")
    return permits
