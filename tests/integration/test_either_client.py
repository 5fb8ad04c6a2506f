"""One program, written in the names of pulsar.asyncio, says the same on Apache's client, the twin and MicroPython."""

from __future__ import annotations

import types
from pathlib import Path

from tests.integration.conftest import Place
from tests.integration.runs import PROGRAMS, SideBySide, everyone, fresh_name, twin


def test_a_program_written_for_the_official_client_runs_unchanged(apache: types.ModuleType, real_place: Place) -> None:
    source = Path(PROGRAMS / "either_client.py").read_text()
    assert source.count("settings[\"client\"]") == 1, "only the imports may ask which client it is"
    with SideBySide() as programs:
        started = {}
        for name, runtime in [("pulsar-client", twin()), *((entry.name, entry) for entry in everyone())]:
            options = {
                "client": "pulsar" if name == "pulsar-client" else "mpy_pulsar",
                "url": real_place.url,
                "token": real_place.token,
                "topic": f"persistent://public/default/{fresh_name('either')}",
            }
            started[name] = programs.start(runtime, "either_client", options)
        records = {name: program.finish(other_text=name == "pulsar-client") for name, program in started.items()}
    expected = records.pop("pulsar-client")
    assert len(expected) > 20
    for name, found in records.items():
        assert found == expected, name
