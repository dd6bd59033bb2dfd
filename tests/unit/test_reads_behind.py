"""Where a read that may be behind is taken, at half the price: it is believed only in what cannot change any more."""

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
class BehindTable:
    """DynamoDB's client for one item: a plain read sees what stood `before`, a consistent one what stands."""

    stands: Item | None
    before: Item | None = None
    reads: list[bool] = field(default_factory=list)

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: N803
        self.reads.append(ConsistentRead)
        found = self.stands if ConsistentRead else self.before
        return {} if found is None else {"Item": found}


def contents(table: BehindTable) -> Payloads:
    return Payloads(table, lambda: None, "jobs", "payloads")  # type: ignore[arg-type, return-value]


CONTENT = to_item({"pk": "JOB#1", "sk": "INPUT#1", "content": zlib.compress(b"a question")})


def test_content_that_is_found_is_read_once_and_at_half_the_price() -> None:
    table = BehindTable(CONTENT, before=CONTENT)
    assert contents(table).get("1", "INPUT#1") == b"a question"
    assert table.reads == [False]


def test_content_that_was_written_a_moment_ago_is_found() -> None:
    table = BehindTable(CONTENT)
    assert contents(table).get("1", "INPUT#1") == b"a question"
    assert table.reads == [False, True]


def test_content_is_not_there_only_when_the_consistent_read_says_so() -> None:
    table = BehindTable(None)
    assert contents(table).get("1", "INPUT#1") is None
    assert table.reads == [False, True]


def jobs(table: BehindTable, *, terminal_only: bool) -> JobLookupTable:
    return JobLookupTable(table, "jobs", terminal_only=terminal_only)  # type: ignore[arg-type]


def ended(job: Job) -> Job:
    return job.fail("server_error", "no", now=START)


def test_who_asks_for_ends_believes_an_end_and_nothing_before_it() -> None:
    begun, end = a_job(), ended(a_job())
    for before in (None, begun):
        table = BehindTable(state_item(end), before=None if before is None else state_item(before))
        assert jobs(table, terminal_only=True).get(end.id) == end
        assert table.reads == [False, True]
    table = BehindTable(state_item(end), before=state_item(end))
    assert jobs(table, terminal_only=True).get(end.id) == end
    assert table.reads == [False]


def test_who_takes_jobs_on_reads_what_stands() -> None:
    begun, end = a_job(), ended(a_job())
    table = BehindTable(state_item(end), before=state_item(begun))
    assert jobs(table, terminal_only=False).get(end.id) == end
    assert table.reads == [True]
