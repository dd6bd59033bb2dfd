"""Who calls."""

from dataclasses import dataclass

from afterthought.domain.errors import Unauthenticated
from afterthought.domain.tenant import Tenant
from afterthought.domain.tenants.identity import bearer, key_hash
from afterthought.services.ports import Accounts


def tenant_named(accounts: Accounts, name: str) -> Tenant:
    """The tenant with its limits and budgets, as they stand now. Raises Unauthenticated when it is no more."""
    tenant = accounts.tenant(name)
    if tenant is None:
        raise Unauthenticated("The API key's tenant is no more.")
    return tenant


@dataclass(frozen=True)
class Authenticate:
    accounts: Accounts

    def __call__(self, authorization: str | None) -> str:
        """The tenant of the header's key. Raises Unauthenticated, the same for an unknown and for a revoked key."""
        tenant = self.accounts.tenant_of(key_hash(bearer(authorization)))
        if tenant is None:
            raise Unauthenticated("The API key is not valid.")
        return tenant
