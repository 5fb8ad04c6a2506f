"""The brokers that the integration tests share, each started once a session by the first test that asks for it, and
the names of the interpreters that our programs run under."""

import collections.abc
import contextlib
import importlib
import secrets
import shutil
import socket
import subprocess
import sys
import types
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration import runs
from tests.integration.both_brokers import Connect, DevelopmentSide, RealSide, Side
from tests.integration.raw_client import RawClient
from tools.devbroker import DevBrokerThread
from tools.interpreters import ROOT
from tools.realbroker import jars
from tools.realbroker.standalone import SHORTEST_TOKEN_KEY, Standalone
from tools.tokens import KEY_BYTES, mint

# Without the jars the first test waits for Maven, which on a slow line takes longer than any test may.
_FETCH_SECONDS = 1300
_ROLE = "device"
_NO_MICROPYTHON = "no MicroPython"


@dataclass(frozen=True)
class Place:
    """A broker as a program sees it, and a token that it refuses."""

    url: str
    token: str
    wrong_token: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the real broker, and give them time where its jars are still to be fetched."""
    fetched = jars.is_complete(jars.jars_folder())
    for item in items:
        if "real_broker_jars" in getattr(item, "fixturenames", ()):
            item.add_marker("real")
            if not fetched:
                item.add_marker(pytest.mark.timeout(_FETCH_SECONDS))


@pytest.fixture(scope="session")
def real_broker_jars() -> None:
    """Skip the test where the real broker cannot run: without Java, or without its jars and a way to them."""
    reason = None
    try:
        jars.find_java()
        jars.fetch()
    except (jars.MissingTool, jars.FetchError) as error:
        reason = str(error)
    if reason is not None:
        missing(reason)


@pytest.fixture(scope="session")
def real_broker(
    real_broker_jars: None, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Standalone]:
    """A real Pulsar standalone that wants tokens: `.url`, `.token(role)`, `.grant(role)`, `.rest(...)`.

    One for the whole session, so a test uses topics of its own, and must neither stop nor restart it.
    """
    directory = tmp_path_factory.mktemp("real_broker")
    with Standalone(directory, token_key=secrets.token_bytes(SHORTEST_TOKEN_KEY)) as broker:
        yield broker
    # pytest keeps the folders of three sessions: the log is worth it, tens of megabytes of ledgers are not.
    shutil.rmtree(directory / "data", ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `runtime` runs once for the twin and once for each MicroPython."""
    if "runtime" in metafunc.fixturenames:
        boards = [entry.name for entry in runs.micropythons()] or [_NO_MICROPYTHON]
        # Of no wider scope: pytest would sort the tests by it, and start all of a module's programs again for each.
        metafunc.parametrize("runtime", ["twin", *boards], indirect=True, scope="function")


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of one interpreter, "twin" or a MicroPython's."""
    if request.param == _NO_MICROPYTHON:
        missing("no MicroPython was found: run `make setup`, which says what can be had")
    return request.param


@pytest.fixture(scope="session")
def dev_place() -> collections.abc.Iterator[Place]:
    """A development broker that wants tokens, one for the whole session."""
    key = secrets.token_bytes(KEY_BYTES)
    with DevBrokerThread(token_key=key) as broker:
        yield Place(broker.url, mint(_ROLE, key), _foreign_token())


@pytest.fixture(scope="session")
def real_place(real_broker: Standalone) -> Place:
    """The session's real broker, with a token that may produce and consume."""
    real_broker.grant(_ROLE)
    return Place(real_broker.url, real_broker.token(_ROLE), _foreign_token())


def _foreign_token() -> str:
    return mint(_ROLE, secrets.token_bytes(KEY_BYTES))


@pytest.fixture(scope="session")
def silent_url() -> collections.abc.Iterator[str]:
    """The service URL of a port that is taken, so nobody else gets it, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "pulsar://127.0.0.1:%d" % taken.getsockname()[1]


@pytest.fixture(scope="session")
def apache() -> types.ModuleType:
    """The module of Apache's own Python client."""
    try:
        return importlib.import_module("pulsar")
    except ImportError:
        missing("the official client is not installed here (`pip install pulsar-client`)")


@pytest.fixture(scope="module")
def apache_client(apache: types.ModuleType) -> collections.abc.Iterator[collections.abc.Callable[..., Any]]:
    """Makes clients of Apache's own, which are closed after the module's tests: `apache_client(url, token)`."""
    with contextlib.ExitStack() as clients:

        def connect(url: str, token: str | None = None) -> Any:
            authentication = None if token is None else apache.AuthenticationToken(token)
            quiet = apache.ConsoleLogger(apache.LoggerLevel.Error)
            client = apache.Client(url, authentication, operation_timeout_seconds=30, logger=quiet)
            return clients.enter_context(contextlib.closing(client))

        yield connect


class DevProgram:
    """`python -m tools.devbroker` in a process of its own, up and running."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tools.devbroker", "--port", "0", "--tls-port", "0", *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        self.lines: list[list[str]] = []
        """What it has said, in words; one `ready` line for each instance."""

    def read_until_ready(self, instances: int) -> None:
        """Read what it says until as many instances are ready. Raises AssertionError where it ends before."""
        assert self.process.stdout
        while sum(words[0] == "ready" for words in self.lines) < instances:
            words = self.process.stdout.readline().split()
            assert words, self.process.communicate()[1]
            self.lines.append(words)

    def address(self, kind: str, number: int = 0, place: int = 1) -> str:
        """The address in its `number`th line of that kind; `place` 2 is the TLS URL."""
        return [words for words in self.lines if words[0] == kind][number][place]

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def dev_program() -> collections.abc.Iterator[collections.abc.Callable[..., DevProgram]]:
    """Starts development brokers in processes of their own: `dev_program("--fault", "silence", instances=1)`."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, instances: int = 1) -> DevProgram:
            program = DevProgram(*arguments)
            running.callback(program.end)
            program.read_until_ready(instances)
            return program

        yield start


@pytest.fixture
def run_module() -> collections.abc.Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m MODULE ...` to its end."""

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture
def broker() -> collections.abc.Iterator[DevBrokerThread]:
    """A development broker without tokens, for one test."""
    with DevBrokerThread() as running:
        yield running


@pytest.fixture(scope="session")
def development_side() -> collections.abc.Iterator[DevelopmentSide]:
    """A development broker for the tests that run against both kinds."""
    side = DevelopmentSide()
    with side.thread:
        yield side


@pytest.fixture(scope="session")
def real_side(real_broker: Standalone) -> RealSide:
    """The session's real broker, for the tests that run against both kinds."""
    return RealSide(real_broker)


@pytest.fixture(params=["development", pytest.param("real", marks=pytest.mark.real)])
def side(request: pytest.FixtureRequest) -> Side:
    """The one broker, then the other."""
    return request.getfixturevalue(f"{request.param}_side")


@pytest.fixture
def connect(side: Side) -> collections.abc.Iterator[Connect]:
    """Makes links to the broker, closed after the test."""
    with contextlib.ExitStack() as links:

        def make(handshake: bool = True) -> RawClient:
            return links.enter_context(RawClient(side.url, side.token, connect=handshake))

        yield make


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"persistent://public/default/behaviour-{uuid.uuid4().hex}"
