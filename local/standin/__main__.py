"""`python -m local.standin`: serve until interrupted."""

import argparse
import os
import signal
import threading
from collections.abc import Sequence

from local.standin.server import StandIn

DEFAULT_PORT = 8089


def describe() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one; what it took is printed")
    parser.add_argument("--models", help="names to serve, separated by commas; without it any of the usual families")
    parser.add_argument("--speed", type=float, default=1.0, help="divides the seconds that it thinks")
    parser.add_argument("--api-key", help="the one key to take; without it any key will do")
    parser.add_argument("--webhook-url", help="where to announce the end of each background run")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("STANDIN_WEBHOOK_SECRET"),
        help="whsec_... to sign with; or STANDIN_WEBHOOK_SECRET, which no process list shows",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = describe()
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        stand_in = StandIn(
            port=given.port,
            models=[name.strip() for name in given.models.split(",") if name.strip()] if given.models else None,
            speed=given.speed,
            api_key=given.api_key,
            webhook_url=given.webhook_url,
            webhook_secret=given.webhook_secret if given.webhook_url else None,
        )
    except (OSError, ValueError, OverflowError) as error:
        parser.error(str(error))
    with stand_in:
        print(f"stand-in model endpoint: {stand_in.base_url} (port {stand_in.port})", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
