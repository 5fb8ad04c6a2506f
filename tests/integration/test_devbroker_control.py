"""The development broker's control port and the faults of its command line."""

from typing import Any

import pytest

from tests.integration.raw_client import RawClient, single_entry
from tools.devbroker import Control
from tools.devbroker.control import CommandError
from tools.devbroker.faults import KINDS
from tools.devbroker.frames import ServerError

TOPIC = "persistent://public/default/topic"


def test_a_broker_in_another_process_is_told(dev_program: Any) -> None:
    process = dev_program("--control-port", "0", "--fault", "error on=PRODUCER code=ServiceNotReady times=1")
    with Control(process.address("control")) as control, RawClient(process.address("ready")) as client:
        assert client.open_producer(TOPIC).error == ServerError.ServiceNotReady
        assert client.open_producer(TOPIC).producer_name
        assert control.tell("links").startswith("1 127.0.0.1:")
        number = control.tell("fault swallow on=SEND topic=topic")
        client.send_entry(single_entry(b"payload"))
        client.round_trip()
        assert control.tell("faults") == f"{number} swallow on=SEND topic={TOPIC} (struck 1)"
        assert control.tell(f"clear {number}") == "1" and control.tell("faults") == ""
        assert client.publish(b"stored")[0].sequence_id == 0
        assert control.tell("restart") == process.address("ready")
        client.wait_closed()
        for line, text in (
            ("fault explode", "there are"),
            ("fault", "which fault"),
            ("@7 faults", "no instance"),
            ("clear nothing", "neither"),
            ("move topic", "an instance"),
            ("migrate topic", "a service URL"),
            ("restart soon", "no number of seconds"),
            ("", "no such command"),
        ):
            with pytest.raises(CommandError, match=text):
                control.tell(line)
    with RawClient(process.address("ready")) as client:
        client.subscribe(TOPIC)
        assert client.payloads(1) == [b"stored"]


def test_control_from_the_command_line(dev_program: Any, run_module: Any) -> None:
    process = dev_program("--control-port", "0")
    done = run_module("tools.devbroker.control", process.address("control"), "fault", "refuse")
    assert (done.returncode, done.stdout) == (0, "1\n")
    with pytest.raises(ConnectionRefusedError):
        RawClient(process.address("ready"))
    done = run_module("tools.devbroker.control", process.address("control"), "fault", "explode")
    assert done.returncode == 1 and "there are" in done.stderr
    assert run_module("tools.devbroker.control").returncode == 2


def test_command_line_knows_the_faults(run_module: Any) -> None:
    done = run_module("tools.devbroker", "--help")
    assert done.returncode == 0
    assert all(f"\n  {kind}" in done.stdout for kind in KINDS)
    for arguments, text in (
        (("--fault", "explode"), "there are bad_checksum"),
        (("--instances", "0"), "at least 1"),
        (("--tls-only",), "needs --tls"),
        (("--listener", "name"), "NAME=URL"),
        (("--token-refresh-seconds", "1"), "no use"),
    ):
        done = run_module("tools.devbroker", *arguments)
        assert done.returncode == 2 and text in done.stderr and "Traceback" not in done.stderr
