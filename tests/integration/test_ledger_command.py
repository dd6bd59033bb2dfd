"""`python -m admin.tenant usage` and `… reconcile`, on a deployed stack in moto."""

from datetime import UTC, datetime

from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import Caps
from tests.integration.test_tenant_command import Stack, stack
from tests.simulator.examples import a_job, a_settled_job

__all__ = ["stack"]


def today(job: Job) -> Job:
    """The same job, created now."""
    now = datetime.now(UTC)
    attempts = tuple(attempt.model_copy(update={"held_at": now}) for attempt in job.attempts)
    return job.model_copy(update={"created_at": now, "attempts": attempts})


def write_jobs(stack: Stack) -> None:
    stack.run("create", "acme")
    stack.run("create", "globex")
    stack.run("set", "acme", "--month-budget", "100")
    for number in range(3):
        stack.jobs.create(today(a_settled_job(number)), Caps())
    stack.jobs.create(today(a_job(9)), Caps())


def corrupt(stack: Stack, **amounts: str) -> None:
    key = {"pk": {"S": "BUDGET#acme"}, "sk": {"S": f"{datetime.now(UTC):%Y-%m}"}}
    for name, value in amounts.items():
        stack.dynamodb.update_item(
            TableName=stack.table,
            Key=key,
            UpdateExpression=f"SET {name} = :value",
            ExpressionAttributeValues={":value": {"N": value}},
        )


def test_usage_shows_models_and_budgets(stack: Stack) -> None:
    write_jobs(stack)
    code, printed, errors = stack.run("usage", "acme")
    assert (code, errors) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert ["o3", "completed", "3", "37035", "70368", "61440", "0", "0.633198"] in rows
    assert ["o3", "open", "1", "0", "0", "0", "0.800512", "0"] in rows
    assert ["total", "4", "37035", "70368", "61440", "0.800512", "0.633198"] in rows
    assert ["month", f"{datetime.now(UTC):%Y-%m}", "100", "0.800512", "0.633198", "98.56629"] in rows


def test_past_month_shows_no_cap(stack: Stack) -> None:
    write_jobs(stack)
    code, printed, _ = stack.run("usage", "acme", "--month", "2026-01")
    assert code == 0
    assert [line.split() for line in printed.splitlines()][-2:] == [
        ["BUDGET", "HELD", "SPENT"],
        ["month", "2026-01", "0", "0"],
    ]


def test_future_month_is_refused(stack: Stack) -> None:
    write_jobs(stack)
    assert stack.run("usage", "acme", "--month", "2099-01") == (1, "", "2099-01 is in the future.\n")


def test_usage_errors_are_clear(stack: Stack) -> None:
    write_jobs(stack)
    assert stack.run("usage", "other") == (1, "", "There is no tenant 'other'.\n")
    code, _, errors = stack.run("usage", "acme", "--month", "November")
    assert (code, errors) == (1, "'November' is not a month in the form YYYY-MM, such as 2026-11.\n")


def test_reconcile_finds_no_difference(stack: Stack) -> None:
    write_jobs(stack)
    code, printed, _ = stack.run("reconcile")
    assert code == 0
    assert printed == "Compared 4 jobs with 2 items of the ledger: no difference.\n"


def test_reconcile_repairs_only_on_request(stack: Stack) -> None:
    write_jobs(stack)
    corrupt(stack, used_usd="5", held_usd="4.5")
    before = stack.stored_text()
    code, printed, _ = stack.run("reconcile", "acme")
    assert code == 1
    rows = [line.split() for line in printed.splitlines()]
    month = f"{datetime.now(UTC):%Y-%m}"
    assert ["acme", "BUDGET", month, "held_usd", "4.5", "0.800512"] in rows
    assert ["acme", "BUDGET", month, "used_usd", "5", "1.43371"] in rows
    assert printed.endswith(": 1 differ. Nothing was changed; --repair sets them to the sums of the jobs.\n")
    assert stack.stored_text() == before
    code, printed, _ = stack.run("reconcile", "acme", "--repair")
    assert code == 0
    assert printed.endswith(": 1 differ, 1 of them were repaired.\n")
    assert stack.run("reconcile")[0] == 0


def test_reconcile_is_limited_to_named_tenants(stack: Stack) -> None:
    write_jobs(stack)
    corrupt(stack, used_usd="5")
    assert stack.run("reconcile", "globex")[0] == 0
    assert stack.run("reconcile", "other") == (1, "", "There is no tenant 'other'.\n")
