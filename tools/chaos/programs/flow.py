"""Sends numbered messages by `send_nowait` from a board's heap of 64 KB: a smaller `press`.

Standard input, a line each: service URL, topic, name of the producer, name of the listener to ask for (empty: none),
number of messages (0: until told), ms between two messages. A further line or its end: stop.

Standard output, a line each: `o` it is open; `k NUMBER` acknowledged are all up to this one; `e TEXT` an error that
belongs to no call; `x TEXT` what the flush or closing raised; `c COUNT` the numbers below were used; `p` passed, the
last.
"""
import sys
from gc import collect, threshold

threshold(4096)
# Half a board's default: what errors make it load, such as features/refusal, needs room in such a heap too.
_buffer = bytearray(2048)
_read = sys.stdin.readline
_url = _read().strip()
_topic = _read().strip()
_name = _read().strip()
_listener = _read().strip() or None
_total = int(_read()) or 1 << 28
_pause = int(_read())
collect()
import asyncio  # noqa: E402

from mpy_pulsar import Client, PulsarError  # noqa: E402

collect()
from numbered import content  # noqa: E402
from said import say, told  # noqa: E402


def _report(error):
    say("e %s" % error)


def _confirm(producer, before):
    # A new name's sequence ids are the numbers.
    confirmed = producer.last_sequence_id()
    if confirmed != before:
        say("k %d" % confirmed)
    return confirmed


async def main():
    client = Client(_url, listener_name=_listener, on_error=_report, operation_timeout_seconds=120)
    producer = await client.create_producer(_topic, producer_name=_name, send_buffer_size=_buffer)
    say("o")
    confirmed = -1
    number = 0
    try:
        while number < _total and not told():
            await producer.room(100)
            producer.send_nowait(content(number))
            number += 1
            await asyncio.sleep_ms(_pause)
            confirmed = _confirm(producer, confirmed)
        await producer.flush()
    except PulsarError as error:
        say("x %s" % error)
    _confirm(producer, confirmed)
    try:
        await client.close()
    except PulsarError as error:
        say("x %s" % error)
    say("c %d" % number)


asyncio.run(main())
say("p")
