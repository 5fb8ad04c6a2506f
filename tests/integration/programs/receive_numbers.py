"""Receives numbered messages from a topic's beginning to a given entry; says `runs`, lists of consecutive numbers.

Options: url, topic, ledger and entry of the last message.
"""
from numbered import add_to_runs, number_of
from program import run, say

from mpy_pulsar import Client, InitialPosition


async def main(options):
    end = options["ledger"], options["entry"]
    runs = []
    async with Client(options["url"], read_buffer_size=8192) as client:
        async with await client.subscribe(
            options["topic"], "numbers", initial_position=InitialPosition.Earliest
        ) as consumer:
            async for message in consumer:
                add_to_runs(runs, number_of(message.data()))
                await consumer.acknowledge(message)
                message_id = message.message_id()
                if (message_id.ledger_id(), message_id.entry_id()) == end:
                    break
    say("runs", runs=runs)


run(main)
