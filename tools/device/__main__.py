"""The emulated board from the command line.

    python -m tools.device build                                  fetch what is missing, build the firmware
    python -m tools.device run PROGRAM [--port N ...]             run a program on it; what it prints comes as it ends

A program finds this machine's ports N at 10.0.0.1 once it has brought the network up:
`import emulated_network; emulated_network.connect()`.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.device import firmware
from tools.device.board import Board, BoardError
from tools.private_apt import Unavailable


def say(text: str) -> None:
    """Show progress at once, in a pipe too."""
    print(f"device: {text}", file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.device", description="An emulated RP2040 with this package.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="fetch what is missing into build/device/, build the firmware")
    run = commands.add_parser("run", help="run a program on the board")
    run.add_argument("program", type=Path, help="a MicroPython source file")
    run.add_argument("--port", type=int, nargs="*", default=[], help="of this machine, to be reached at 10.0.0.1")
    run.add_argument("--seconds", type=float, default=600, help="that it may take (default %(default)s)")
    options = parser.parse_args(words)
    try:
        image = firmware.build(say)
        if options.command == "build":
            say(f"the firmware is {image}")
            return 0
        with Board(image, {port: port for port in options.port}) as board:
            print(board.run(options.program.read_text(), seconds=options.seconds), end="")
    except (Unavailable, firmware.BuildFailed, BoardError, OSError) as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
