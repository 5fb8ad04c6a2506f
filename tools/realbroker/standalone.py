"""A whole Pulsar in one Java process: broker, bookie and metadata, as `pulsar standalone` runs it."""

import collections.abc
import fcntl
import http
import io
import os
import shutil
import socket
from pathlib import Path

from tools.realbroker import jars
from tools.realbroker.ports import free_port, is_free
from tools.realbroker.processes import JavaProcess
from tools.realbroker.rest import Answer, RestClient

ADMIN_ROLE = "admin"
SHORTEST_TOKEN_KEY = 32
TOKEN_KEY_NAME = "token.key"

_HOST = "127.0.0.1"
_MAIN_CLASS = "org.apache.pulsar.PulsarStandaloneStarter"
_READY_SECONDS = 120.0
_DEFAULT_NAMESPACE = "public/default"
# What Pulsar's libraries reach into; Java 17 and later refuse it unless told.
_OPENED_PACKAGES = ("sun.net", "java.lang", "java.nio", "jdk.internal.platform", "jdk.internal.misc")
# The quick compiler and the plain collector: a broker for tests should start soon and stay small.
JAVA_OPTIONS = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xms64m",
    "-XX:MaxDirectMemorySize=256m",
    "-Dio.netty.tryReflectionSetAccessible=true",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED_PACKAGES),
]
CONFIGURATION = {
    "clusterName": "standalone",
    "bindAddress": _HOST,
    "advertisedAddress": _HOST,
    # There is one bookie, so an entry is written once.
    "managedLedgerDefaultEnsembleSize": "1",
    "managedLedgerDefaultWriteQuorum": "1",
    "managedLedgerDefaultAckQuorum": "1",
    "loadBalancerEnabled": "false",
    "numHttpServerThreads": "8",
    "brokerShutdownTimeoutMs": "5000",
    # Else a topic that a test leaves idle for a minute is gone.
    "brokerDeleteInactiveTopicsEnabled": "false",
}


class InUse(RuntimeError):
    """A port or a directory that the broker was to have is in use; the text says which."""


class Standalone:
    """A real Pulsar standalone, from the start of the `with` block to its end.

    directory: holds its configuration, logs and data; made if absent. One broker at a time may run in it.
    token_key: raw bytes (32 or more) of the secret for HS256 tokens; with it clients must show a token, and
        their role needs a grant; without it anybody may do anything.
    memory: True keeps metadata in memory, so every start begins empty; False keeps it on disk, so topics,
        messages, subscriptions and grants are there again after `restart`, and for the next Standalone in the
        same directory.
    keep_alive_seconds: the broker sends PING after as long a silence, and closes the connection after two.
    configuration: further keys of broker.conf, which win over those set here. port, web_port: TCP ports of
    the binary protocol and of the REST interface. By default free ones; whichever
        they are, they stay the same over restarts.
    heap_megabytes: the most that Java's heap may take.

    Entering the block takes 4 to 9 s, and the first time ever as long as the jars take to arrive. It raises
    jars.MissingTool, jars.FetchError, InUse, and processes.ProcessFailed when the broker does not come up.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        token_key: bytes | None = None,
        memory: bool = True,
        keep_alive_seconds: int | None = None,
        configuration: collections.abc.Mapping[str, object] | None = None,
        *,
        port: int | None = None,
        web_port: int | None = None,
        heap_megabytes: int = 384,
    ) -> None:
        if token_key is not None and len(token_key) < SHORTEST_TOKEN_KEY:
            raise ValueError(
                f"token_key has {len(token_key)} bytes; HS256 needs {SHORTEST_TOKEN_KEY} or more"
            )
        self.directory = Path(directory).resolve()
        self.memory = memory
        self._token_key = token_key
        self._wanted_ports = {"broker": port, "web": web_port}
        self._heap_megabytes = heap_megabytes
        self._configuration = {str(key): str(value) for key, value in (configuration or {}).items()}
        if keep_alive_seconds is not None:
            self._configuration.setdefault("keepAliveIntervalSeconds", str(keep_alive_seconds))
        self._lock: io.TextIOWrapper | None = None
        self._process: JavaProcess | None = None
        self._ports: dict[str, int] = {}
        self.admin_token: str | None = None if token_key is None else self.token(ADMIN_ROLE)
        """A token of the superuser that never expires; None where the broker wants no tokens."""

    def __enter__(self) -> "Standalone":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The service URL for clients: "pulsar://127.0.0.1:PORT"."""
        return f"pulsar://{_HOST}:{self._port('broker')}"

    @property
    def web(self) -> str:
        """The URL of the REST interface: "http://127.0.0.1:PORT"."""
        return f"http://{_HOST}:{self._port('web')}"

    @property
    def process(self) -> JavaProcess:
        """The Java process: its log, memory, signals. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(
                "this broker was not started; use it as `with Standalone(directory) as broker:`"
            )
        return self._process

    def token(self, role: str, lifetime_seconds: float | None = None) -> str:
        """Return a JSON Web Token for `role`, for ever or for `lifetime_seconds` (negative: already expired).

        Raises RuntimeError when the broker was given no token_key.
        """
        if self._token_key is None:
            raise RuntimeError("this broker checks no tokens; give Standalone a token_key")
        # Only here, as it needs pyjwt and a broker without tokens does not.
        from tools.tokens import mint

        return mint(role, self._token_key, lifetime_seconds)

    def rest(self, method: str, path: str, body: object = None) -> Answer:
        """Send a REST request as the superuser; arguments, answer and errors are RestClient.request's."""
        return RestClient(self.web, self.admin_token).request(method, path, body)

    def grant(
        self,
        role: str,
        namespace: str = _DEFAULT_NAMESPACE,
        actions: collections.abc.Iterable[str] = ("produce", "consume"),
    ) -> None:
        """Let `role` do `actions` in `namespace` ("tenant/name"); raises RestError if the broker refuses."""
        path = f"/admin/v2/namespaces/{namespace}/permissions/{role}"
        self.rest("POST", path, list(actions)).expect(http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT)

    def start(self) -> None:
        """Start the broker and wait until it is ready; `with` does this by itself."""
        if self._process is not None and self._process.is_running:
            raise RuntimeError(f"this broker already runs, at {self.url}")
        class_path, java = jars.classpath(), jars.find_java()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._take_directory()
        try:
            if self.memory:
                # A bookie's data of an earlier run does not fit metadata that starts empty.
                shutil.rmtree(self.directory / "data", ignore_errors=True)
            self._choose_ports()
            self._write_configuration()
            if self._process is None:
                self._process = JavaProcess("standalone", self._command(java, class_path), self.directory)
            self._process.start()
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the broker at once, as a crash would; `restart` brings it back."""
        self.process.kill()

    def restart(self) -> None:
        """Stop the broker in order if it runs, start it again at the same ports, and wait until it is ready.

        With `memory` it comes back empty: tenants, topics and grants have to be made again.
        """
        self.process.stop()
        self.start()

    def stop(self) -> None:
        """End the broker in order (1 to 4 s); nothing happens when it does not run."""
        if self._process is not None:
            self._process.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _port(self, name: str) -> int:
        if name not in self._ports:
            raise RuntimeError("this broker has no ports before its first start; use it in a `with` block")
        return self._ports[name]

    def _take_directory(self) -> None:
        """Hold the directory's lock for as long as this object runs a broker there."""
        if self._lock is not None:
            return
        lock = open(self.directory / "lock", "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise InUse(
                f"another real broker runs in {self.directory}; stop it or use another directory"
            ) from error
        self._lock = lock

    def _choose_ports(self) -> None:
        """Fill `_ports`: those of the last start, else those asked for, else free ones."""
        ports: dict[str, int] = {}
        for name, wanted in self._wanted_ports.items():
            port = self._ports.get(name) or wanted or free_port(tuple(ports.values()))
            if not is_free(port):
                raise InUse(f"port {port}, wanted for the real broker's {name} port, is taken; give another")
            ports[name] = port
        self._ports = ports

    def _write_configuration(self) -> None:
        configuration = dict(CONFIGURATION)
        configuration["brokerServicePort"] = str(self._ports["broker"])
        configuration["webServicePort"] = str(self._ports["web"])
        configuration |= loopback_configuration()
        if self._token_key is not None:
            key_path = self.directory / TOKEN_KEY_NAME
            _write_secret(key_path, self._token_key)
            configuration |= self._token_configuration(key_path)
        configuration |= self._configuration
        text = "".join(f"{key}={value}\n" for key, value in configuration.items())
        # It holds the superuser's token.
        _write_secret(self.directory / "standalone.conf", text.encode())

    def _token_configuration(self, key_path: Path) -> dict[str, str]:
        return {
            "authenticationEnabled": "true",
            "authorizationEnabled": "true",
            "superUserRoles": ADMIN_ROLE,
            "authenticationProviders": "org.apache.pulsar.broker.authentication.AuthenticationProviderToken",
            "tokenSecretKey": key_path.as_uri(),
            # The broker is a client of itself, for health checks among others.
            "brokerClientAuthenticationPlugin": "org.apache.pulsar.client.impl.auth.AuthenticationToken",
            "brokerClientAuthenticationParameters": f"token:{self.admin_token}",
        }

    def _command(self, java: Path, class_path: str) -> list[str]:
        command = [str(java), *JAVA_OPTIONS, f"-Xmx{self._heap_megabytes}m", "-cp", class_path, _MAIN_CLASS]
        # Without the functions worker and the stream storage, which nothing here uses.
        command += ["-c", "standalone.conf", "-nfw", "-nss"]
        # The name after the colon matters: with "local" each part of Pulsar gets a store of its own.
        return command + (["--metadata-url", "memory:standalone"] if self.memory else [])

    def _wait_ready(self) -> None:
        rest = RestClient(self.web, self.admin_token)

        def answers(path: str) -> bool:
            return rest.request("GET", path).status == http.HTTPStatus.OK

        # Pulsar's own /brokers/ready says yes before the namespace exists.
        namespace = f"/admin/v2/namespaces/{_DEFAULT_NAMESPACE}"
        self.process.wait_ready(lambda: answers(namespace), _READY_SECONDS, f"namespace {_DEFAULT_NAMESPACE}")
        # A message to itself and back: bookie, broker and metadata work together.
        self.process.wait_ready(lambda: answers("/admin/v2/brokers/health"), _READY_SECONDS, "health")


def loopback_configuration() -> dict[str, str]:
    """What keeps a bookie on the loopback interface.

    It heeds neither bindAddress nor, in a standalone, a port given to it. It takes any free port, which it keeps with
    its data, and without this it would listen on every interface.
    """
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    return {"listeningInterface": loopback[0], "allowLoopback": "true"} if loopback else {}


def _write_secret(path: Path, content: bytes) -> None:
    """Write `content` to a file that only this user may read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
