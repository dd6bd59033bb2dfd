"""The admin's commands on money: what a tenant has used and spent, and whether the books are what the jobs say."""

import argparse
from datetime import date, timedelta

from admin.deployment import Deployment
from admin.screen import show_table
from afterthought.adapters.clock import now
from afterthought.domain.budget import budgets, caps_of
from afterthought.domain.pricing import format_usd
from afterthought.domain.usage_report import UsageQuery, measures, summed
from afterthought.services.reconcile import Difference, Reconciled
from afterthought.services.tenants import TenantProblem

_COLUMNS = ("jobs", "input_tokens", "output_tokens", "reasoning_tokens", "held_usd", "spent_usd")


def usage(deployment: Deployment, options: argparse.Namespace) -> None:
    """A month's usage by model and status, and the budgets."""
    tenant = deployment.records.tenant(options.name)
    if tenant is None:
        raise TenantProblem(f"There is no tenant '{options.name}'.")
    today = now().date()
    first = _month(options.month) if options.month else today.replace(day=1)
    if first > today:
        raise TenantProblem(f"{first:%Y-%m} has not begun.")
    following = (first + timedelta(days=31)).replace(day=1)
    query = UsageQuery(first, following - timedelta(days=1), ("model", "status"))
    told = summed(deployment.books.usage(tenant.name, query.start, query.end), query)
    rows = [(*(str(name) for name in row.group), *_cells(measures(row.counts))) for row in told.rows]
    show_table(
        [
            ("MODEL", "STATUS", "JOBS", "INPUT", "OUTPUT", "REASONING", "HELD", "SPENT"),
            *rows,
            ("total", "", *_cells(measures(told.total))),
        ]
    )
    print()
    book = deployment.books.month(tenant.name, first)
    if following <= today:
        # What its cap was is not known: the cap of today says nothing of it.
        standing = book.total
        shown = (format_usd(standing.held_usd), format_usd(standing.spent_usd))
        show_table([("BUDGET", "HELD", "SPENT"), (f"month {first:%Y-%m}", *shown)])
        return
    lines = [("BUDGET", "CAP", "HELD", "SPENT", "LEFT")]
    for each in budgets(book, caps_of(tenant), today):
        wire = each.wire()
        cap, left = (wire[name] if wire[name] is not None else "none" for name in ("cap_usd", "left_usd"))
        lines.append((f"{each.period} {each.name}", cap, wire["held_usd"], wire["spent_usd"], left))
    show_table(lines)


def reconcile(deployment: Deployment, options: argparse.Namespace) -> int:
    """1 when the books are not what the jobs say, or could not be compared."""
    known = {tenant.name for tenant in deployment.records.tenants()}
    if unknown := sorted(set(options.names) - known):
        raise TenantProblem(f"There is no tenant '{unknown[0]}'.")
    found = deployment.reconcile(options.names or sorted(known), mend=options.mend)
    if found.differences:
        show_table([("TENANT", "ITEM", "WHAT", "IN THE BOOKS", "BY THE JOBS"), *map(_difference, found.differences)])
        print()
    for tenant, page in found.moving:
        print(f"{tenant}: {page} kept moving while the jobs were read, so it was not compared. Run this again.")
    for job_id in found.look.overruns:
        print(f"{job_id} cost more than was held for it.")
    print(_conclusion(found, mend=options.mend))
    return 0 if not found.moving and len(found.mended) == len(_pages(found)) else 1


def _conclusion(found: Reconciled, *, mend: bool) -> str:
    read = f"{found.look.jobs} jobs and {len(found.look.pages)} items of the books were compared"
    pages = len(_pages(found))
    if not pages:
        return f"{read}: no difference{' in what stood still' if found.moving else ''}."
    if not mend:
        return f"{read}: {pages} differ. Nothing was changed; --mend writes what the jobs say."
    return f"{read}: {pages} differed, {len(found.mended)} of them now say what the jobs say."


def _pages(found: Reconciled) -> set[tuple[str, str]]:
    return {(each.tenant, each.page) for each in found.differences}


def _difference(each: Difference) -> tuple[str, ...]:
    return each.tenant, each.page, each.what, format_usd(each.stands), format_usd(each.told)


def _cells(measured: dict[str, object]) -> tuple[str, ...]:
    return tuple(str(measured[name]) for name in _COLUMNS)


def _month(text: str) -> date:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = date.min
    if not 2000 <= first.year < 2100:
        raise TenantProblem(f"'{text[:40]}' is no month: YYYY-MM, such as 2026-11.")
    return first
