"""The control port: tells a running development broker, from another process, what to do.

A TCP port that takes lines and answers each with one line, `ok ...` or `error ...`; `nc` will do for a client, or
`Control` in here, or `python -m tools.devbroker.control HOST:PORT COMMAND`:

    fault SPEC                a fault, such as `fault cut sent=100`; the answer is its number
    clear [NUMBER|KIND]       take out a fault, all of a kind, or all; the answer is how many
    faults                    those in force
    links                     number and address of each link
    restart [SECONDS]         drop everything, stay away so long, come back with what was stored
    move TOPIC TO [assigned] [SECONDS]
                              let instance TO serve the topic; `assigned`: name it in CLOSE_*; SECONDS: drop SENDs and
                              ACKs so long first
    transfer TOPIC            drop SENDs and ACKs of the topic until it is moved
    migrate TOPIC URL [TLS-URL]
                              hand the topic over to another cluster: TOPIC_MIGRATED, then CLOSE_*
    kill, start               the instance dies, and comes back
    help                      these commands
    kinds                     the kinds of faults

With several instances `@N` in front of a command says which one is meant (from 0, which is also the default).
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

from tools.devbroker.cluster import DevCluster
from tools.devbroker.faults import KINDS, FaultError
from tools.devbroker.names import InvalidTopicName

_CLIENT_SECONDS = 60


class CommandError(ValueError):
    """A command that the control port did not take; the text says why."""


class ControlPort:
    """The port, for a cluster of one or more instances, in the running event loop."""

    def __init__(self, cluster: DevCluster, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._cluster = cluster
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._commands: dict[str, Callable[[int, list[str]], Awaitable[object]]] = {
            "fault": self._fault,
            "clear": self._clear,
            "faults": self._faults,
            "links": self._show_links,
            "restart": self._restart,
            "move": self._move,
            "transfer": self._transfer,
            "migrate": self._migrate,
            "kill": self._kill,
            "start": self._start_instance,
            "help": self._help,
            "kinds": self._kinds,
        }

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and its links."""
        if self._server:
            self._server.close()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def __aenter__(self) -> "ControlPort":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self.execute(line.decode(errors="replace"))
                writer.write(answer.encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # ValueError: a line without end.
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def execute(self, line: str) -> str:
        """Do what the line says; the answer."""
        words = line.split()
        try:
            number = self._instance(words.pop(0)[1:]) if words and words[0].startswith("@") else 0
            command = self._commands.get(words[0] if words else "")
            if command is None:
                raise CommandError(f"no such command; there are {', '.join(self._commands)}")
            # A fault's options may hold quoted blanks: they are cut up by those who know.
            rest = [line.split(words[0], 1)[1].strip()] if words[0] == "fault" else words[1:]
            answer = await command(number, rest)
        except (CommandError, FaultError, InvalidTopicName, OSError) as error:
            return f"error {error}"
        return f"ok {answer}".rstrip()

    def _instance(self, word: str) -> int:
        count = len(self._cluster.brokers)
        if not word.isdecimal() or int(word) >= count:
            raise CommandError(f"there is no instance {word!r}; there are {count}, from 0")
        return int(word)

    async def _fault(self, number: int, words: list[str]) -> int:
        if not words[0]:
            raise FaultError(f"which fault? there are {', '.join(sorted(KINDS))}")
        return self._cluster.brokers[number].fault(words[0]).number

    async def _clear(self, number: int, words: list[str]) -> int:
        which = words[0] if words else None
        if which is not None and not which.isdecimal() and which not in KINDS:
            raise CommandError(f"{which!r} is neither a fault's number nor a kind")
        broker = self._cluster.brokers[number]
        return await broker.clear_faults(int(which) if which and which.isdecimal() else which)

    async def _faults(self, number: int, _words: list[str]) -> str:
        active = self._cluster.brokers[number].faults.active
        return "; ".join(f"{fault.number} {fault} (struck {fault.hits})" for fault in active)

    async def _show_links(self, number: int, _words: list[str]) -> str:
        sessions = sorted(self._cluster.brokers[number].sessions, key=lambda session: session.number)
        return "; ".join(f"{session.number} {session.peer}" for session in sessions)

    async def _restart(self, number: int, words: list[str]) -> str:
        broker = self._cluster.brokers[number]
        await broker.restart(_seconds(words[0]) if words else 0)
        return broker.url

    async def _move(self, _number: int, words: list[str]) -> str:
        if len(words) < 2:
            raise CommandError("move needs a topic and an instance")
        topic, to, *options = words
        assigned = "assigned" in options
        seconds = [_seconds(word) for word in options if word != "assigned"]
        if len(seconds) > 1:
            raise CommandError("move takes one time only")
        number = self._instance(to)
        await self._cluster.move(topic, number, assigned=assigned, transfer_seconds=sum(seconds))
        return self._cluster.brokers[number].url

    async def _transfer(self, _number: int, words: list[str]) -> str:
        if len(words) != 1:
            raise CommandError("transfer needs a topic")
        self._cluster.begin_transfer(words[0])
        return ""

    async def _migrate(self, _number: int, words: list[str]) -> str:
        if not 2 <= len(words) <= 3:
            raise CommandError("migrate needs a topic and a service URL, and may take one for TLS")
        self._cluster.migrate(*words)
        return ""

    async def _kill(self, number: int, _words: list[str]) -> str:
        await self._cluster.kill(number)
        return ""

    async def _start_instance(self, number: int, _words: list[str]) -> str:
        await self._cluster.start(number)
        return self._cluster.brokers[number].url

    async def _help(self, _number: int, _words: list[str]) -> str:
        return ", ".join(self._commands)

    async def _kinds(self, _number: int, _words: list[str]) -> str:
        return ", ".join(sorted(KINDS))


def _seconds(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise CommandError(f"{word!r} is no number of seconds") from None


class Control:
    """A client of the control port, which is given as `host:port`: `Control(address).tell("fault silence")`."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host.strip("[]"), int(port)), _CLIENT_SECONDS)
        self._answers = self._socket.makefile("r", encoding="utf-8")

    def tell(self, line: str) -> str:
        """The answer to a command, without its `ok`. Raises CommandError, OSError."""
        self._socket.sendall(line.encode() + b"\n")
        verdict, _, text = self._answers.readline().rstrip("\n").partition(" ")
        if verdict != "ok":
            raise CommandError(text or "the broker has ended")
        return text

    def close(self) -> None:
        """Close the link to the control port; what was told stays in force."""
        self._answers.close()
        self._socket.close()

    def __enter__(self) -> "Control":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main() -> int:
    """Entry point; the exit status."""
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        print(f"python -m tools.devbroker.control HOST:PORT COMMAND\n\n{__doc__}")
        return 2
    try:
        with Control(sys.argv[1]) as control:
            print(control.tell(" ".join(sys.argv[2:])))
    except (CommandError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
