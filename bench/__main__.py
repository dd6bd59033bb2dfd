"""`python -m bench`: prints how fast the functions start, what a job asks of AWS and costs, and how many jobs a second
one tenant's budget bears."""

import argparse
import platform
import sys
from time import monotonic

from bench import cold, contention, cost, job
from bench.report import bears, costs, requests, starts, steps
from local.stack import read_template


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="fresh processes a function (default: %(default)s)")
    options = parser.parse_args()
    began = monotonic()
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    show(starts(cold.measure(options.runs), machine))
    counted, measured = job.count()
    show(requests(counted))
    show(steps(measured))
    show(bears(contention.survey()))
    show(costs(counted, cost.load(), read_template()))
    print(f"{monotonic() - began:.0f} s", file=sys.stderr)


def show(lines: list[str]) -> None:
    print("\n".join(line.rstrip() for line in lines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
