"""The client's whole surface between programs and brokers: one program under the twin and under every MicroPython."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Place
from tests.integration.runs import Program, SideBySide, everyone, fresh_name

# Named here too, so that a check which falls out of the program is missed.
CHECKS = [
    "batches_of_1_2_and_1000", "the_defaults_small_buffers_do", "empty_and_large_contents",
    "properties_keys_and_event_time", "send_nowait_and_flush", "room_tells_what_fits",
    "a_full_buffer_drops_and_counts", "two_producers_and_two_consumers", "async_with_and_async_for",
    "closed_ones_refuse", "opened_and_closed_often",
    "a_wait_keeps_its_cancellation", "wrong_token", "nobody_listens", "bad_arguments",
]  # fmt: skip

Programs = dict[str, Program]


def exchanges(place: Place, silent_url: str) -> Iterator[Programs]:
    """The program under every interpreter, by its name, all at the same time."""
    with SideBySide() as programs:
        yield {
            runtime.name: programs.start(runtime, "exchange", {
                "url": place.url, "token": place.token, "wrong_token": place.wrong_token, "silent_url": silent_url,
                "prefix": fresh_name("exchange"),
            })
            for runtime in everyone()
        }  # fmt: skip


@pytest.fixture(scope="module")
def dev_exchanges(dev_place: Place, silent_url: str) -> Iterator[Programs]:
    """All of them at the development broker."""
    yield from exchanges(dev_place, silent_url)


@pytest.fixture(scope="module")
def real_exchanges(real_place: Place, silent_url: str) -> Iterator[Programs]:
    """All of them at Pulsar itself."""
    yield from exchanges(real_place, silent_url)


def check(program: Program) -> None:
    program.finish(90)
    assert [record["name"] for record in program.of_kind("check")] == CHECKS


def test_everything_works_at_the_development_broker(runtime: str, dev_exchanges: Programs) -> None:
    check(dev_exchanges[runtime])


def test_everything_works_at_pulsar_itself(runtime: str, real_exchanges: Programs) -> None:
    check(real_exchanges[runtime])
