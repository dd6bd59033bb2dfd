"""`python -m tests.soak` (make soak): a thousand jobs on the deployed stack, with faults everywhere, and what came of
it.

Each function runs in processes of its own; the model endpoint, its events, the queues, the webhooks' receiver and the
functions' processes fail as `plan.py` and `killer.py` say. Then it waits until all is quiet, and checks the laws. Ends
0 if all hold. The service's own waits are the real ones: what nobody told of ends with its job's deadline, and a killed
worker's lease takes three minutes.
"""

import argparse
import sys
from functools import partial

from local.failure import LocalFailure
from local.signals import Stopped, stop_on_signal
from tests.soak.soak import Terms, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description="Many jobs, with faults everywhere.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="the most that it may take, from the first request"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is asked, and of what goes wrong")
    given = parser.parse_args()
    with stop_on_signal():
        try:
            return run(Terms(given.jobs, given.seconds, given.seed), partial(print, flush=True))
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
