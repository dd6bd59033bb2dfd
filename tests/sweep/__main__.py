"""`python -m tests.sweep`: every journey with every fault at every call, then with several faults, then without each
safeguard. Prints a report. Exits with 1 if a law was broken, or a missing safeguard was not detected."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import monotonic

from tests.sweep.journeys import JOURNEYS, Journey
from tests.sweep.safeguards import SAFEGUARDS, Safeguard, sweep_without
from tests.sweep.sampling import Sample, run_sample
from tests.sweep.sweep import FaultReport, sweep


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    parser.add_argument("--sampled", type=int, default=4000, help="runs with two and with three faults (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of these runs (%(default)s)")
    parser.add_argument("--only", default="", help="only journeys whose names contain this")
    options = parser.parse_args()
    journeys = [journey for journey in JOURNEYS if options.only in journey.name]
    started, processes = monotonic(), os.cpu_count() or 1
    with ProcessPoolExecutor(processes) as pool:
        names = [journey.name for journey in journeys]
        sweeps = show_sweeps(journeys, pool.map(_sweep, names))
        share = options.sampled // processes
        tasks = [Sample(faults, share, options.seed + part) for faults in (2, 3) for part in range(processes)]
        samples = show_samples(tasks, pool.map(partial(_run_sample, names), tasks))
        all_detected = show_safeguards(pool.map(sweep_without, SAFEGUARDS))
    breaches = [breach for report in (*sweeps, *samples) for breach in report.breaches]
    for run, laws in breaches[:20]:
        print(f"\n{run}\n  " + "\n  ".join(laws))
    print(f"\n{monotonic() - started:.0f} s on {processes} processors")
    sys.exit(1 if breaches or not all_detected else 0)


def _sweep(name: str) -> FaultReport:
    # A journey cannot be pickled; its name can.
    return sweep(_journey(name))


def _run_sample(names: Sequence[str], sample: Sample) -> FaultReport:
    return run_sample([_journey(name) for name in names], sample)


def _journey(name: str) -> Journey:
    return next(journey for journey in JOURNEYS if journey.name == name)


def show_sweeps(journeys: Sequence[Journey], results: Iterable[FaultReport]) -> list[FaultReport]:
    width = max(len(journey.name) for journey in journeys)
    print(f"{'journey':{width}}  calls  faults   runs  broken  how the jobs ended")
    reports = []
    for report in results:
        reports.append(report)
        print(_row(report.name, width, report.calls, len(report.faults), report.runs, report.breaches, report.ends))
    faults, ends = sum((each.faults for each in reports), Counter()), sum((each.ends for each in reports), Counter())
    calls, breaches = sum(each.calls for each in reports), [breach for each in reports for breach in each.breaches]
    print(_row(f"{len(reports)} journeys", width, calls, len(faults), faults.total(), breaches, ends))
    print("\nruns by fault: " + ", ".join(f"{count} {fault.value}" for fault, count in faults.most_common()))
    return reports


def _row(
    name: str, width: int, calls: int, faults: int, runs: int, breaches: Sequence[object], ends: Counter[str]
) -> str:
    counts = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    return f"{name:{width}}  {calls:5}  {faults:6}  {runs:5}  {len(breaches):6}  {counts}"


def show_samples(tasks: Sequence[Sample], results: Iterable[FaultReport]) -> list[FaultReport]:
    reports = list(results)
    for faults in sorted({task.faults for task in tasks}):
        selected = [report for task, report in zip(tasks, reports, strict=True) if task.faults == faults]
        runs = sum(task.runs for task in tasks if task.faults == faults)
        print(f"{faults} faults in a run: {runs} runs, {sum(len(each.breaches) for each in selected)} broken")
    return reports


def show_safeguards(results: Iterable[tuple[Safeguard, int, int, Counter[str]]]) -> bool:
    """Whether every missing safeguard was detected."""
    all_detected = True
    for safeguard, runs, broken, laws in results:
        examples = ", ".join(f"{law} ({count})" for law, count in laws.most_common(3))
        print(f"without {safeguard.name}: {broken} of {runs} runs broken: {examples or 'NOT DETECTED'}")
        all_detected = all_detected and bool(broken)
    return all_detected


if __name__ == "__main__":
    main()
