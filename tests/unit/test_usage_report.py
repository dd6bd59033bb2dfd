"""Usage reports: the query parameters, and sums that match the jobs exactly."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Context, Decimal
from itertools import combinations
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import InvalidRequest, Unauthenticated
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import Caps
from afterthought.domain.ledger.ledger import UsageKey, delta
from afterthought.domain.request.options import TagName
from afterthought.domain.wire.usage_report import (
    GROUPS,
    MAX_ROWS,
    MAX_STORED_ROWS,
    MEASURES,
    STATUSES,
    UsageQuery,
    UsageReport,
    build_report,
    parse_query,
)
from afterthought.services.query.usage import UsageReader
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import START, Clock
from tests.simulator.examples import a_job, a_settled_job
from tests.simulator.examples import jobs as any_job
from tests.simulator.ledger import SimulatedLedger
from tests.simulator.provider import Answer, Ending, ProviderPlan
from tests.simulator.world import TENANTS, World, a_request

Wire = dict[str, Any]
Sums = dict[str, Decimal]

TODAY = START.date()
WHOLE_YEAR = {"start": "2026-01-01", "end": "2026-12-31"}
EXACT = Context(prec=200)
OPEN_STATES = ("pending", "calling", "running", "outcome_unknown")


def parse(**parameters: str) -> UsageQuery:
    return parse_query(parameters, TODAY)


def usage_of(world: World, tenant: str = "acme", **parameters: str) -> Wire:
    return UsageReader(world.ledger, world.accounts, world.clock).report(tenant, parameters)


def csv_rows(world: World, tenant: str = "acme", **parameters: str) -> list[dict[str, str]]:
    text = UsageReader(world.ledger, world.accounts, world.clock).csv(tenant, parameters)
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


# ---- the expected report, calculated from the jobs alone ----


def contributions(job: Job) -> Iterable[tuple[date, str, Sums]]:
    """The contribution of a job by day and model. The job itself counts for the model of its newest attempt."""
    yield job.created_at.date(), (job.attempts[-1].model if job.attempts else None) or job.model, {"jobs": Decimal(1)}
    for attempt in job.attempts:
        is_open = attempt.state in OPEN_STATES
        money = {
            "held_usd": attempt.hold_usd if is_open else Decimal(0),
            "spent_usd": attempt.cost_usd or Decimal(0),
        }
        tokens = {name: Decimal(n) for name, n in (attempt.usage.model_dump() if attempt.usage else {}).items()}
        yield attempt.held_at.date(), attempt.model or job.model, money | tokens


def expected_report(jobs: Iterable[Job], query: UsageQuery) -> tuple[dict[tuple[str | None, ...], Sums], Sums]:
    """The expected rows and total."""
    rows: dict[tuple[str | None, ...], Sums] = defaultdict(lambda: defaultdict(Decimal))
    total: Sums = defaultdict(Decimal)
    for job in jobs:
        status = "open" if job.status in ("queued", "in_progress") else job.status
        if query.status not in (None, status):
            continue
        if query.tag is not None and query.tag not in job.tags:
            continue
        tags: tuple[str | None, ...] = job.tags or (None,)
        if "tag" not in query.group_by:
            tags = (None,)
        elif query.tag is not None:
            tags = (query.tag,)
        for day, model, amounts in contributions(job):
            if not query.start <= day <= query.end or query.model not in (None, model):
                continue
            for name, amount in amounts.items():
                total[name] = EXACT.add(total[name], amount)
                for tag in tags:
                    group = {"day": day.isoformat(), "model": model, "tag": tag, "status": status}
                    row = rows[tuple(group[part] for part in query.group_by)]
                    row[name] = EXACT.add(row[name], amount)
    return {group: row for group, row in rows.items() if any(row.values())}, total


def all_measures(counts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: counts.get(name, Decimal(0)) for name in MEASURES}


def measures_of(row: Mapping[str, Any]) -> dict[str, Decimal]:
    """The measures of a row in JSON or CSV."""
    return {name: Decimal(row[name]) for name in MEASURES}


def check_agrees(answer: Wire, jobs: Iterable[Job], query: UsageQuery) -> None:
    rows, total = expected_report(jobs, query)
    actual = {tuple(row[part] for part in query.group_by): measures_of(row) for row in answer["data"]}
    assert len(actual) == len(answer["data"])
    assert actual == {group: all_measures(row) for group, row in rows.items()}
    assert measures_of(answer["total"]) == all_measures(total)


groupings = st.lists(st.sampled_from(GROUPS), min_size=1, unique=True).map(tuple)


@st.composite
def queries(draw: st.DrawFn, jobs: list[Job]) -> UsageQuery:
    """Queries that match some jobs, and queries that match none."""
    days = [day for job in jobs for day, _, _ in contributions(job)]
    start = draw(st.sampled_from(days)) - timedelta(days=draw(st.integers(0, 2)))
    models = st.sampled_from([model for job in jobs for _, model, _ in contributions(job)])
    tags = st.sampled_from([tag for job in jobs for tag in job.tags] or ["none"])
    return UsageQuery(
        start,
        start + timedelta(days=draw(st.sampled_from((0, 1, 5000)))),
        draw(groupings),
        model=draw(st.none() | models | st.just("other")),
        tag=draw(st.none() | tags | st.just("other")),
        status=draw(st.none() | st.sampled_from(STATUSES)),
    )


@given(st.data(), st.lists(any_job, min_size=1, max_size=8))
def test_report_matches_any_jobs_exactly(data: st.DataObject, jobs: list[Job]) -> None:
    ledger = SimulatedLedger(CallRecorder(Clock()))
    for job in jobs:
        ledger.apply("acme", delta(None, job), Caps())
    query = data.draw(queries(jobs))
    check_agrees(build_report(ledger.usage("acme", query.start, query.end), query).wire(), jobs, query)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    answers=st.lists(st.sampled_from(get_args(Answer)), max_size=8),
    endings=st.lists(st.sampled_from(get_args(Ending)), max_size=8),
)
def test_report_matches_jobs_while_they_run(seed: int, answers: list[Answer], endings: list[Ending]) -> None:
    world = World(seed=seed)
    world.provider.plan = ProviderPlan(answers=answers, endings=endings)
    tags: tuple[list[str], ...] = ([], ["a"], ["a", "b"], ["team/x", "b", "c.1"])
    for _ in range(12):
        body = a_request("low", webhook=False, model=world.random.choice(("o3", "gpt-5-nano")))
        body["afterthought"] = {"tags": world.random.choice(tags)}
        world.submit(body, tenant=world.random.choice(TENANTS))
        world.run_for(hours=world.random.choice((0, 0, 1, 9)))
        check_world(world)
    world.run()
    check_world(world)


def check_world(world: World) -> None:
    for tenant in TENANTS:
        jobs = [job for job in world.jobs.items.values() if job.tenant == tenant]
        for group_by in (GROUPS, ("tag",), ("status", "day")):
            parameters = {**WHOLE_YEAR, "group_by": ",".join(group_by)}
            query = parse_query(parameters, TODAY)
            answer = usage_of(world, tenant, **parameters)
            check_agrees(answer, jobs, query)
            rows = [
                {name: "" if value is None else str(value) for name, value in row.items()} for row in answer["data"]
            ]
            assert csv_rows(world, tenant, **parameters) == rows
        answer = usage_of(world, tenant)
        for name in ("held_usd", "spent_usd"):
            assert answer["total"][name] == answer["budgets"][0][name]


# ---- the report ----


def world_with(*jobs: Job) -> World:
    world = World()
    for job in jobs:
        world.jobs.create(job, Caps())
    return world


def test_report_has_query_rows_and_total() -> None:
    job = a_settled_job().model_copy(update={"tags": ("blue", "team/x")})
    answer = usage_of(world_with(job), group_by="tag,status")
    measures = {
        "jobs": 1,
        "input_tokens": 12_345,
        "cached_input_tokens": 1024,
        "cache_write_tokens": 0,
        "output_tokens": 23_456,
        "reasoning_tokens": 20_480,
        "held_usd": "0",
        "spent_usd": "0.211066",
    }
    budgets = answer.pop("budgets")
    assert answer == {
        "object": "usage",
        "start": "2026-11-01",
        "end": "2026-11-02",
        "group_by": ["tag", "status"],
        "data": [
            {"tag": "blue", "status": "completed", **measures},
            {"tag": "team/x", "status": "completed", **measures},
        ],
        "total": measures,
    }
    assert [(budget["period"], budget["spent_usd"]) for budget in budgets] == [
        ("month", "0.211066"),
        ("day", "0.211066"),
    ]
    assert list(answer["data"][0]) == ["tag", "status", *MEASURES]


def test_report_without_jobs_is_empty() -> None:
    answer = usage_of(World())
    assert answer["data"] == []
    assert measures_of(answer["total"]) == all_measures({})
    assert [budget["period"] for budget in answer["budgets"]] == ["month", "day"]


def test_rows_are_sorted_no_tag_first() -> None:
    world = world_with(
        a_job(0, tags=("b",)),
        a_job(1, model="gpt-5"),
        a_job(2, tags=("a", "b"), created_at=START - timedelta(days=1)),
        a_job(3),
    )
    rows = usage_of(world, group_by="tag,model")["data"]
    assert [(row["tag"], row["model"]) for row in rows] == [(None, "gpt-5"), (None, "o3"), ("a", "o3"), ("b", "o3")]
    days = usage_of(world, group_by="day")["data"]
    assert [(row["day"], row["jobs"]) for row in days] == [("2026-11-01", 1), ("2026-11-02", 3)]


def test_job_with_two_tags_counts_once_in_total() -> None:
    answer = usage_of(world_with(a_job(tags=("a", "b"))), group_by="tag")
    assert [row["jobs"] for row in answer["data"]] == [1, 1]
    assert answer["total"]["jobs"] == 1


def test_tag_filter_shows_one_tag() -> None:
    answer = usage_of(world_with(a_job(0, tags=("a", "b")), a_job(1, tags=("b",))), group_by="tag", tag="a")
    assert [(row["tag"], row["jobs"]) for row in answer["data"]] == [("a", 1)]
    assert answer["total"]["jobs"] == 1


def test_row_of_zeros_is_omitted() -> None:
    world = world_with(a_job())
    world.jobs.save(a_job(), a_job().fail("deadline_exceeded", "…", now=START))
    assert [row["status"] for row in usage_of(world)["data"]] == ["failed"]
    assert usage_of(world, status="open")["data"] == []


def test_usage_of_other_tenants_is_hidden() -> None:
    world = world_with(a_job(0), a_job(1, tenant="globex"), a_job(2, tenant="acme-2"), a_job(3, tenant="acm"))
    assert usage_of(world)["total"]["jobs"] == 1
    assert usage_of(world, group_by="day")["data"][0]["jobs"] == 1


def test_removed_tenant_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        usage_of(World(), "other")


def test_budgets_have_current_caps() -> None:
    world = world_with(a_job())
    world.accounts.by_name["acme"] = world.accounts.by_name["acme"].model_copy(
        update={"month_cap_usd": Decimal("0.5"), "day_cap_usd": None}
    )
    month, day = usage_of(world, start="2025-12-01", end="2025-12-31")["budgets"]
    assert (month["name"], month["cap_usd"], month["left_usd"]) == ("2026-11", "0.5", "-0.300512")
    assert (day["name"], day["cap_usd"], day["left_usd"]) == ("2026-11-02", None, None)


# ---- CSV ----


def test_csv_has_header_and_crlf() -> None:
    text = UsageReader(world_with(a_job()).ledger, World().accounts, Clock()).csv("acme", {"group_by": "day,tag"})
    assert text == (
        "day,tag,jobs,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens,"
        "held_usd,spent_usd\r\n"
        "2026-11-02,,1,0,0,0,0,0,0.800512,0\r\n"
    )


def test_empty_csv_is_its_header() -> None:
    assert csv_rows(World()) == []


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|" /C calc"!A0'])
def test_csv_has_no_formulas(name: str) -> None:
    query = UsageQuery(TODAY, TODAY, ("tag",))
    text = build_report([(UsageKey(TODAY, "o3", (name,)), {"open_jobs": Decimal(1)})], query).csv()
    (row,) = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert row["tag"] == f"'{name}"
    assert text.split("\r\n", 1)[1].lstrip('"').startswith("'")


def test_valid_tags_are_unchanged_in_csv() -> None:
    for name in ("a,b", '"', " a", "-a", "=a"):
        with pytest.raises(ValidationError):
            TypeAdapter(TagName).validate_python(name)


# ---- query parameters ----


def test_default_is_current_month_by_all_groups() -> None:
    assert parse() == UsageQuery(TODAY.replace(day=1), TODAY, GROUPS)


def test_default_start_is_first_of_end_month() -> None:
    assert parse(end="2026-09-17") == UsageQuery(date(2026, 9, 1), date(2026, 9, 17))


def test_every_combination_of_groups_is_valid() -> None:
    for size in range(1, 5):
        for chosen in combinations(GROUPS, size):
            assert parse(group_by=",".join(reversed(chosen))).group_by == chosen[::-1]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_valid(status: str) -> None:
    assert parse(status=status).status == status


def test_every_model_and_tag_is_valid() -> None:
    for model in default_catalogue().models.values():
        for name in (model.id, *model.snapshots):
            assert parse(model=name).model == name
    for tag in ("a", "0", "A" * 64, "team/x:y_z-1.2"):
        assert parse(tag=TypeAdapter(TagName).validate_python(tag)).tag == tag


@pytest.mark.parametrize(
    ("parameters", "param", "parts"),
    [
        ({"start": "2026-11-31"}, "start", ["YYYY-MM-DD"]),
        ({"start": "2026-11"}, "start", ["YYYY-MM-DD"]),
        ({"start": ""}, "start", ["YYYY-MM-DD"]),
        ({"start": "20261101"}, "start", ["YYYY-MM-DD"]),
        ({"start": "2026-W45-1"}, "start", ["YYYY-MM-DD"]),
        ({"start": "2026-11-01T00:00:00Z"}, "start", ["UTC"]),
        ({"start": "２０２６-１１-０１"}, "start", ["YYYY-MM-DD"]),
        ({"start": "2026-11-01,2026-11-02"}, "start", ["one day"]),
        ({"start": "0000-01-01"}, "start", ["YYYY-MM-DD"]),
        ({"end": "yesterday"}, "end", ["YYYY-MM-DD", "such as"]),
        ({"end": "2026-11-1"}, "end", ["YYYY-MM-DD"]),
        ({"start": "2026-11-03"}, "start", ["2026-11-03", "2026-11-02", "today"]),
        ({"start": "2026-10-02", "end": "2026-10-01"}, "start", ["after"]),
        ({"start": "2025-11-01"}, "start", ["367 days", "366"]),
        ({"start": "0001-01-01", "end": "9999-12-31"}, "start", ["366"]),
        ({"group_by": ""}, "group_by", ["day, model, tag, status"]),
        ({"group_by": "day,"}, "group_by", ["day, model, tag, status"]),
        ({"group_by": "day, model"}, "group_by", ["' model'"]),
        ({"group_by": "hour"}, "group_by", ["'hour'"]),
        ({"group_by": "Day"}, "group_by", ["'Day'"]),
        ({"group_by": "day,tag,day"}, "group_by", ["'day'", "more than once"]),
        ({"model": ""}, "model", ["one model"]),
        ({"model": "o3,o1"}, "model", ["one model"]),
        ({"model": "o" * 129}, "model", ["one model"]),
        ({"tag": ""}, "tag", ["one tag"]),
        ({"tag": "a,b"}, "tag", ["one tag"]),
        ({"tag": "a\n"}, "tag", ["one tag"]),
        ({"tag": "a" * 65}, "tag", ["64"]),
        ({"status": "queued"}, "status", ["open, completed, failed, incomplete, cancelled", "queued or in progress"]),
        ({"status": ""}, "status", ["open"]),
    ],
)
def test_invalid_parameter_is_refused(parameters: dict[str, str], param: str, parts: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(**parameters)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")
    for part in parts:
        assert part in refused.value.message


def test_leap_year_fits_one_query() -> None:
    assert parse(start="2028-01-01", end="2028-12-31").start == date(2028, 1, 1)


def test_last_representable_day_is_valid() -> None:
    answer = UsageReader(World().ledger, World().accounts, Clock()).report("acme", {"end": "9999-12-31"})
    assert (answer["start"], answer["data"]) == ("9999-12-01", [])


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(tags="a")
    assert (refused.value.param, refused.value.code) == ("tags", "unknown_parameter")
    assert "start, end, group_by, model, tag, status" in refused.value.message


# ---- limits ----


def longest_rows(number: int) -> Iterable[tuple[UsageKey, dict[str, Decimal]]]:
    """`number` rows of the maximum length."""
    amount = Decimal("9" * 20 + "." + "9" * 18)
    counts = {f"incomplete_{name}": amount if name.endswith("usd") else Decimal(10**12) for name in MEASURES}
    for each in range(number):
        yield UsageKey(TODAY, "m" * 128, (f"{each:064}",)), counts


def largest_report(number: int) -> UsageReport:
    return build_report(longest_rows(number), UsageQuery(TODAY, TODAY))


def test_largest_report_fits_response_limit() -> None:
    answer = json.dumps({"body": json.dumps(largest_report(MAX_ROWS).wire(), separators=(",", ":"))})
    assert len(answer) < 6 * 1024 * 1024
    assert len(json.dumps({"body": largest_report(MAX_ROWS).csv()})) < 6 * 1024 * 1024


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        largest_report(MAX_ROWS + 1)
    assert refused.value.code == "too_much_usage"
    assert "group_by" in refused.value.message
    query = UsageQuery(TODAY, TODAY, ("day", "status"))
    assert build_report(longest_rows(MAX_ROWS + 1), query).total["jobs"] == (MAX_ROWS + 1) * 10**12


def test_reading_stops_at_the_row_limit() -> None:
    rows_read = 0

    def endless_rows() -> Iterable[tuple[UsageKey, dict[str, Decimal]]]:
        nonlocal rows_read
        key, counts = UsageKey(TODAY, "o3", ()), {"open_jobs": Decimal(1)}
        while True:
            rows_read += 1
            yield key, counts

    with pytest.raises(InvalidRequest) as refused:
        build_report(endless_rows(), UsageQuery(TODAY, TODAY, ("day",)))
    assert (refused.value.code, rows_read) == ("too_much_usage", MAX_STORED_ROWS + 1)
