"""`python -m local.standin`: serve the stand-in until SIGINT or SIGTERM."""

import argparse
import os
import signal
import threading
from collections.abc import Sequence

from local.standin.server import StandIn

DEFAULT_PORT = 8089


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0 chooses a free one")
    parser.add_argument("--models", help="comma-separated model names; default: any name of OpenAI's families and qwen")
    parser.add_argument("--speed", type=float, default=1.0, help="divides the thinking time")
    parser.add_argument("--api-key", help="the only key to accept; default: any key")
    parser.add_argument("--webhook-url", help="receives an event when a background run ends")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("STANDIN_WEBHOOK_SECRET"),
        help="whsec_... to sign the events with; default: STANDIN_WEBHOOK_SECRET, which no process list shows",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        stand_in = StandIn(
            port=options.port,
            models=[name.strip() for name in options.models.split(",") if name.strip()] if options.models else None,
            speed=options.speed,
            api_key=options.api_key,
            webhook_url=options.webhook_url,
            webhook_secret=options.webhook_secret if options.webhook_url else None,
        )
    except (OSError, ValueError, OverflowError) as error:
        parser.error(str(error))
    with stand_in:
        print(f"Stand-in model endpoint: {stand_in.base_url} (port {stand_in.port})", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
