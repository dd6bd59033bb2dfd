"""`python -m bench.studies [name …]`: prints the studies whose results are in docs/decisions.md."""

import argparse
from collections.abc import Sequence

from bench import job
from bench.console import show
from bench.cost import load_prices
from bench.driver import driver
from bench.fixture import on_day
from bench.meter import Tally
from bench.studies import capacity, contention, load, steps

STUDIES = ("steps", "contention", "load")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.studies", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*STUDIES, []], metavar="name", help=", ".join(STUDIES))
    parser.add_argument("--history", type=int, default=steps.HISTORY, help="earlier jobs in the study of steps")
    options = parser.parse_args()
    names: Sequence[str] = options.names or STUDIES
    typical: Tally | None = None
    if "steps" in names or "load" in names:
        # One driver for both, since there can be only one in a process. It captures stdout.
        with driver(on_day(1)) as functions:
            typical = job.measure_typical(functions)
            measured_steps = steps.study(functions, options.history) if "steps" in names else None
        if measured_steps is not None:
            show(steps.report(measured_steps))
    if "contention" in names:
        show(contention.report(contention.study()))
    if "load" in names and typical is not None:
        show(rising_load(typical))


def rising_load(typical: Tally) -> list[str]:
    used = capacity.capacity_of(typical, load_prices())
    budget = contention.highest_sustained(contention.TYPICAL_LOCK_MS).offered_per_second
    many, one = (
        load.limits_reached(load.limits(used, tenants=tenants, budget_per_second=budget))
        for tenants in (load.MANY_TENANTS, 1)
    )
    return load.report(many, one, used)


if __name__ == "__main__":
    main()
