"""Several clients at once, each tries one thing; says `done` or `refused` for each, with its name.

Options: attempts, each with name, url, topic, client (options of Client), and one of these: producer (its options;
sends `messages` numbered ones), subscription (which is only opened), partitions (whose names are asked for). `ca` is
the authority's certificate in hexadecimal, `token` a token. `result` is the topic's name and what came of it; `errors`
are those that belong to no call, `seconds` is how long it took.
"""
import asyncio

from numbered import message
from program import run, say

from mpy_pulsar import AuthenticationToken, Client, PulsarError
from mpy_pulsar.port import ticks_diff, ticks_ms


async def _produce(client, attempt):
    async with await client.create_producer(attempt["topic"], **attempt["producer"]) as producer:
        ids = []
        for number in range(attempt.get("messages", 0)):
            sent = await producer.send(message(number))
            ids.append([sent.ledger_id(), sent.entry_id(), sent.partition()])
        return [producer.topic(), ids]


async def _try(client, attempt):
    if "subscription" in attempt:
        async with await client.subscribe(attempt["topic"], attempt["subscription"]) as consumer:
            return [consumer.topic(), []]
    if "partitions" in attempt:
        return [attempt["topic"], await client.get_topic_partitions(attempt["topic"])]
    return await _produce(client, attempt)


async def _attempt(attempt):
    errors = []

    def keep(error):
        errors.append(str(error))

    more = dict(attempt.get("client", {}))
    if "ca" in attempt:
        more["tls_trust_certs_file_path"] = bytes.fromhex(attempt["ca"])
    if "token" in attempt:
        more["authentication"] = AuthenticationToken(attempt["token"])
    started = ticks_ms()
    try:
        async with Client(attempt["url"], on_error=keep, **more) as client:
            outcome = {"kind": "done", "result": await _try(client, attempt)}
    except (PulsarError, ValueError) as error:
        outcome = {
            "kind": "refused", "type": error.__class__.__name__, "text": str(error),
            "code": getattr(error, "code", None),
        }
    seconds = ticks_diff(ticks_ms(), started) / 1000
    kind = outcome.pop("kind")
    say(kind, name=attempt["name"], errors=errors, seconds=seconds, **outcome)


async def main(options):
    await asyncio.gather(*[_attempt(attempt) for attempt in options["attempts"]])


run(main)
