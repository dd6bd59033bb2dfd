"""What one job asks of AWS, from its request to its webhook."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bench import texts
from bench.driver import Driver, WakeMode, driving
from bench.fixture import at
from bench.meter import Tally
from bench.studies import steps
from bench.studies.steps import Steps

LARGE_BYTES = 40_000
_WAKE_MODES: tuple[WakeMode, ...] = ("checked", "direct", "woken")
EFFORTS: Mapping[int, str] = {1: "low", 60: "medium", 3600: "max"}
"""By how many seconds the model thinks."""

LONG_SECONDS = 3600
LONGEST_DIRECT_SECONDS = 840
"""What is awaited must end before its function does."""


@dataclass(frozen=True)
class Case:
    wake_mode: WakeMode
    thinking_seconds: int
    effort: str


CASES = (
    *(Case("woken", seconds, effort) for seconds, effort in EFFORTS.items()),
    *(Case("checked", seconds, effort) for seconds, effort in EFFORTS.items()),
    *(Case("direct", seconds, "low") for seconds in (1, 60, LONGEST_DIRECT_SECONDS)),
)
USUAL = Case("woken", 60, "medium")
"""The job whose cost is shown call by call."""

HASTY = tuple(Case("woken", LONG_SECONDS, effort) for effort in ("high", "medium"))
"""Jobs that think far longer than their effort lets expect: the nets look at them."""


@dataclass(frozen=True)
class Jobs:
    """What jobs ask of AWS, in a process that has served others before.

    `random` is a usual one whose question and answer are random letters; `large` is one whose question goes to S3;
    `read` is one GET of a finished job; `first` is what a process asks once and keeps.
    """

    cases: Mapping[Case, Tally]
    random: Tally
    large: Tally
    read: Tally
    first: Tally
    item_bytes: Mapping[str, int]
    """What a finished small job leaves in the table, by the kind of item."""
    large_item_bytes: Mapping[str, int]
    object_bytes: int
    """What a large one leaves in the bucket."""
    metrics: frozenset[tuple[str, ...]]
    """Name and dimensions of each metric that jobs of one model, all completed, have written."""

    @property
    def usual(self) -> Tally:
        return self.cases[USUAL]


def count() -> tuple[Jobs, Steps]:
    """Drives some jobs to their webhooks and many to their settlements; takes some seconds."""
    with driving(at(day=1)) as driver:
        cases: dict[Case, Tally] = {}
        warming = Tally()
        for wake_mode in _WAKE_MODES:
            driver.announce(events=wake_mode == "woken")
            warming, _ = _run(driver, Case(wake_mode, 1, "low"))
            for case in (*CASES, *HASTY):
                if case.wake_mode == wake_mode:
                    cases[case], job_id = _run(driver, case)
        # The last of them were woken, as the usual one is.
        usual, job_id = _run(driver, USUAL)
        cases[USUAL] = usual
        random, _ = _run(driver, USUAL, texts.random_text(texts.QUESTION_BYTES), texts.random_text(texts.ANSWER_BYTES))
        large, large_id = _run(driver, USUAL, texts.random_text(LARGE_BYTES))
        jobs = Jobs(
            cases=cases,
            random=random,
            large=large,
            read=driver.read(job_id),
            first=warming.plus(cases[Case("woken", 1, "low")], -1),
            item_bytes=driver.left(job_id),
            large_item_bytes=driver.left(large_id),
            object_bytes=driver.left_in_bucket(large_id),
            metrics=metrics_in(driver.stage.logs.getvalue()),
        )
        driver.announce(events=False)
        return jobs, steps.measure(driver)


def _run(driver: Driver, case: Case, question: str | None = None, answer: str | None = None) -> tuple[Tally, str]:
    # Each at the beginning of a minute, which is all its own.
    driver.stage.calendar.set(driver.stage.calendar.next_hour())
    thinking = timedelta(seconds=case.thinking_seconds)
    return driver.run(case.wake_mode, thinking, case.effort, question or texts.question(), answer or texts.answer())


def metrics_in(logs: str) -> frozenset[tuple[str, ...]]:
    """Of the lines in CloudWatch's embedded metric format: each name and set of dimensions is paid for."""
    found = set()
    for line in logs.splitlines():
        held = json.loads(line)
        for told in held.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in told["Dimensions"]:
                dimensions = tuple(f"{name}={held[name]}" for name in sorted(names))
                found |= {(metric["Name"], *dimensions) for metric in told["Metrics"]}
    return frozenset(found)
