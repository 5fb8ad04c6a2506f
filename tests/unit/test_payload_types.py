"""Whatever is made of bytes is taken as a message in every way of sending; all else is refused before it is queued."""
import asyncio
from array import array

from mpy_pulsar.core.handle import READY
from mpy_pulsar.features.new_producer import make_producer
from mpy_pulsar.wire import batch, kernels_plain
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

_CONTENT = b"21.5 C"
_WIDE = array("H", [300, 301, 302])
_TELLS_WIDTHS = hasattr(memoryview(b""), "nbytes")  # of a memoryview, without making bytes of it


def _narrow():
    return _CONTENT, bytearray(_CONTENT), memoryview(_CONTENT), array("B", _CONTENT), memoryview(array("B", _CONTENT))


def _opened(**options):
    broker = Broker()
    producer = make_producer(TOPIC, 1, TIMEOUT, send_buffer_size=1200, send_timeout_millis=0, **options)
    broker.open(producer.core)
    assert producer.core.state == READY
    return broker, producer


def _contents(frames):
    contents = []
    for frame in frames:
        _, metadata, _, _, payload = read_send(frame)
        contents += [one for _, one in read_batch(payload)] if 11 in metadata else [payload]
    return contents


async def _turns():
    for _ in range(10):
        await asyncio.sleep(0)


async def _contents_of(kind, content, batching):
    """What the broker gets of it."""
    broker, producer = _opened(batching_enabled=batching)
    task = None
    if kind == "nowait":
        producer.send_nowait(content)
    elif kind == "batch":
        task = asyncio.create_task(producer.send_batch([content, content]))
    else:
        fields = {"partition_key": "k"} if kind == "key" else {"sequence_id": 5} if kind == "id" else {}
        task = asyncio.create_task(producer.send(content, **fields))
    await _turns()
    frames = broker.sent(producer.core)
    for frame in frames:
        broker.receipt(read_send(frame)[0][2])
    await _turns()
    assert producer.core.ring.idle() and (task is None or task.done())
    return _contents(frames)


def _check_all():
    async def run():
        for batching in (True, False):
            for content in _narrow():
                for kind in ("nowait", "bare", "key", "id", "batch"):
                    expected = [_CONTENT] * (2 if kind == "batch" else 1)
                    assert await _contents_of(kind, content, batching) == expected, (kind, content)

    asyncio.run(run())


def test_whatever_is_made_of_bytes_is_sent_in_every_way():
    _check_all()


def test_the_plain_kernels_take_the_same():
    kept = batch.copy, batch.put_entry
    batch.copy, batch.put_entry = kernels_plain.copy, kernels_plain.put_entry
    try:
        _check_all()
    finally:
        batch.copy, batch.put_entry = kept


async def _refused(coroutine):
    try:
        await coroutine
    except TypeError as error:
        return str(error)
    raise AssertionError("taken")


def test_what_is_not_made_of_bytes_is_refused_and_nothing_is_queued():
    async def run():
        for batching in (True, False):
            _, producer = _opened(batching_enabled=batching)
            for content, why in (
                ("21.5 C", "encode"), (7, "bytes"), ([1, 2], "bytes"), ((1, 2), "bytes"), (_WIDE, "wider"),
                (memoryview(_WIDE), "wider"),
            ):
                assert why in await _refused(producer.send(content))
                assert why in await _refused(producer.send(content, partition_key="k"))
                assert why in await _refused(producer.send_batch([b"one", content]))
                if content.__class__ is not memoryview or _TELLS_WIDTHS:
                    raises(TypeError, producer.send_nowait, content)
            assert "bytes" in await _refused(producer.send_batch([None]))
            assert producer.core.ring.idle() and not producer.core.tickets

    asyncio.run(run())
