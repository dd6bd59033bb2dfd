"""What one job asks of AWS, from its request to its webhook."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bench import steps
from bench.driver import at, driving
from bench.meter import Tally
from bench.steps import Steps

_LARGE_BYTES = 40_000


@dataclass(frozen=True)
class Jobs:
    """What jobs that take more than a minute ask of AWS, in a process that has served others before.

    `small` is looked at once; `look` is one look more; `large` is a small one whose question is so many bytes that it
    goes to S3; `read` is one GET of a finished job; `first` is what a process asks once and keeps.
    """

    small: Tally
    look: Tally
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


def count() -> tuple[Jobs, Steps]:
    """Drives some jobs to their webhooks and many to their settlements; takes some seconds, of which some are the jobs'
    own delays."""
    with driving(at(day=1)) as (driver, standin, logs):
        warming, _ = driver.run("What is 17 times 23?")
        small, job_id = driver.run("What is 17 times 23?")
        standin.script("slow_run", seconds=1.5)
        slow, _ = driver.run("What is 17 times 23?")
        large, large_id = driver.run(secrets.token_urlsafe(_LARGE_BYTES))
        jobs = Jobs(
            small=small,
            look=slow.plus(small, -1),
            large=large,
            read=driver.read(job_id),
            first=warming.plus(small, -1),
            item_bytes=driver.left(job_id),
            large_item_bytes=driver.left(large_id),
            object_bytes=driver.left_in_bucket(large_id),
            metrics=metrics_in(logs.getvalue()),
        )
        return jobs, steps.measure(driver)


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
