"""Reports the usage and cost of a tenant's jobs, and the state of its budgets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from afterthought.domain.ledger.budget import budgets, caps_of
from afterthought.domain.wire.usage_report import UsageReport, build_report, parse_query
from afterthought.services.intake.authenticate import load_tenant
from afterthought.services.ports import Accounts, Ledger


@dataclass(frozen=True)
class UsageReader:
    """Takes the query parameters of the URL. Raises InvalidRequest when they are invalid."""

    ledger: Ledger
    accounts: Accounts
    clock: Callable[[], datetime]

    def report(self, tenant_name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The response body: the usage of the requested days, and the current budgets."""
        report = self._report(tenant_name, parameters)
        today = self.clock().date()
        caps = caps_of(load_tenant(self.accounts, tenant_name))
        balance = self.ledger.month(tenant_name, today.replace(day=1))
        return {**report.wire(), "budgets": [budget.wire() for budget in budgets(balance, caps, today)]}

    def csv(self, tenant_name: str, parameters: Mapping[str, str]) -> str:
        """The same rows as CSV, without the total and the budgets."""
        return self._report(tenant_name, parameters).csv()

    def _report(self, tenant_name: str, parameters: Mapping[str, str]) -> UsageReport:
        query = parse_query(parameters, self.clock().date())
        return build_report(self.ledger.usage(tenant_name, query.start, query.end), query)
