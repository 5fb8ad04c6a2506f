"""`python -m tools.devbroker`: it serves, restarts, takes its settings, and says what is wrong with them."""

import collections.abc
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import NO_ID, Closed, RawClient, single_entry
from tools.devbroker import DevBrokerThread
from tools.devbroker.frames import ServerError
from tools.tokens import KEY_BYTES, mint

TOPIC = "persistent://public/default/topic"


@pytest.fixture
def command_line() -> collections.abc.Iterator[collections.abc.Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m tools.devbroker` on a free port."""
    processes = []
    root = Path(__file__).resolve().parents[2]

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tools.devbroker", *arguments]
        process = subprocess.Popen(
            command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_command_line_serves_restarts_and_ends(command_line: Any, tmp_path: Path) -> None:
    key = secrets.token_bytes(KEY_BYTES)
    (tmp_path / "key").write_bytes(key)
    process = command_line("--port", "0", "--token-key-file", str(tmp_path / "key"))
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()
    ready = process.stdout.readline()
    assert ready.startswith("ready pulsar://127.0.0.1:")
    url = ready.split()[1]
    with RawClient(url, mint("role", key)) as client:
        client.open_producer(TOPIC)
        client.publish(b"kept")
        process.send_signal(signal.SIGHUP)
        with pytest.raises(Closed):
            client.receive()
    assert process.stdout.readline() == ready
    with RawClient(url, mint("role", key)) as client:
        client.subscribe(TOPIC)
        assert client.payloads(1) == [b"kept"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "for development only" in process.stderr.read()
    watchdog.cancel()


def test_command_line_says_what_is_wrong(command_line: Any, broker: DevBrokerThread, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"short")
    for arguments, text in (
        (["--port", str(broker.port)], "cannot listen"),
        (["--token-key-file", str(tmp_path / "absent")], "cannot read the token key"),
        (["--token-key-file", str(tmp_path / "short")], "32 raw bytes"),
        (["--partitioned", "topic"], "TOPIC=N"),
        (["--partitioned", "a/b=1"], "Invalid topic name"),
        (["--partitioned", "topic-partition-0=1"], "name of a partition"),
        (["--auto-partitions", "-1"], "not a number from 0 on"),
    ):
        process = command_line(*arguments)
        _output, error = process.communicate(timeout=20)
        assert process.returncode != 0
        assert text in error
        assert "Traceback" not in error


def test_settings_of_topics_on_the_command_line(command_line: Any) -> None:
    process = command_line(
        *("--port", "0", "--deduplication", "--partitioned", "parted=2", "--no-auto-topic-creation"),
        *("--max-topic-message-size", "500", "--max-delivery-delay-ms", "1000", "--schema-validation"),
    )
    with RawClient(process.stdout.readline().split()[1]) as client:
        assert client.open_producer(TOPIC).error == ServerError.TopicNotFound
        metadata = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic="parted")
        assert metadata.partitions == 2
        client.open_producer("persistent://public/default/parted-partition-1", producer_name="name")
        client.publish(b"0")
        assert client.publish(b"0")[0].message_id.entryId == NO_ID
        client.send_entry(single_entry(b"x" * 500, 1), sequence_id=1)
        assert client.expect("SEND_ERROR", "SEND_RECEIPT").error == ServerError.NotAllowedError
        client.send_entry(single_entry(b"x", 2, deliver_at_time=2**60), sequence_id=2)
        assert client.expect("SEND_ERROR", "SEND_RECEIPT").error == ServerError.NotAllowedError


def test_partitions_made_on_first_use_on_the_command_line(command_line: Any) -> None:
    process = command_line("--port", "0", "--auto-partitions", "3")
    with RawClient(process.stdout.readline().split()[1]) as client:
        metadata = client.request("PARTITIONED_METADATA", "PARTITIONED_METADATA_RESPONSE", topic=TOPIC)
        assert metadata.partitions == 3
