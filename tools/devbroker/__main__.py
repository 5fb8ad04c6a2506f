"""Command line of the development broker: `python -m tools.devbroker`.

Prints `ready pulsar://HOST:PORT` once it listens, and again after each restart. SIGHUP restarts it (all links dropped,
messages kept), SIGTERM and SIGINT end it.
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from tools.devbroker.administration import add_arguments, settings
from tools.devbroker.server import DEFAULT_MAX_MESSAGE_SIZE, DevBroker
from tools.tokens import KEY_BYTES

NOTICE = "Pulsar development broker: for development only, everything is in memory and lost when it ends."


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with a message when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.devbroker", description=NOTICE)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=6650, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--advertised-url", metavar="URL", help="what lookups answer (default: host and port)")
    parser.add_argument("--token-key-file", type=Path, metavar="FILE", help="raw HS256 key; clients need a token")
    parser.add_argument("--keep-alive-seconds", type=float, default=30, metavar="S", help="default %(default)s")
    parser.add_argument("--max-message-size", type=int, default=DEFAULT_MAX_MESSAGE_SIZE, metavar="BYTES")
    parser.add_argument("--down-seconds", type=float, default=0, metavar="S", help="how long SIGHUP keeps it away")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="-v: links; -vv: every command")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    options.token_key = None
    if options.token_key_file:
        try:
            options.token_key = options.token_key_file.read_bytes()
        except OSError as error:
            parser.error(f"cannot read the token key: {error}")
        if len(options.token_key) < KEY_BYTES:
            parser.error(f"{options.token_key_file} holds no HS256 key: it needs {KEY_BYTES} raw bytes or more")
    return options


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    broker = DevBroker(
        options.host,
        options.port,
        token_key=options.token_key,
        keep_alive_seconds=options.keep_alive_seconds,
        max_message_size=options.max_message_size,
        advertised_url=options.advertised_url,
        **settings(options),
    )
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    print(NOTICE, file=sys.stderr, flush=True)
    async with broker:
        print(f"ready {broker.url}", flush=True)
        while await signals.get() == signal.SIGHUP:
            await broker.restart(options.down_seconds)
            print(f"ready {broker.url}", flush=True)


def main() -> int:
    """Entry point; the exit status."""
    options = parse_arguments()
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(run(options))
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
