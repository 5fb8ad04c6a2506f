"""Starts a real Pulsar broker and keeps it up until Ctrl-C: `python -m tools.realbroker --help`."""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import types
from pathlib import Path

from tools.realbroker.jars import PROJECT, FetchError, MissingTool
from tools.realbroker.processes import ProcessFailed
from tools.realbroker.standalone import ADMIN_ROLE, SHORTEST_TOKEN_KEY, TOKEN_KEY_NAME, InUse, Standalone

_THROWAWAY_DIRECTORIES = PROJECT / "build" / "realbroker"


def main(arguments: list[str] | None = None) -> int:
    """Run one broker until it is told to end; return the exit status."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    directory = Path(options.directory) if options.directory else _throwaway_directory()
    # Of a broker that failed, the directory holds the log that tells why.
    throw_away = not options.directory
    try:
        status = _run(options, directory)
        print(f"the broker ended by itself (exit status {status}); see {directory}", file=sys.stderr)
        throw_away = False
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 0
    except ProcessFailed as error:
        print(error, file=sys.stderr)
        throw_away = False
        return 1
    except (MissingTool, FetchError, InUse, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if throw_away:
            shutil.rmtree(directory)


def _run(options: argparse.Namespace, directory: Path) -> int:
    """Run a broker until it ends by itself, and return its exit status; KeyboardInterrupt stops it."""
    broker = Standalone(
        directory,
        token_key=_token_key(directory) if options.token else None,
        memory=not options.directory,
        port=options.port,
        web_port=options.web_port,
    )
    print("starting a real Pulsar broker …", file=sys.stderr, flush=True)
    started = time.monotonic()
    with broker:
        _describe(broker, time.monotonic() - started)
        return broker.process.wait()


def _throwaway_directory() -> Path:
    """Make a directory for this run alone; it is kept only when the broker fails, for the sake of its log."""
    _THROWAWAY_DIRECTORIES.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=_THROWAWAY_DIRECTORIES))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.realbroker",
        description="Run a real Apache Pulsar broker on 127.0.0.1 until Ctrl-C. Needs Java 17 or later, and "
        "Maven the first time, to fetch the broker's jars into build/pulsar-jars.",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="port of the binary protocol (default: a free one)"
    )
    parser.add_argument(
        "--web-port", type=int, metavar="N", help="port of the REST interface (default: a free one)"
    )
    parser.add_argument(
        "--token", action="store_true", help="let in only clients that show a token, and print one"
    )
    parser.add_argument(
        "--directory",
        metavar="DIR",
        help="keep topics and messages in DIR for the next start (default: begin empty)",
    )
    return parser


def _token_key(directory: Path) -> bytes:
    """Return the directory's token key, made at the first time, so that tokens serve over restarts."""
    path = directory / TOKEN_KEY_NAME
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SHORTEST_TOKEN_KEY))
    return path.read_bytes()


def _describe(broker: Standalone, seconds: float) -> None:
    print(
        f"ready in {seconds:.1f} s, {broker.process.resident_megabytes()} MB; log: {broker.process.log_path}"
    )
    print(f"service URL  {broker.url}")
    print(f"web URL      {broker.web}")
    if broker.admin_token is not None:
        print(f"token        {broker.admin_token}")
        print(f"  (role {ADMIN_ROLE}, which may do everything; it does not expire)")
        print("to use it from a shell:")
        print(f"  export PULSAR_TOKEN={broker.admin_token}")
        print(f'  curl -H "Authorization: Bearer $PULSAR_TOKEN" {broker.web}/admin/v2/brokers/health')
        print(f"the key, to mint tokens for other roles: {broker.directory / TOKEN_KEY_NAME}")
    print("Ctrl-C stops it", flush=True)


def _end(_number: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
