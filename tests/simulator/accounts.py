"""The tenants and API keys of AccountTable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from afterthought.domain.tenants.tenant import ApiKey, Tenant
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedAccounts:
    """The ports `Accounts` and `TenantRecords`."""

    calls: CallRecorder
    by_name: dict[str, Tenant] = field(default_factory=dict)
    by_hash: dict[str, ApiKey] = field(default_factory=dict)

    def tenant_of(self, key_hash: str) -> str | None:
        def read() -> str | None:
            key = self.by_hash.get(key_hash)
            return key.tenant if key is not None and key.revoked_at is None else None

        return self.calls.call("accounts.tenant_of", read)

    def tenant(self, name: str) -> Tenant | None:
        return self.calls.call("accounts.tenant", lambda: self.by_name.get(name))

    def put_tenant(self, tenant: Tenant) -> bool:
        def put() -> bool:
            return self.by_name.setdefault(tenant.name, tenant) is tenant

        return self.calls.call("accounts.put_tenant", put)

    def change_tenant(self, name: str, changes: Mapping[str, Any]) -> Tenant | None:
        def update() -> Tenant | None:
            if (tenant := self.by_name.get(name)) is None:
                return None
            self.by_name[name] = tenant.model_copy(update=dict(changes))
            return self.by_name[name]

        return self.calls.call("accounts.change_tenant", update)

    def put_key(self, key: ApiKey) -> None:
        self.calls.call("accounts.put_key", lambda: self.by_hash.update({key.key_hash: key}))

    def tenants(self) -> Iterator[Tenant]:
        yield from self.calls.call("accounts.tenants", lambda: list(self.by_name.values()))

    def api_keys(self) -> Iterator[ApiKey]:
        yield from self.calls.call("accounts.api_keys", lambda: list(self.by_hash.values()))
