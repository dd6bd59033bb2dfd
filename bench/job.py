"""Counts the AWS requests of a job, from its POST to its webhook."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bench import texts
from bench.driver import Driver, WakeMode, driver
from bench.fixture import on_day
from bench.meter import Tally

LARGE_BYTES = 40_000
_WAKE_MODES: tuple[WakeMode, ...] = ("checked", "direct", "woken")
EFFORTS: Mapping[int, str] = {1: "low", 60: "medium", 3600: "max"}
"""By the seconds that the model thinks."""

LONG_SECONDS = 3600
MAX_DIRECT_SECONDS = 840
"""A direct call must end before its function's timeout."""


@dataclass(frozen=True)
class Case:
    wake_mode: WakeMode
    thinking_seconds: int
    effort: str


def _direct(seconds: int) -> Case:
    return Case("direct", seconds, "low")


TYPICAL = Case("woken", 60, "medium")
"""The job whose cost is itemised."""

CASES = (
    *(Case("woken", seconds, effort) for seconds, effort in EFFORTS.items()),
    *(Case("checked", seconds, effort) for seconds, effort in EFFORTS.items()),
    *map(_direct, (1, 60, MAX_DIRECT_SECONDS)),
    # These think much longer than expected for their effort, so the service polls them.
    *(Case("woken", LONG_SECONDS, effort) for effort in ("high", "medium")),
)
QUICK_CASES = (
    *(Case("woken", seconds, effort) for seconds, effort in EFFORTS.items()),
    Case("checked", 60, "medium"),
    _direct(60),
)
"""One of each wake mode, and the woken ones by their thinking time."""


@dataclass(frozen=True)
class Jobs:
    """The AWS requests of jobs in a process that has run other jobs before.

    `random` is the typical job with a random question and answer, `large` has its question in S3, `read` is a GET of a
    finished job, `first` has the requests that a process makes once.
    """

    cases: Mapping[Case, Tally]
    random: Tally
    large: Tally
    read: Tally
    first: Tally
    item_bytes: Mapping[str, int]
    """The table items of a finished job, by kind."""
    large_item_bytes: Mapping[str, int]
    object_bytes: int
    """The bytes that the large job keeps in S3."""
    metrics: frozenset[tuple[str, ...]]
    """Name and dimensions of each metric that completed jobs of one model have written."""

    @property
    def typical(self) -> Tally:
        return self.cases[TYPICAL]


def measure(cases: Sequence[Case] = CASES) -> Jobs:
    """Once per process. The cases must include the typical one and the shortest woken one."""
    with driver(on_day(1)) as functions:
        tallies: dict[Case, Tally] = {}
        first = Tally()
        for wake_mode in _WAKE_MODES:
            functions.configure_events(enabled=wake_mode == "woken")
            first, _ = _run(functions, Case(wake_mode, 1, "low"))
            tallies |= {case: _run(functions, case)[0] for case in cases if case.wake_mode == wake_mode}
        # The following jobs use the last wake mode.
        tallies[TYPICAL], job_id = _run(functions, TYPICAL)
        question, answer = (texts.random_text(size) for size in (texts.QUESTION_BYTES, texts.ANSWER_BYTES))
        random, _ = _run(functions, TYPICAL, question, answer)
        large, large_id = _run(functions, TYPICAL, texts.random_text(LARGE_BYTES))
        return Jobs(
            cases={case: tallies[case] for case in cases},
            random=random,
            large=large,
            read=functions.read_job(job_id),
            first=first.plus(tallies[Case("woken", 1, "low")], -1),
            item_bytes=functions.item_sizes(job_id),
            large_item_bytes=functions.item_sizes(large_id),
            object_bytes=functions.object_bytes(large_id),
            metrics=metrics_in(functions.fixture.logs.getvalue()),
        )


def measure_typical(functions: Driver) -> Tally:
    functions.configure_events(enabled=True)
    # The first job has requests that a process makes once.
    _run(functions, TYPICAL)
    return _run(functions, TYPICAL)[0]


def metrics_in(logs: str) -> frozenset[tuple[str, ...]]:
    """The metrics in lines of CloudWatch's embedded metric format. Each name and set of dimensions is billed."""
    metrics = set()
    for line in logs.splitlines():
        fields = json.loads(line)
        for directive in fields.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in directive["Dimensions"]:
                dimensions = tuple(f"{name}={fields[name]}" for name in sorted(names))
                metrics |= {(metric["Name"], *dimensions) for metric in directive["Metrics"]}
    return frozenset(metrics)


def _run(functions: Driver, case: Case, question: str | None = None, answer: str | None = None) -> tuple[Tally, str]:
    # Each job starts a minute of its own, so that rate windows are not shared.
    clock = functions.fixture.clock
    clock.set(clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
    thinking = timedelta(seconds=case.thinking_seconds)
    return functions.run_job(
        case.wake_mode, thinking, case.effort, question or texts.question(), answer or texts.answer()
    )
