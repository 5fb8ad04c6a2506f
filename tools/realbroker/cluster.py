"""Two real Pulsar brokers on one ZooKeeper and one bookie: three Java processes of about 640 MB in all."""

from __future__ import annotations

import collections.abc
import http.client
import os
import shutil
import signal
import socket
import time
import urllib.parse
from pathlib import Path

from tools.realbroker import jars
from tools.realbroker.ports import free_port
from tools.realbroker.processes import JavaProcess
from tools.realbroker.rest import Answer, RestClient
from tools.realbroker.standalone import CONFIGURATION, JAVA_OPTIONS, loopback_configuration

_HOST = "127.0.0.1"
_NAME = "duo"
_BROKERS = 2
_STORE_MEGABYTES = 256
_BROKER_MEGABYTES = 320
_SET_UP_MEGABYTES = 128
_SET_UP_SECONDS = 60.0
_READY_SECONDS = 120.0
_DEFAULT_NAMESPACE = "public/default"
# ZooKeeper lets no session live for less than twice its tick of 2 s.
_SESSION_MILLISECONDS = 5000
_EXTENSIBLE = "org.apache.pulsar.broker.loadbalance.extensions."
_OK = http.client.OK
_PAUSE_SECONDS = 0.1


class ClusterBroker:
    """One broker of the cluster. Its ports are known before it is started, and stay the same."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.port = free_port()
        self.web_port = free_port((self.port,))
        self.listeners: dict[str, str] = {}
        """Further listeners to advertise, URLs by name; to be filled before the start."""
        self._process: JavaProcess | None = None

    @property
    def url(self) -> str:
        """The service URL."""
        return f"pulsar://{_HOST}:{self.port}"

    @property
    def web(self) -> str:
        """The URL of the REST interface."""
        return f"http://{_HOST}:{self.web_port}"

    @property
    def process(self) -> JavaProcess:
        """The Java process. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(f"broker {self.name} was not started; use Cluster in a `with` block")
        return self._process

    def rest(self, method: str, path: str, body: object = None, seconds: float = 20.0) -> Answer:
        """Send a REST request; arguments, answer and errors are RestClient.request's."""
        return RestClient(self.web).request(method, path, body, seconds)

    def prepare(self, command: list[str], configuration: collections.abc.Mapping[str, str]) -> None:
        """Write its configuration; `command` starts a broker that is given none."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {
            **configuration, "brokerServicePort": str(self.port), "webServicePort": str(self.web_port)
        }  # fmt: skip
        if self.listeners:
            # The two ways to name addresses exclude each other.
            settings.pop("advertisedAddress", None)
            listeners = {"internal": self.url, **self.listeners}
            settings["advertisedListeners"] = ",".join(f"{name}:{url}" for name, url in listeners.items())
            settings["internalListenerName"] = "internal"
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.directory / "broker.conf").write_text(text)
        self._process = JavaProcess(f"broker-{self.name}", [*command, "-c", "broker.conf"], self.directory)

    def start(self, wait: bool = True) -> None:
        """Start it, and unless told otherwise wait until it is ready (4 to 6 s)."""
        self.process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Until it serves. Raises ProcessFailed."""

        def answers(path: str) -> bool:
            # A broker that is not up yet may let a request lie.
            return self.rest("GET", path, seconds=2).status == _OK

        namespace = f"/admin/v2/namespaces/{_DEFAULT_NAMESPACE}"
        self.process.wait_ready(lambda: answers(namespace), _READY_SECONDS, f"namespace {_DEFAULT_NAMESPACE}")
        self.process.wait_ready(lambda: answers("/admin/v2/brokers/health"), _READY_SECONDS, "health")

    def kill(self) -> None:
        """SIGKILL, as a crash; `start` brings it back."""
        self.process.kill()

    def stop(self) -> None:
        """SIGTERM, and until it has ended (2 s)."""
        if self._process is not None:
            self._process.stop()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, nothing is answered."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.signal(signal.SIGCONT)


class Cluster:
    """Two brokers, from the start of the `with` block (10 to 16 s) to its end.

    directory: for configuration, logs and data, made if absent; what stood there of an earlier cluster is removed.
    extensible: with the ExtensibleLoadManagerImpl, which names the new broker in CLOSE_PRODUCER; else the default,
    ModularLoadManagerImpl. configuration: further keys of broker.conf, which win over those set here.

    Before the block is entered the brokers' ports are known and their `listeners` may be filled. Raises
    jars.MissingTool, jars.FetchError and processes.ProcessFailed.
    """

    def __init__(
        self, directory: str | os.PathLike[str], extensible: bool = False,
        configuration: collections.abc.Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.directory = Path(directory).resolve()
        self.extensible = extensible
        self.brokers = [ClusterBroker(name, self.directory / name) for name in "ab"[:_BROKERS]]
        self._configuration = {str(key): str(value) for key, value in (configuration or {}).items()}
        taken = tuple(port for broker in self.brokers for port in (broker.port, broker.web_port))
        self._store_port = free_port(taken)
        self._bookie_port = free_port((*taken, self._store_port))
        self._store: JavaProcess | None = None

    @property
    def urls(self) -> str:
        """A service URL that names both brokers."""
        return "pulsar://" + ",".join(f"{_HOST}:{broker.port}" for broker in self.brokers)

    @property
    def processes(self) -> list[JavaProcess]:
        """The three Java processes, that of ZooKeeper and bookie first."""
        store = [self._store] if self._store else []
        return [*store, *(broker.process for broker in self.brokers)]

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until both brokers are ready; `with` does this by itself."""
        class_path, java = jars.classpath(), jars.find_java()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        try:
            self._start_store(java, class_path)
            self._set_up(java, class_path)
            main = "org.apache.pulsar.PulsarBrokerStarter"
            for broker in self.brokers:
                broker.prepare(_command(java, class_path, _BROKER_MEGABYTES, main), self._settings())
                broker.start(wait=False)
            for broker in self.brokers:
                broker.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything in order."""
        for broker in self.brokers:
            broker.stop()
        if self._store is not None:
            self._store.stop()

    def owner(self, topic: str, ask: ClusterBroker | None = None) -> ClusterBroker | None:
        """The broker that serves a topic, `persistent://…`, as `ask` sees it; None where that is nobody now."""
        path = topic.replace("://", "/")
        answer = (ask or self._any()).rest("GET", f"/lookup/v2/topic/{path}")
        if answer.status != _OK:
            return None
        found = answer.json()
        port = urllib.parse.urlsplit(str(found["brokerUrl"] if isinstance(found, dict) else "")).port
        return next((broker for broker in self.brokers if broker.port == port), None)

    def other(self, broker: ClusterBroker) -> ClusterBroker:
        """The one that it is not."""
        return next(one for one in self.brokers if one is not broker)

    def move(self, topic: str, to: ClusterBroker) -> None:
        """Unload the topic's bundle so that `to` takes it; nothing happens where it has it.

        Waits where `to` was started only now and the load manager does not know it yet. Raises RestError.
        """
        owner = self.owner(topic, to)
        if owner is to:
            return  # the extensible load manager answers 500 to that
        path = topic.replace("://", "/")
        bundle = to.rest("GET", f"/lookup/v2/topic/{path}/bundle").expect(_OK).text
        namespace = topic.split("://")[1].rsplit("/", 1)[0]
        where = f"/admin/v2/namespaces/{namespace}/{bundle}/unload?destinationBroker="
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            answer = (owner or to).rest("PUT", where + self._id_of(to))
            if answer.status != http.client.CONFLICT or time.monotonic() > deadline:
                answer.expect(http.client.NO_CONTENT)
                return
            time.sleep(_PAUSE_SECONDS)

    def _id_of(self, broker: ClusterBroker) -> str:
        """What the load managers call it: the host is not 127.0.0.1 where it advertises listeners."""
        known = broker.rest("GET", "/admin/v2/brokers").expect(_OK).json()
        names = [str(name) for name in known] if isinstance(known, list) else []
        return next((name for name in names if name.endswith(f":{broker.web_port}")), f"{_HOST}:{broker.web_port}")

    def _any(self) -> ClusterBroker:
        return next((broker for broker in self.brokers if broker.process.is_running), self.brokers[0])

    def _settings(self) -> dict[str, str]:
        store = f"zk:{_HOST}:{self._store_port}"
        settings = {
            **CONFIGURATION,
            "clusterName": _NAME,
            "metadataStoreUrl": store,
            "configurationMetadataStoreUrl": store,
            "metadataStoreSessionTimeoutMillis": str(_SESSION_MILLISECONDS),
            "loadBalancerEnabled": "true",
            # Nothing moves but what is told to.
            "loadBalancerSheddingEnabled": "false",
            "loadBalancerAutoBundleSplitEnabled": "false",
        }
        if self.extensible:
            settings["loadManagerClassName"] = f"{_EXTENSIBLE}ExtensibleLoadManagerImpl"
            settings["loadBalancerLoadSheddingStrategy"] = f"{_EXTENSIBLE}scheduler.TransferShedder"
        return settings | self._configuration

    def _start_store(self, java: Path, class_path: str) -> None:
        folder = self.directory / "store"
        folder.mkdir()
        settings = {"clusterName": _NAME, "advertisedAddress": _HOST, **loopback_configuration()}
        (folder / "store.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        command = _command(java, class_path, _STORE_MEGABYTES, "org.apache.pulsar.PulsarStandaloneStarter")
        command += ["-c", "store.conf", "--no-broker", "-nfw", "-nss"]
        command += ["--zookeeper-port", str(self._store_port), "--bookkeeper-port", str(self._bookie_port)]
        # Without it the metadata would be in RocksDB, which one process alone can open.
        command = ["/usr/bin/env", "PULSAR_STANDALONE_USE_ZOOKEEPER=1", *command]
        self._store = JavaProcess("store", command, folder)
        self._store.start()
        self._store.wait_ready(lambda: _accepts(self._bookie_port), _READY_SECONDS, "bookie")

    def _set_up(self, java: Path, class_path: str) -> None:
        """Write the cluster's metadata, with tenant public and its namespace."""
        store = f"zk:{_HOST}:{self._store_port}"
        command = _command(java, class_path, _SET_UP_MEGABYTES, "org.apache.pulsar.PulsarClusterMetadataSetup")
        first = self.brokers[0]
        command += ["-c", _NAME, "-md", store, "-cms", store, "-uw", first.web, "-ub", first.url]
        process = JavaProcess("setup", command, self.directory)
        process.start()
        process.wait(_SET_UP_SECONDS)
        process.kill()


def _command(java: Path, class_path: str, megabytes: int, main_class: str) -> list[str]:
    return [str(java), *JAVA_OPTIONS, f"-Xmx{megabytes}m", "-cp", class_path, main_class]


def _accepts(port: int) -> bool:
    socket.create_connection((_HOST, port), 1).close()
    return True
