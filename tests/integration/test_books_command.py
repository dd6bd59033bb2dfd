"""`python -m admin.tenant usage` and `… reconcile`, on a deployed stack (moto's)."""

from datetime import UTC, datetime
from typing import Any

from afterthought.domain.budget import Caps
from afterthought.domain.job import Job
from tests.integration.test_tenant_command import Stack, stack
from tests.simulator.examples import a_job, a_settled_job

__all__ = ["stack"]


def today(job: Job) -> Job:
    """The same job, created now."""
    now = datetime.now(UTC)
    attempts = tuple(entry.model_copy(update={"held_at": now}) for entry in job.attempts)
    return job.model_copy(update={"created_at": now, "attempts": attempts})


def write(stack: Stack) -> None:
    stack.run("create", "acme")
    stack.run("create", "globex")
    stack.run("set", "acme", "--month-budget", "100")
    for number in range(3):
        stack.ledger.create(today(a_settled_job(number)), Caps())
    stack.ledger.create(today(a_job(9)), Caps())


def spoil(stack: Stack, **changes: Any) -> None:
    key = {"pk": {"S": "BUDGET#acme"}, "sk": {"S": f"{datetime.now(UTC):%Y-%m}"}}
    for name, value in changes.items():
        stack.dynamodb.update_item(
            TableName=stack.table,
            Key=key,
            UpdateExpression=f"SET {name} = :value",
            ExpressionAttributeValues={":value": {"N": value}},
        )


def test_usage_shows_models_and_budgets(stack: Stack) -> None:
    write(stack)
    code, printed, complaints = stack.run("usage", "acme")
    assert (code, complaints) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert ["o3", "completed", "3", "37035", "70368", "61440", "0", "0.633198"] in rows
    assert ["o3", "open", "1", "0", "0", "0", "0.800512", "0"] in rows
    assert ["total", "4", "37035", "70368", "61440", "0.800512", "0.633198"] in rows
    assert ["month", f"{datetime.now(UTC):%Y-%m}", "100", "0.800512", "0.633198", "98.56629"] in rows


def test_usage_of_a_past_month_has_no_cap(stack: Stack) -> None:
    write(stack)
    code, printed, _ = stack.run("usage", "acme", "--month", "2026-01")
    assert code == 0
    assert [line.split() for line in printed.splitlines()][-2:] == [
        ["BUDGET", "HELD", "SPENT"],
        ["month", "2026-01", "0", "0"],
    ]


def test_usage_of_a_future_month_is_refused(stack: Stack) -> None:
    write(stack)
    assert stack.run("usage", "acme", "--month", "2099-01") == (1, "", "2099-01 has not begun.\n")


def test_usage_reports_its_errors(stack: Stack) -> None:
    write(stack)
    assert stack.run("usage", "unknown") == (1, "", "There is no tenant 'unknown'.\n")
    code, _, complaints = stack.run("usage", "acme", "--month", "November")
    assert (code, complaints) == (1, "'November' is no month: YYYY-MM, such as 2026-11.\n")


def test_reconcile_finds_nothing_wrong(stack: Stack) -> None:
    write(stack)
    code, printed, _ = stack.run("reconcile")
    assert code == 0
    assert printed == "4 jobs and 2 items of the books were compared: no difference.\n"


def test_reconcile_repairs_on_request_only(stack: Stack) -> None:
    write(stack)
    spoil(stack, used="5", held="4.5")
    before = stack.dump()
    code, printed, _ = stack.run("reconcile", "acme")
    assert code == 1
    rows = [line.split() for line in printed.splitlines()]
    month = f"{datetime.now(UTC):%Y-%m}"
    assert ["acme", "BUDGET", month, "held", "4.5", "0.800512"] in rows
    assert ["acme", "BUDGET", month, "used", "5", "1.43371"] in rows
    assert printed.endswith("1 differ. Nothing was changed; --mend writes what the jobs say.\n")
    assert stack.dump() == before
    code, printed, _ = stack.run("reconcile", "acme", "--mend")
    assert code == 0
    assert printed.endswith("1 differed, 1 of them now say what the jobs say.\n")
    assert stack.run("reconcile")[0] == 0


def test_reconcile_checks_the_named_tenants(stack: Stack) -> None:
    write(stack)
    spoil(stack, used="5")
    assert stack.run("reconcile", "globex")[0] == 0
    assert stack.run("reconcile", "unknown") == (1, "", "There is no tenant 'unknown'.\n")
