"""`python -m tests.soak` (make soak): a thousand jobs on the deployed stack, with faults everywhere.

The model endpoint, its events, the queues, the webhook receiver and the functions' processes fail as `plan.py` and
`killer.py` say. The run then waits until the service is at rest and checks the laws. The exit code is 0 if all hold.
The service's own waits are real: a call without an answer or event ends at its job's deadline, and the lease of a
killed worker takes three minutes.
"""

import argparse
import sys
from functools import partial

from local.failure import LocalFailure
from local.signals import Stopped, stop_on_signal
from tests.soak.soak import Settings, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description="Many jobs, with faults everywhere.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600.0, help="time limit, from the first request")
    parser.add_argument("--seed", type=int, default=1, help="of the requests and of the faults")
    arguments = parser.parse_args()
    with stop_on_signal():
        try:
            return run(Settings(arguments.jobs, arguments.seconds, arguments.seed), partial(print, flush=True))
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
