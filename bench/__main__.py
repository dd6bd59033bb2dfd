"""`python -m bench`: prints how fast the functions start, what a job asks of AWS and costs, and how many jobs a second
one tenant's budget bears."""

import argparse
import platform
import sys
from time import monotonic

from bench import cold, contention, cost, job
from bench.bill import Bill
from bench.report import bears, requests, starts, steps
from local.stack import read_template


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="fresh processes a function (default: %(default)s)")
    options = parser.parse_args()
    began = monotonic()
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    # First what is counted: it drives the functions in this process, which must not have been used for anything else.
    counted, measured = job.count()
    show(requests(counted))
    show(steps(measured))
    bill = Bill(counted, cost.load(), read_template())
    for part in (bill.thinking, bill.milliseconds, bill.calls, bill.services):
        show(part())
    show(bears(contention.survey()))
    show(starts(cold.measure(options.runs), machine))
    print(f"{monotonic() - began:.0f} s", file=sys.stderr)


def show(lines: list[str]) -> None:
    print("\n".join(line.rstrip() for line in lines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
