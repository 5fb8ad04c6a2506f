"""Making a Producer from the options of `create_producer`; loaded for that, and forgotten again."""
from ..core.producer_core import ProducerCore
from ..port import BATCH_BYTES, BATCH_MESSAGES, BATCHES, LARGE_MESSAGES, SEND_BUFFER, SEND_TIMEOUT
from ..producer import Producer
from ..wire.batch import BatchRing


def make_producer(
    topic, producer_id, timeout, *, producer_name=None, initial_sequence_id=None, send_timeout_millis=SEND_TIMEOUT,
    max_pending_messages=0, block_if_queue_full=None, batching_enabled=True, batching_max_messages=BATCH_MESSAGES,
    batching_max_allowed_size_in_bytes=BATCH_BYTES, batching_max_publish_delay_ms=0, properties=None, access_mode=0,
    send_buffer_size=SEND_BUFFER, irq_slots=0, irq_bytes=32, partition=None, partitioned=None, wait=True, **others
):
    """A Producer of a full topic name. For `create_producer`, whose options these are:

    producer_name: str of at most 64 bytes; without one the broker makes one. initial_sequence_id: the id before the
    first; a broker with deduplication may know a higher one of this name. send_timeout_millis: a message without a
    receipt by then fails; 0: never, as on a board; 30,000 on CPython. max_pending_messages: how many may wait for their
    receipts; 0: as many as the buffer holds. block_if_queue_full: does `send` wait for room, which it does unless told
    otherwise, or raise QueueFull? when_full: the same as "block" or "error", or "drop_oldest", "drop_newest": see
    `send_nowait`. time_to_live_ms: what was not sent by then is dropped; 0: it waits for ever.
    batching_enabled: may messages share a frame? batching_max_messages: 100 on a board, 1000 on CPython;
    batching_max_allowed_size_in_bytes: 4 KB, 128 KB. batching_max_publish_delay_ms: how long a batch that is not full
    waits; 0: it leaves as soon as the link is free, and what comes meanwhile joins the next. properties: dict of str to
    str. access_mode: 0 Shared, 1 Exclusive, 2 WaitForExclusive, 3 ExclusiveWithFencing. send_buffer_size: bytes for
    messages until their receipt (4 KB on a board, 2 MB on CPython), or a bytearray made before (small heaps fragment).
    irq_slots, irq_bytes: for `from_irq`, see features/irq. partition: which one to use where the topic has partitions;
    without it one by chance, which is kept. partitioned: False says that the topic has none, which saves the broker the
    question and the first opening a round trip. wait: False: there need be no broker nor network yet, see
    features/offline; without a producer_name it gets one. ValueError, TypeError: an option is wrong or not supported.
    """
    if not wait and producer_name is None:
        from .offline import default_name

        producer_name = default_name(producer_id)
    buffer = send_buffer_size
    if not isinstance(buffer, bytearray):
        buffer = bytearray(buffer)
    if (
        batching_max_messages < 1 or batching_max_allowed_size_in_bytes < 1 or batching_max_publish_delay_ms < 0
        or max_pending_messages < 0 or send_timeout_millis < 0 or not 0 <= access_mode <= 3
    ):
        raise ValueError("batching limits: at least 1; access_mode: 0 to 3; all else: at least 0")
    ring = BatchRing(buffer, producer_id, BATCHES, batching_max_messages, batching_max_allowed_size_in_bytes)
    if max_pending_messages:
        ring.max_pending = max_pending_messages
    core = ProducerCore(
        topic, producer_id, timeout, ring, producer_name, access_mode, properties, batching_max_publish_delay_ms,
        0 if initial_sequence_id is None else initial_sequence_id + 1,
    )
    core.established = not wait
    core.partition = -1 if partition is None else partition
    if partitioned is False:
        core.plain = True
    if send_timeout_millis:
        from .send_timeout import SendTimeout

        SendTimeout(core, send_timeout_millis)
    kind = Producer
    if LARGE_MESSAGES:
        from .large import LargeProducer

        kind = LargeProducer
    producer = kind(core, batching_enabled, block_if_queue_full is None or block_if_queue_full)
    if others:
        from .when_full import apply

        apply(producer, block_if_queue_full, others)
    if irq_slots:
        from .irq import FromIrq

        FromIrq(producer, irq_slots, irq_bytes)
    return producer
