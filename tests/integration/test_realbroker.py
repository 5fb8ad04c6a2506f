"""The real broker's launcher: Apache's own client can use what it starts, and it comes back after a crash."""

import collections.abc
import contextlib
import importlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import textwrap
import types
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tools.realbroker import jars
from tools.realbroker.jars import MissingTool
from tools.realbroker.processes import ProcessFailed
from tools.realbroker.standalone import SHORTEST_TOKEN_KEY, InUse, Standalone
from tools.tokens import mint

Connect = collections.abc.Callable[..., Any]
_RECEIVE_MILLISECONDS = 20_000


@pytest.fixture
def pulsar() -> types.ModuleType:
    """The module of Apache's own Python client."""
    try:
        return importlib.import_module("pulsar")
    except ImportError:
        missing("the official client is not installed here (`pip install pulsar-client`)")


@pytest.fixture
def official_client(pulsar: types.ModuleType) -> Connect:
    """Makes clients of Apache's own: `with closing(official_client(url, token)) as client:`."""

    def connect(url: str, token: str | None = None, seconds: int = 20) -> Any:
        authentication = None if token is None else pulsar.AuthenticationToken(token)
        quiet = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
        return pulsar.Client(url, authentication, operation_timeout_seconds=seconds, logger=quiet)

    return connect


def fresh_topic() -> str:
    """A topic that no other test, nor an earlier run, has used."""
    return f"persistent://public/default/realbroker-{uuid.uuid4().hex}"


def test_official_client_sends_and_receives_with_a_granted_token(
    real_broker: Standalone, official_client: Connect
) -> None:
    real_broker.grant("sensor")
    topic = fresh_topic()
    with contextlib.closing(official_client(real_broker.url, real_broker.token("sensor"))) as client:
        consumer = client.subscribe(topic, "first")
        client.create_producer(topic).send(b"21.5 degrees")
        assert consumer.receive(timeout_millis=_RECEIVE_MILLISECONDS).data() == b"21.5 degrees"


@pytest.mark.parametrize(
    ("flaw", "reason"), [("other key", "signature does not match"), ("expired", "JWT expired")]
)
def test_bad_token_is_refused(
    real_broker: Standalone, official_client: Connect, pulsar: types.ModuleType, flaw: str, reason: str
) -> None:
    if flaw == "expired":
        token = real_broker.token("admin", lifetime_seconds=-60)
    else:
        token = mint("admin", secrets.token_bytes(SHORTEST_TOKEN_KEY))
    before = len(real_broker.process.log_text())
    with contextlib.closing(official_client(real_broker.url, token, seconds=2)) as client:
        # Apache's client keeps on asking until its time is over; only the broker's log tells the reason.
        with pytest.raises(pulsar.Timeout):
            client.create_producer(fresh_topic())
    logged = real_broker.process.log_text()[before:]
    assert "Failed to authenticate" in logged
    assert reason in logged


def test_role_without_grant_may_not_produce(
    real_broker: Standalone, official_client: Connect, pulsar: types.ModuleType
) -> None:
    with contextlib.closing(official_client(real_broker.url, real_broker.token("nobody"))) as client:
        with pytest.raises(pulsar.AuthorizationError):
            client.create_producer(fresh_topic())


def test_grant_allows_only_the_actions_it_names(
    real_broker: Standalone, official_client: Connect, pulsar: types.ModuleType
) -> None:
    real_broker.grant("listener", actions=["consume"])
    topic = fresh_topic()
    with contextlib.closing(official_client(real_broker.url, real_broker.token("listener"))) as client:
        client.subscribe(topic, "first")
        with pytest.raises(pulsar.AuthorizationError):
            client.create_producer(topic)


def test_rest_answers_carry_status_and_reason(real_broker: Standalone) -> None:
    assert real_broker.rest("GET", "/admin/v2/clusters").expect(200).json() == ["standalone"]
    absent = real_broker.rest("GET", "/admin/v2/namespaces/public/absent")
    assert absent.status == 404
    assert "Namespace" in absent.text


def test_messages_survive_restart_and_crash_with_persistent_metadata(
    real_broker_jars: None, official_client: Connect, tmp_path: Path
) -> None:
    topic = fresh_topic()
    with Standalone(tmp_path, memory=False) as broker:
        url, web = broker.url, broker.web
        with contextlib.closing(official_client(url)) as client:
            # The subscription keeps what nobody has acknowledged yet.
            client.subscribe(topic, "first").close()
            client.create_producer(topic).send(b"before the restart")
        broker.restart()
        assert (broker.url, broker.web) == (url, web)
        with contextlib.closing(official_client(url)) as client:
            client.create_producer(topic).send(b"before the crash")
        broker.kill()
        broker.restart()
        assert (broker.url, broker.web) == (url, web)
        with contextlib.closing(official_client(url)) as client:
            consumer = client.subscribe(topic, "first")
            received = [consumer.receive(timeout_millis=_RECEIVE_MILLISECONDS).data() for _ in range(2)]
    assert received == [b"before the restart", b"before the crash"]


def test_second_broker_in_the_same_directory_is_refused(real_broker: Standalone) -> None:
    with pytest.raises(InUse, match="another real broker runs in"):
        Standalone(real_broker.directory).start()


def test_taken_port_is_named_before_anything_starts(real_broker_jars: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InUse, match=f"port {port}"):
            Standalone(tmp_path, port=port).start()


def test_broker_that_cannot_start_says_why(real_broker_jars: None, tmp_path: Path) -> None:
    wrong = {"authenticationEnabled": "true", "authenticationProviders": "org.example.NoSuchProvider"}
    with pytest.raises(ProcessFailed, match="(?s)standalone ended .*NoSuchProvider"):
        Standalone(tmp_path, configuration=wrong).start()


def test_process_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tools.realbroker.processes import JavaProcess
        directory = Path(sys.argv[1])
        command = ["/bin/sh", "-c", "exec 9>alive; echo up >&9; exec sleep 600"]
        process = JavaProcess("sleeper", command, directory)
        process.start()
        sys.stdin.read()
        """
    )
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=jars.PROJECT, stdin=subprocess.PIPE
    ) as parent:
        try:
            assert _next_bytes(reader) == b"up\n"
            parent.send_signal(signal.SIGKILL)
            # The pipe ends when the last process that holds it open, the sleeper, is gone.
            assert _next_bytes(reader) == b""
        finally:
            parent.kill()
            os.close(reader)


def _next_bytes(reader: int) -> bytes:
    readable, _, _ = select.select([reader], [], [], 30)
    assert readable, "nothing happened at the pipe within 30 s"
    return os.read(reader, 100)


def test_short_token_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token_key has 16 bytes"):
        Standalone(tmp_path, token_key=bytes(16))


def test_missing_java_and_maven_are_named_with_their_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(jars, "_HOMEBREW_JAVAS", [])
    with pytest.raises(MissingTool, match="Java 17 or later .*apt-get install openjdk.*brew install"):
        jars.find_java()
    with pytest.raises(MissingTool, match="mvn.*apt-get install maven.*brew install maven"):
        jars.find_maven()


def test_java_that_is_too_old_is_refused_by_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_412\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(jars, "_HOMEBREW_JAVAS", [])
    with pytest.raises(MissingTool, match="bin/java is Java 8"):
        jars.find_java()


def test_folder_of_jars_that_lost_one_is_not_taken_for_whole(tmp_path: Path) -> None:
    for name in ("broker.jar", "bookie.jar"):
        (tmp_path / name).write_bytes(b"jar")
    assert not jars.is_complete(tmp_path)
    jars._write_stamp(tmp_path)
    assert jars.is_complete(tmp_path)
    (tmp_path / "bookie.jar").unlink()
    assert not jars.is_complete(tmp_path)
