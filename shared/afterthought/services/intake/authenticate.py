"""Authentication by API key."""

from dataclasses import dataclass

from afterthought.domain.errors import Unauthenticated
from afterthought.domain.tenants.identity import bearer_key, hash_api_key
from afterthought.domain.tenants.tenant import Tenant
from afterthought.services.ports import Accounts


def load_tenant(accounts: Accounts, name: str) -> Tenant:
    """The tenant with its current limits and budgets. Raises Unauthenticated if it no longer exists."""
    tenant = accounts.tenant(name)
    if tenant is None:
        raise Unauthenticated("The tenant of the API key no longer exists.")
    return tenant


@dataclass(frozen=True)
class Authenticator:
    accounts: Accounts

    def authenticate(self, authorization: str | None) -> str:
        """The tenant of the key. Raises Unauthenticated, with the same message for an unknown and a revoked key."""
        tenant = self.accounts.tenant_of(hash_api_key(bearer_key(authorization)))
        if tenant is None:
            raise Unauthenticated("The API key is not valid.")
        return tenant
