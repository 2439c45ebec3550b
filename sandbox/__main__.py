"""`python -m sandbox`: run the simulator until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from sandbox.server import Options, Sandbox, SeedMismatch


def main() -> int:
    """Run the sandbox; 2 when it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(levelname)s %(message)s")
    return uvloop.run(_serve(_options(sys.argv[1:])))


def _options(arguments: list[str]) -> Options:
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
    return Options(**vars(parser.parse_args(arguments)))


async def _serve(options: Options) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        sandbox = await Sandbox.start(options)
    except (OSError, SeedMismatch) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        sys.stderr.write(f"sandbox: cannot start on port {options.port}: {reason}\n")
        return 2
    url = f"http://{options.host}:{sandbox.http.port}"
    sys.stdout.write(f"sandbox: ready on {url}, seed {sandbox.committer.seed.value}\n")
    sys.stdout.flush()
    await stop.wait()
    await sandbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
