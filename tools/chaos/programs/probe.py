"""Sends a message every few milliseconds and says when each was sent and acknowledged; by our client or pulsar-client.

Standard input, a line each: service URL, topic, ms between two messages, `ours` or `pulsar_client`. A further line or
its end: stop. Standard output: `o` it is open; `t SENT ACKNOWLEDGED` in seconds of the machine's steady clock.
For CPython alone.
"""
import asyncio
import os
import sys
import threading
import time

from said import say, told

_url, _topic = [sys.stdin.readline().strip() for _ in range(2)]
_pause = int(sys.stdin.readline()) / 1000
_kind = sys.stdin.readline().strip()
_MOST_PENDING = 50000
_CONTENT = b"a reading of twenty bytes"


async def ours():
    """Our client."""
    from mpy_pulsar import Client

    client = Client(_url)
    producer = await client.create_producer(_topic, send_timeout_millis=0, send_buffer_size=8 << 20)
    say("o")
    waiting = set()

    async def send():
        sent = time.monotonic()
        await producer.send(_CONTENT)
        say("t %.6f %.6f" % (sent, time.monotonic()))

    while not told():
        task = asyncio.create_task(send())
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        await asyncio.sleep(_pause)
    client.shutdown()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def theirs():
    """Apache's own."""
    import pulsar

    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
    client = pulsar.Client(_url, logger=quiet)
    producer = client.create_producer(
        _topic, send_timeout_millis=0, max_pending_messages=_MOST_PENDING, batching_enabled=True,
        batching_max_publish_delay_ms=1,
    )
    say("o")
    lock = threading.Lock()

    def send():
        sent = time.monotonic()

        def on_receipt(_result, _message_id):
            with lock:
                say("t %.6f %.6f" % (sent, time.monotonic()))

        producer.send_async(_CONTENT, on_receipt)

    while not told():
        send()
        time.sleep(_pause)


if _kind == "ours":
    asyncio.run(ours())
else:
    theirs()
sys.stdout.flush()
# pulsar-client's own threads would go on trying while a broker is away.
os._exit(0)
