"""Show a tenant what its jobs used and cost, and where its budgets stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from afterthought.domain import budget
from afterthought.domain.usage_report import Summary, query_of, summed
from afterthought.services.authenticate import tenant_named
from afterthought.services.ports import Accounts, Ledger


@dataclass(frozen=True)
class ReadUsage:
    """Asked for by the query parameters of the URL. Raises InvalidRequest for those that are wrong."""

    ledger: Ledger
    accounts: Accounts
    clock: Callable[[], datetime]

    def __call__(self, tenant_name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The answer on the wire: the usage of the days that are asked for, and the budgets of now."""
        summary = self._summary(tenant_name, parameters)
        today = self.clock().date()
        caps = budget.caps_of(tenant_named(self.accounts, tenant_name))
        book = self.ledger.month(tenant_name, today.replace(day=1))
        return {**summary.wire(), "budgets": [each.wire() for each in budget.budgets(book, caps, today)]}

    def csv(self, tenant_name: str, parameters: Mapping[str, str]) -> str:
        """The same rows as a table, without the total and the budgets."""
        return self._summary(tenant_name, parameters).csv()

    def _summary(self, tenant_name: str, parameters: Mapping[str, str]) -> Summary:
        query = query_of(parameters, self.clock().date())
        return summed(self.ledger.usage(tenant_name, query.start, query.end), query)
