"""Runs all scenarios, several at a time; says `scenario` with the name of each that held, else `failed`.

Options: those of scenario.Place, and only (a list of names; optional). It says `please` where it needs an
administrator.
"""
import asyncio
import io
import sys

import scenarios_acknowledging
import scenarios_full
import scenarios_lost_links
import scenarios_messages
import scenarios_moves
import scenarios_producers
import scenarios_readers
import scenarios_receiving
import scenarios_seeking
import scenarios_sharing
from program import run, say
from scenario import Place

from mpy_pulsar.port import ticks_diff, ticks_ms

_MODULES = (
    scenarios_messages, scenarios_moves, scenarios_producers, scenarios_sharing, scenarios_receiving,
    scenarios_acknowledging, scenarios_seeking, scenarios_readers, scenarios_full, scenarios_lost_links,
)
_AT_A_TIME = 6
_SECONDS = 60  # for one of them


def _traceback(error):
    text = io.StringIO()
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, text)
    else:
        import traceback

        traceback.print_exception(error, file=text)
    return text.getvalue()


async def _run(place, scenario):
    name = scenario.__name__
    started = ticks_ms()
    try:
        await asyncio.wait_for(scenario(place, place.topic(name)), _SECONDS)
    except Exception as error:  # noqa: BLE001
        say("failed", name=name, traceback=_traceback(error))
    else:
        say("scenario", name=name, milliseconds=ticks_diff(ticks_ms(), started))


async def main(options):
    place = Place(options)
    wanted = options.get("only")
    waiting = []
    for module in _MODULES:
        waiting += [one for one in module.SCENARIOS if not wanted or one.__name__ in wanted]

    async def lane():
        while waiting:
            await _run(place, waiting.pop(0))

    await asyncio.gather(*[lane() for _ in range(_AT_A_TIME)])


run(main)
