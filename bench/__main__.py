"""`python -m bench`: prints what a job asks of AWS and costs, what breaks under load, how fast the functions start."""

import argparse
import platform
import sys
from time import monotonic

from bench import cold, cost, job, thinking
from bench.bill import Bill
from bench.report import bears, requests, rises, starts, steps, thinks
from bench.studies import capacity, contention, load
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
    prices, template = cost.load(), read_template()
    bill = Bill(counted, prices, template)
    for part in (bill.thinking, bill.milliseconds, bill.calls, bill.services):
        show(part())
    show(thinks([thinking.watch(events=True), thinking.watch(thinking.FEW_JOBS, events=False)]))
    borne = contention.survey()
    show(bears(borne))
    asked = capacity.of(counted.usual, prices, template)
    budget = borne.most[borne.locked_ms].offered_per_second
    many, one = (
        load.limits_met(load.stack(asked, template, tenants=tenants, budget_per_second=budget))
        for tenants in (load.MANY_TENANTS, 1)
    )
    show(rises(many, one, asked))
    show(starts(cold.measure(options.runs), machine))
    print(f"{monotonic() - began:.0f} s", file=sys.stderr)


def show(lines: list[str]) -> None:
    print("\n".join(line.rstrip() for line in lines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
