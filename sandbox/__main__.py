"""`python -m sandbox`: run the simulator until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from sandbox.folder_lock import FolderInUse
from sandbox.server import Options, Sandbox, SeedMismatch


def main() -> int:
    """Run the sandbox; 2 when it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(levelname)s %(message)s")
    arguments = vars(_parser().parse_args())
    dies_with_starter = arguments.pop("dies_with_starter")
    return uvloop.run(_serve(Options(**arguments), dies_with_starter=dies_with_starter))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A Stripe-compatible processor to pay against."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111, help="0 takes any free port")
    parser.add_argument("--data", type=Path, required=True, help="directory of its durable record")
    parser.add_argument("--seed", type=int, help="what ids and faults are drawn from")
    parser.add_argument("--public-url", help="how browsers reach it (for the 3-D Secure page)")
    parser.add_argument("--webhook-url", help="where every account's events are sent")
    parser.add_argument("--webhook-secret", help="what they are signed with; drawn if not given")
    parser.add_argument(
        "--dies-with-starter",
        action="store_true",
        help="end at once when standard input does, as it does when the starter was killed",
    )
    return parser


async def _serve(options: Options, *, dies_with_starter: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if dies_with_starter:
        loop.add_reader(sys.stdin.fileno(), _die_if_input_ended)
    try:
        sandbox = await Sandbox.start(options)
    except OSError as failure:
        return _refuse(f" on port {options.port}: {failure.strerror}")
    except (FolderInUse, SeedMismatch) as failure:
        return _refuse(f": {failure}")
    url = f"http://{options.host}:{sandbox.http.port}"
    sys.stdout.write(f"sandbox: ready on {url}, seed {sandbox.committer.seed.value}\n")
    sys.stdout.flush()
    await stop.wait()
    await sandbox.close()
    return 0


def _refuse(why: str) -> int:
    sys.stderr.write(f"sandbox: cannot start{why}\n")
    return 2


def _die_if_input_ended() -> None:
    # Nothing is drained: the port and the record are to be free for the next one, and an answer
    # leaves only after its commit.
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
