"""The admin commands on money: show usage and budgets, and reconcile the ledger with the jobs."""

import argparse
from collections.abc import Mapping
from datetime import date, timedelta

from admin.console import show_table
from admin.deployment import Deployment
from afterthought.adapters.clock import now
from afterthought.domain.ledger.budget import Caps, MonthBalance, budgets, caps_of
from afterthought.domain.models.pricing import format_usd
from afterthought.domain.wire.usage_report import UsageQuery, build_report, measures
from afterthought.services.admin.reconcile import Difference, ReconcileReport
from afterthought.services.admin.tenants import AdminError

_COLUMNS = ("jobs", "input_tokens", "output_tokens", "reasoning_tokens", "held_usd", "spent_usd")


def usage(deployment: Deployment, options: argparse.Namespace) -> None:
    """A month's usage by model and status, and the budgets."""
    tenant = deployment.records.tenant(options.name)
    if tenant is None:
        raise AdminError(f"There is no tenant '{options.name}'.")
    today = now().date()
    first = _month(options.month) if options.month else today.replace(day=1)
    if first > today:
        raise AdminError(f"{first:%Y-%m} is in the future.")
    next_month = (first + timedelta(days=31)).replace(day=1)
    query = UsageQuery(first, next_month - timedelta(days=1), ("model", "status"))
    report = build_report(deployment.ledger.usage(tenant.name, query.start, query.end), query)
    rows = [(*(str(name) for name in row.group), *_cells(measures(row.amounts))) for row in report.rows]
    show_table(
        [
            ("MODEL", "STATUS", "JOBS", "INPUT", "OUTPUT", "REASONING", "HELD", "SPENT"),
            *rows,
            ("total", "", *_cells(measures(report.total))),
        ]
    )
    print()
    balance = deployment.ledger.month(tenant.name, first)
    # The caps of a past month are not stored, and the current ones may differ.
    show_table(
        _past_month(balance, first) if next_month <= today else _current_budgets(balance, caps_of(tenant), today)
    )


def reconcile(deployment: Deployment, options: argparse.Namespace) -> int:
    """1 when the ledger does not match the jobs, or could not be compared."""
    tenants = {tenant.name for tenant in deployment.records.tenants()}
    if unknown := sorted(set(options.names) - tenants):
        raise AdminError(f"There is no tenant '{unknown[0]}'.")
    report = deployment.reconciler.run(options.names or sorted(tenants), repair=options.repair)
    if report.differences:
        show_table([("TENANT", "ITEM", "ATTRIBUTE", "LEDGER", "JOBS"), *map(_cells_of, report.differences)])
        print()
    for tenant, item in report.unstable:
        print(f"{tenant}: {item} changed during every reading and was not compared. Run this again.")
    for job_id in report.reading.over_max_cost:
        print(f"{job_id} cost more than its hold.")
    print(_conclusion(report, repair=options.repair))
    return 0 if not report.unstable and len(report.repaired) == len(report.differing) else 1


def _past_month(balance: MonthBalance, month: date) -> list[tuple[str, ...]]:
    total = balance.total
    return [
        ("BUDGET", "HELD", "SPENT"),
        (f"month {month:%Y-%m}", format_usd(total.held_usd), format_usd(total.spent_usd)),
    ]


def _current_budgets(balance: MonthBalance, caps: Caps, today: date) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("BUDGET", "CAP", "HELD", "SPENT", "LEFT")]
    for budget in budgets(balance, caps, today):
        wire = budget.wire()
        cap, left = wire["cap_usd"] or "none", wire["left_usd"] or "none"
        rows.append((f"{budget.period} {budget.name}", cap, wire["held_usd"], wire["spent_usd"], left))
    return rows


def _conclusion(report: ReconcileReport, *, repair: bool) -> str:
    compared = f"Compared {report.reading.job_count} jobs with {len(report.reading.items)} items of the ledger"
    differing = len(report.differing)
    if not differing:
        return f"{compared}: no difference{' in the stable items' if report.unstable else ''}."
    if not repair:
        return f"{compared}: {differing} differ. Nothing was changed; --repair sets them to the sums of the jobs."
    return f"{compared}: {differing} differ, {len(report.repaired)} of them were repaired."


def _cells_of(each: Difference) -> tuple[str, ...]:
    return each.tenant, each.item, each.attribute, format_usd(each.stored), format_usd(each.expected)


def _cells(measured: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(measured[name]) for name in _COLUMNS)


def _month(text: str) -> date:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = date.min
    if not 2000 <= first.year < 2100:
        raise AdminError(f"'{text[:40]}' is not a month in the form YYYY-MM, such as 2026-11.")
    return first
