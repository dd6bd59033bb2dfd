"""`python -m tests.sweep`: every journey with every fault at every call, then several faults at once, then with one
safeguard taken out; and what came of it. Ends with 1 where a law was broken, or a missing safeguard was not noticed."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import monotonic

from tests.sweep.journeys import JOURNEYS, Journey
from tests.sweep.safeguards import SAFEGUARDS, Safeguard, missed
from tests.sweep.sampling import SampleOf, sample
from tests.sweep.sweep import SweepReport, sweep


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    parser.add_argument("--sampled", type=int, default=4000, help="runs with two and with three faults (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of these (%(default)s)")
    parser.add_argument("--only", default="", help="journeys with this in their names")
    options = parser.parse_args()
    journeys = [journey for journey in JOURNEYS if options.only in journey.name]
    began, processes = monotonic(), os.cpu_count() or 1
    with ProcessPoolExecutor(processes) as pool:
        names = [journey.name for journey in journeys]
        sweeps = show_sweeps(journeys, pool.map(_sweep, names))
        share = options.sampled // processes
        tasks = [SampleOf(faults, share, options.seed + part) for faults in (2, 3) for part in range(processes)]
        samples = show_samples(tasks, pool.map(partial(_sample, names), tasks))
        found = show_safeguards(pool.map(missed, SAFEGUARDS))
    breaches = [breach for swept in (*sweeps, *samples) for breach in swept.breaches]
    for where, laws in breaches[:20]:
        print(f"\n{where}\n  " + "\n  ".join(laws))
    print(f"\n{monotonic() - began:.0f} s on {processes} processors")
    sys.exit(1 if breaches or not found else 0)


def _sweep(name: str) -> SweepReport:
    # A journey cannot be sent to another process, which has it already.
    return sweep(_named(name))


def _sample(names: Sequence[str], of: SampleOf) -> SweepReport:
    return sample([_named(name) for name in names], of)


def _named(name: str) -> Journey:
    return next(journey for journey in JOURNEYS if journey.name == name)


def show_sweeps(journeys: Sequence[Journey], sweeps: Iterable[SweepReport]) -> list[SweepReport]:
    wide = max(len(journey.name) for journey in journeys)
    print(f"{'journey':{wide}}  calls  faults   runs  broken  how the jobs ended")
    done = []
    for swept in sweeps:
        done.append(swept)
        print(_row(swept.journey, wide, swept.calls, len(swept.faults), swept.runs, len(swept.breaches), swept.ends))
    faults, ends = sum((each.faults for each in done), Counter()), sum((each.ends for each in done), Counter())
    calls, breaches = sum(each.calls for each in done), sum(len(each.breaches) for each in done)
    print(_row(f"{len(done)} journeys", wide, calls, len(faults), faults.total(), breaches, ends))
    print("\nruns by fault: " + ", ".join(f"{count} {fault.value}" for fault, count in faults.most_common()))
    return done


def _row(name: str, wide: int, calls: int, faults: int, runs: int, broken: int, ends: Counter[str]) -> str:
    ended = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    return f"{name:{wide}}  {calls:5}  {faults:6}  {runs:5}  {broken:6}  {ended}"


def show_samples(tasks: Sequence[SampleOf], samples: Iterable[SweepReport]) -> list[SweepReport]:
    done = list(samples)
    for faults in sorted({task.faults for task in tasks}):
        of_these = [swept for task, swept in zip(tasks, done, strict=True) if task.faults == faults]
        runs, broken = sum(task.runs for task in tasks if task.faults == faults), sum(len(s.breaches) for s in of_these)
        print(f"{faults} faults in a life: {runs} runs, {broken} broken")
    return done


def show_safeguards(found: Iterable[tuple[Safeguard, int, int, Counter[str]]]) -> bool:
    noticed = True
    for safeguard, runs, breaches, laws in found:
        told = ", ".join(f"{law} ({count})" for law, count in laws.most_common(3))
        print(f"without {safeguard.name}: {breaches} of {runs} runs broken: {told or 'NOTHING WAS NOTICED'}")
        noticed = noticed and bool(breaches)
    return noticed


if __name__ == "__main__":
    main()
