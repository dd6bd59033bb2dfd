"""Eventually consistent reads cost half. Their result is used only where it cannot change any more."""

import zlib
from dataclasses import dataclass, field
from typing import Any

from afterthought.adapters.dynamodb import Item, to_item
from afterthought.adapters.job_table import JobLookupTable, state_item
from afterthought.adapters.payloads import Payloads
from afterthought.domain.jobs.job import Job
from tests.simulator.clock import START
from tests.simulator.examples import a_job


@dataclass
class StaleTable:
    """DynamoDB's client for one item: a consistent read returns `stored`, any other the older `stale` version."""

    stored: Item | None
    stale: Item | None = None
    reads: list[bool] = field(default_factory=list)

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: N803
        self.reads.append(ConsistentRead)
        item = self.stored if ConsistentRead else self.stale
        return {} if item is None else {"Item": item}


def contents(table: StaleTable) -> Payloads:
    return Payloads(table, lambda: None, "jobs", "payloads")  # type: ignore[arg-type, return-value]


CONTENT = to_item({"pk": "JOB#1", "sk": "INPUT#1", "content": zlib.compress(b"a request")})


def test_stored_content_needs_one_cheap_read() -> None:
    table = StaleTable(CONTENT, stale=CONTENT)
    assert contents(table).get("1", "INPUT#1") == b"a request"
    assert table.reads == [False]


def test_new_content_is_read_consistently() -> None:
    table = StaleTable(CONTENT)
    assert contents(table).get("1", "INPUT#1") == b"a request"
    assert table.reads == [False, True]


def test_missing_content_needs_a_consistent_read() -> None:
    table = StaleTable(None)
    assert contents(table).get("1", "INPUT#1") is None
    assert table.reads == [False, True]


def jobs(table: StaleTable, *, terminal_only: bool) -> JobLookupTable:
    return JobLookupTable(table, "jobs", terminal_only=terminal_only)  # type: ignore[arg-type]


def ended(job: Job) -> Job:
    return job.fail("server_error", "no", now=START)


def test_stale_read_is_enough_for_an_ended_job() -> None:
    created, end = a_job(), ended(a_job())
    for stale in (None, created):
        table = StaleTable(state_item(end), stale=None if stale is None else state_item(stale))
        assert jobs(table, terminal_only=True).get(end.id) == end
        assert table.reads == [False, True]
    table = StaleTable(state_item(end), stale=state_item(end))
    assert jobs(table, terminal_only=True).get(end.id) == end
    assert table.reads == [False]


def test_worker_reads_jobs_consistently() -> None:
    created, end = a_job(), ended(a_job())
    table = StaleTable(state_item(end), stale=state_item(created))
    assert jobs(table, terminal_only=False).get(end.id) == end
    assert table.reads == [True]
