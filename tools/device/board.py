"""An emulated board that runs: programs go in by its USB serial port, what they print comes out."""
from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tools.device import kit
from tools.device.gateway import Gateway

_EMULATOR = kit.HERE / "emulator.mjs"
_RAW_MODE, _RUN, _END = b"\x01", b"\x04", b"\x04"
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_START_SECONDS = 60
_SHOWN = 6000

Record = dict[str, Any]


class BoardError(AssertionError):
    """The board did not do what was expected of it; the text holds what it printed."""


class Board:
    """`with Board(firmware, {6650: port}) as board:` from reset to the end of the block.

    A program prints a JSON object on a line of its own, with its `kind`, for each thing it has to tell.
    """

    def __init__(self, firmware: Path, ports: Mapping[int, int], names: Collection[str] = ()) -> None:
        """firmware: a .bin. ports, names: what the board can reach, see Gateway."""
        self._firmware = firmware
        self._line, self._far_line = socket.socketpair()
        self.gateway = Gateway(self._line, ports, names)
        self._output: queue.Queue[bytes | None] = queue.Queue()
        self._buffer = b""
        self._text = ""
        self._log = tempfile.TemporaryFile()

    def __enter__(self) -> Board:
        node = shutil.which("node") or "node"
        command = [node, str(_EMULATOR), str(kit.folder()), str(self._firmware), str(self._far_line.fileno())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                                         pass_fds=(self._far_line.fileno(),))
        self._far_line.close()
        self._reader = threading.Thread(target=self._read, name="board", daemon=True)
        self._reader.start()
        self.gateway.__enter__()
        try:
            self._write(_RAW_MODE)
            self._until(_RAW_BANNER, time.monotonic() + _START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self.gateway.__exit__()
        for file in (self._process.stdin, self._process.stdout, self._log):
            if file:
                file.close()

    def start(self, source: str, options: Mapping[str, Any] | None = None) -> None:
        """Run a program; it finds `options` under the name OPTIONS. One at a time: `finish` the one before."""
        self._text = ""
        self._write(f"OPTIONS = {dict(options or {})!r}\n{source}".encode() + _RUN)
        self._until(b"OK", time.monotonic() + _START_SECONDS)

    def wait_for(self, kind: str, seconds: float = 60) -> Record:
        """The program's next record of that kind; BoardError where none comes."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._next_line(deadline)
            if line is None:
                raise BoardError(self._describe(f"ended without a record {kind!r}"))
            if line.startswith("{"):
                record = json.loads(line)
                if record.get("kind") == kind:
                    return record

    def finish(self, seconds: float = 60) -> str:
        """Wait for the program's end and return all that it printed; BoardError where it ended with an error."""
        deadline = time.monotonic() + seconds
        while self._next_line(deadline) is not None:
            pass
        error = self._until(_END, deadline).decode(errors="replace")
        self._until(b">", deadline)
        if error:
            raise BoardError(self._describe(f"ended with an error:\n{error}"))
        return self._text

    def run(self, source: str, options: Mapping[str, Any] | None = None, seconds: float = 60) -> str:
        """Run a program to its end and return what it printed."""
        self.start(source, options)
        return self.finish(seconds)

    def _next_line(self, deadline: float) -> str | None:
        """The next line that the program printed, None at its end."""
        while b"\n" not in self._buffer and _END not in self._buffer:
            self._receive(deadline)
        ends = [at for at in (self._buffer.find(b"\n"), self._buffer.find(_END)) if at >= 0]
        end = min(ends)
        last = self._buffer[end : end + 1] == _END
        line = self._buffer[:end].decode(errors="replace").rstrip("\r")
        self._buffer = self._buffer[end + 1 :]
        if line:
            self._text += line + "\n"
        return None if last else line

    def _until(self, mark: bytes, deadline: float) -> bytes:
        """Take all up to `mark`, and the mark."""
        while mark not in self._buffer:
            self._receive(deadline)
        before, _, self._buffer = self._buffer.partition(mark)
        return before

    def _receive(self, deadline: float) -> None:
        try:
            data = self._output.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise BoardError(self._describe("said nothing more in time")) from None
        if data is None:
            self._output.put(None)
            raise BoardError(self._describe("stopped"))
        self._buffer += data

    def _describe(self, what: str) -> str:
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")
        rest = self._buffer.decode(errors="replace")
        return f"the board {what}\nit printed:\n{(self._text + rest)[-_SHOWN:]}\nthe emulator said:\n{log[-_SHOWN:]}"

    def _write(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin:
            try:
                stdin.write(data)
                stdin.flush()
            except BrokenPipeError:
                pass  # what is read next says so

    def _read(self) -> None:
        stdout = self._process.stdout
        while stdout and (data := stdout.read1()):  # pyright: ignore[reportAttributeAccessIssue]
            self._output.put(data)
        self._output.put(None)
