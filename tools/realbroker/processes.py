"""A Java process in hand: started, watched until ready, signalled, killed, stopped, and never left behind.

The Java process gets a session, and so a process group, of its own: a Ctrl-C in the terminal reaches only the
Python program, which then stops it in order. However that program ends, the Java process ends too: at a
normal exit by `atexit`, and at any other (SIGKILL, a crash) by a guardian, a shell of a few hundred kilobytes
that waits on a pipe whose other end only the Python program holds, and kills the process group when the pipe
closes. Linux's PR_SET_PDEATHSIG is not used: it fires when the *thread* that started the child ends, and
macOS has none.
"""

import atexit
import collections.abc
import os
import re
import signal
import subprocess
import time
import weakref
from pathlib import Path

_POLL_SECONDS = 0.1
_TAIL_LINES = 25
# $1 is the process group. `read` returns when the pipe's other end closes, as nothing is ever written to it.
# The signal stands after -s, since Debian's sh takes "kill -KILL -- -1234" for an error.
_GUARDIAN = 'read -r nothing; kill -s KILL -- "-$1"'


class ProcessFailed(RuntimeError):
    """A process ended, or was not ready in time; the text ends with the tail of its log."""


class JavaProcess:
    """One Java program, which may be started and ended any number of times; one log file holds them all.

    name: what messages and the log file call it.
    command: the whole command line, the path of `java` first.
    directory: where it runs and where `NAME.log` is written, anew by each JavaProcess; must exist.
    """

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self.name = name
        self.command = command
        self.directory = directory
        self.log_path = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._started_before = False

    @property
    def is_running(self) -> bool:
        """Whether the process is there, stopped by SIGSTOP or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process id of the running process; raises ProcessFailed when it is not running."""
        return self._running().pid

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it is of use. Raises ProcessFailed if it runs."""
        if self.is_running:
            raise ProcessFailed(
                f"{self.name} already runs, as process {self.process_id}; stop or kill it first"
            )
        self._forget()
        with open(self.log_path, "ab" if self._started_before else "wb") as log:
            self._log_start = log.tell()
            self._started_before = True
            self._process = subprocess.Popen(
                self.command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        # Held in a variable of this process alone: descriptors are not inherited unless asked for.
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDIAN, "guardian", str(self._process.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        _started.add(self)

    def wait_ready(self, check: collections.abc.Callable[[], bool], seconds: float, awaited: str) -> None:
        """Ask `check` again and again until it returns True; an OSError from it counts as "not yet".

        awaited: what is waited for, for the error's text ("namespace public/default").
        Raises ProcessFailed when the process ends first, or when `seconds` have passed.
        """
        process = self._running()
        started = time.monotonic()
        last = ""
        while True:
            try:
                if check():
                    return
            except OSError as error:
                last = f" (last error: {error})"
            waited = time.monotonic() - started
            if waited >= seconds:
                raise self._failure(f"waited {waited:.0f} s in vain for {awaited} of {self.name}{last}")
            try:
                # Between two checks the process's end is what is waited for, so that it is noticed at once.
                status = process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            raise self._failure(
                f"{self.name} ended (exit status {status}) after {waited:.1f} s, before {awaited}"
            )

    def wait(self, seconds: float | None = None) -> int:
        """Wait until the process ends by itself and return its exit status.

        Raises subprocess.TimeoutExpired after `seconds`, and ProcessFailed when it is not running.
        """
        return self._running().wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP; raises ProcessFailed when the process is not running."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """End the process at once with SIGKILL, as a crash would; nothing happens when it is not running."""
        if self._process is not None and self._process.poll() is None:
            # The group, not the process alone: whatever it started goes with it.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._forget()

    def stop(self, seconds: float = 20.0) -> None:
        """End the process in order with SIGTERM, and with SIGKILL once `seconds` have passed."""
        if self._process is not None and self._process.poll() is None:
            # A process that a test left stopped by SIGSTOP would not see the SIGTERM.
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def log_text(self) -> str:
        """Return what the process has written to its log since it was last started."""
        try:
            with open(self.log_path, "rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def resident_megabytes(self) -> int:
        """Return the memory the process holds (RSS) in MiB; raises ProcessFailed when it is not running."""
        command = ["ps", "-o", "rss=", "-p", str(self.process_id)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(answer.stdout) // 1024

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise self._failure(f"{self.name} is not running")
        return self._process

    def _forget(self) -> None:
        """Let go of a process that has ended, and of its guardian, as the id may go to another process."""
        if self._guardian is not None:
            self._guardian.kill()
            self._guardian.communicate()
        self._process = self._guardian = None

    def _failure(self, what: str) -> ProcessFailed:
        lines = self.log_text().splitlines()
        # A stack trace's frames seldom tell the reason, and would push out the lines that do.
        tail = [line for line in lines if not re.match(r"\s+at |\s+\.\.\. \d+ more", line)][-_TAIL_LINES:]
        return ProcessFailed("\n".join([f"{what}; its log {self.log_path} ends:", *tail]))


_started: weakref.WeakSet[JavaProcess] = weakref.WeakSet()
_owner = os.getpid()


def _kill_all() -> None:
    # A forked child has inherited this list, but the processes are not its to end.
    if os.getpid() == _owner:
        for process in list(_started):
            process.kill()


atexit.register(_kill_all)
