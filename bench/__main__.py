"""`python -m bench`: prints what a job requests from AWS and costs, and how fast the functions start."""

import argparse
import platform
import sys
from time import monotonic

from bench import cold_starts, job, report
from bench.bill import Bill
from bench.console import show
from bench.cost import load_prices

_QUICK_FUNCTIONS = ("notifier",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="fresh processes for each function (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer jobs, and the cold start of one function")
    options = parser.parse_args()
    start = monotonic()
    # First, because the jobs run the functions in this process, which must not have been used before.
    jobs = job.measure(job.QUICK_CASES if options.quick else job.CASES)
    show(report.requests(jobs))
    bill = Bill(jobs, load_prices())
    for section in (bill.by_wake_mode, bill.milliseconds, bill.calls, bill.services):
        show(section())
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if options.quick:
        measured = cold_starts.measure(1, _QUICK_FUNCTIONS)
    else:
        measured = cold_starts.measure(options.runs)
    show(report.cold_starts(measured, machine))
    print(f"{monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
