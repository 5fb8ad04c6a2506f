"""Command line of the development broker: `python -m tools.devbroker`.

Prints a line `ready URL [TLS-URL]` for each instance once all listen, and again after each restart; before that
`control HOST:PORT` and `proxy URL` where these were asked for. SIGHUP restarts it (all links dropped, messages kept),
SIGTERM and SIGINT end it.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.devbroker import administration, control
from tools.devbroker.cluster import DevCluster
from tools.devbroker.control import ControlPort
from tools.devbroker.faults import KINDS, Fault, FaultError, make, option_text
from tools.devbroker.placement import LookupMode
from tools.devbroker.proxy import DevProxy
from tools.devbroker.server import DEFAULT_MAX_MESSAGE_SIZE
from tools.tokens import KEY_BYTES

NOTICE = "Pulsar development broker: for development only, everything is in memory and lost when it ends."
_FAULT_HELP = """faults (--fault, and `fault` on the control port): NAME OPTION=VALUE ..., with these options and
  on=COMMAND topic=NAME link=NUMBER after=OCCASIONS times=OCCASIONS lasting=SECONDS

"""


def _fault_help() -> Iterator[str]:
    """A few lines for every kind: its name, its options with their defaults, what it does."""
    common = {field.name for field in dataclasses.fields(Fault)}
    for name, kind in sorted(KINDS.items()):
        own = [field for field in dataclasses.fields(kind) if field.name not in common or field.name in kind.NEEDS]
        words = [
            f"{field.name}=..." if field.default is None else f"{field.name}={option_text(field.default)}"
            for field in own
        ]
        yield " ".join([f"  {name}", *words])
        yield from (f"      {line.strip()}" for line in (kind.__doc__ or "").strip().splitlines() if line.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.devbroker",
        description=NOTICE,
        epilog=_FAULT_HELP + "\n".join(_fault_help()) + "\n\n" + (control.__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=6650, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--advertised-url", metavar="URL", help="what lookups answer (default: host and port)")
    parser.add_argument(
        "--listener", action="append", default=[], metavar="NAME=URL", help="what lookups for that listener answer"
    )
    parser.add_argument("--token-key-file", type=Path, metavar="FILE", help="raw HS256 key; clients need a token")
    parser.add_argument(
        "--token-refresh-seconds", type=float, metavar="S", help="ask for a fresh token when one has expired"
    )
    parser.add_argument("--keep-alive-seconds", type=float, default=30, metavar="S", help="default %(default)s")
    parser.add_argument("--max-message-size", type=int, default=DEFAULT_MAX_MESSAGE_SIZE, metavar="BYTES")
    parser.add_argument("--down-seconds", type=float, default=0, metavar="S", help="how long SIGHUP keeps it away")
    parser.add_argument("--tls", type=Path, metavar="FILE", help="speak TLS too; its authority is written there, PEM")
    parser.add_argument("--tls-port", type=int, default=6651, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--tls-name", action="append", default=[], metavar="NAME", help="certified host or address")
    parser.add_argument("--tls-only", action="store_true", help="no plain listener")
    parser.add_argument("--instances", type=int, default=1, metavar="N", help="on that many ports in a row")
    modes = [mode.value for mode in LookupMode]
    parser.add_argument("--lookup", choices=modes, default="connect", help="how several instances answer")
    parser.add_argument("--session-seconds", type=float, default=0, metavar="S", help="how long a killed one is named")
    parser.add_argument("--proxy-port", type=int, metavar="PORT", help="run a proxy too; 0 takes a free port")
    parser.add_argument("--control-port", type=int, metavar="PORT", help="take commands; 0 takes a free port")
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC", help="at each instance, from the start")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="-v: links; -vv: every command")
    administration.add_arguments(parser)
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with a message when it is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.token_key = None
    if options.token_key_file:
        try:
            options.token_key = options.token_key_file.read_bytes()
        except OSError as error:
            parser.error(f"cannot read the token key: {error}")
        if len(options.token_key) < KEY_BYTES:
            parser.error(f"{options.token_key_file} holds no HS256 key: it needs {KEY_BYTES} raw bytes or more")
    if options.token_refresh_seconds is not None and not options.token_key:
        parser.error("--token-refresh-seconds is of no use without --token-key-file")
    if options.tls_only and not options.tls:
        parser.error("--tls-only needs --tls")
    if options.tls_only and options.proxy_port is not None:
        parser.error("a proxy reaches brokers by their plain listeners: no --tls-only with --proxy-port")
    if options.instances < 1:
        parser.error("--instances needs at least 1")
    if options.instances > 1 and options.advertised_url:
        parser.error("several instances cannot all advertise the same URL")
    if not all("=" in listener for listener in options.listener):
        parser.error("--listener needs NAME=URL")
    try:
        for fault in options.fault:
            make(fault)
    except FaultError as error:
        parser.error(str(error))
    return options


def _cluster(options: argparse.Namespace) -> DevCluster:
    tls = None
    if options.tls:
        # Only here: a broker without TLS runs without trustme.
        from tools.devbroker.tls import DevTls

        tls = DevTls(*options.tls_name)
        tls.write_authority(options.tls)
    settings: dict[str, Any] = {}
    if options.instances == 1:
        settings["proxy_through_service_url"] = True
    return DevCluster(
        options.instances,
        options.host,
        options.port,
        tls_port=options.tls_port,
        lookup=options.lookup,
        session_seconds=options.session_seconds,
        token_key=options.token_key,
        authentication_refresh_seconds=options.token_refresh_seconds,
        keep_alive_seconds=options.keep_alive_seconds,
        max_message_size=options.max_message_size,
        advertised_url=options.advertised_url,
        advertised_listeners=dict(listener.split("=", 1) for listener in options.listener),
        tls=tls,
        plain=not options.tls_only,
        faults=options.fault,
        **administration.settings(options),
        **settings,
    )


def _tell_ready(cluster: DevCluster) -> None:
    for broker in cluster.brokers:
        print("ready", *dict.fromkeys(url for url in (broker.url, broker.tls_url) if url), flush=True)


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when a port is taken, or a file cannot be written."""
    cluster = _cluster(options)
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    print(NOTICE, file=sys.stderr, flush=True)
    async with contextlib.AsyncExitStack() as running:
        await running.enter_async_context(cluster)
        if options.control_port is not None:
            port = await running.enter_async_context(ControlPort(cluster, port=options.control_port))
            print(f"control {port.host}:{port.port}", flush=True)
        if options.proxy_port is not None:
            proxy = DevProxy(cluster.brokers, options.host, options.proxy_port)
            print(f"proxy {(await running.enter_async_context(proxy)).url}", flush=True)
        _tell_ready(cluster)
        while await signals.get() == signal.SIGHUP:
            await cluster.restart(options.down_seconds)
            _tell_ready(cluster)


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
