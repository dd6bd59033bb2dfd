"""Make tenants and their keys. A key and a secret are shown once, to who makes them, and never kept as they are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.identity import TENANT_NAME, key_hash
from afterthought.domain.signature import new_secret
from afterthought.domain.tenant import ApiKey, Tenant
from afterthought.services.ports import Cipher

_HINT_CHARACTERS = 10
_SECRETS_KEPT = 2


class TenantProblem(AfterthoughtError):
    """An admin command that cannot be carried out; the message says why."""


class TenantRecords(Protocol):
    """The tenants' table, as the admin sees it."""

    def tenant(self, name: str) -> Tenant | None: ...

    def put_tenant(self, tenant: Tenant) -> None: ...

    def put_key(self, key: ApiKey) -> None: ...

    def tenants(self) -> Iterable[Tenant]: ...

    def api_keys(self) -> Iterable[ApiKey]: ...


@dataclass(frozen=True)
class Credentials:
    """Shown once. What a command did not make anew is None."""

    tenant: str
    api_key: str | None
    webhook_secret: str | None


@dataclass(frozen=True)
class Tenants:
    records: TenantRecords
    cipher: Cipher
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]

    def create(self, name: str, *, api_key: str | None = None, webhook_secret: str | None = None) -> Credentials:
        """A new tenant with a key and a secret; a local stack passes fixed ones. Raises TenantProblem."""
        if not TENANT_NAME.fullmatch(name):
            raise TenantProblem(f"'{name}' is no tenant name: 1 to 40 of a-z, 0-9 and -.")
        if self.records.tenant(name) is not None:
            raise TenantProblem(f"There is a tenant '{name}' already.")
        secret = webhook_secret or new_secret(self.random_bytes(32))
        sealed = self.cipher.encrypt(secret, tenant=name)
        self.records.put_tenant(Tenant(name=name, created_at=self.clock(), webhook_secrets=(sealed,)))
        return Credentials(name, self._new_key(name, api_key), secret)

    def add_key(self, name: str) -> Credentials:
        """One more key for a tenant: hand it out, then revoke the old one. Raises TenantProblem."""
        self._known(name)
        return Credentials(name, self._new_key(name, None), None)

    def rotate_secret(self, name: str) -> Credentials:
        """A new webhook secret. The one before stays valid beside it until the next rotation: every delivery carries a
        signature of both. Raises TenantProblem."""
        tenant = self._known(name)
        secret = new_secret(self.random_bytes(32))
        kept = (self.cipher.encrypt(secret, tenant=name), *tenant.webhook_secrets)[:_SECRETS_KEPT]
        self.records.put_tenant(tenant.model_copy(update={"webhook_secrets": kept}))
        return Credentials(name, None, secret)

    def revoke(self, name: str, hint: str) -> ApiKey:
        """Ends the live key of a tenant that begins with `hint`, from the next request on. Raises TenantProblem."""
        self._known(name)
        found = [
            k for k in self.records.api_keys() if k.tenant == name and k.hint.startswith(hint) and not k.revoked_at
        ]
        if len(found) != 1:
            raise TenantProblem(f"{len(found)} live keys of '{name}' begin with '{hint}'; one must.")
        revoked = found[0].model_copy(update={"revoked_at": self.clock()})
        self.records.put_key(revoked)
        return revoked

    def _known(self, name: str) -> Tenant:
        tenant = self.records.tenant(name)
        if tenant is None:
            raise TenantProblem(f"There is no tenant '{name}'.")
        return tenant

    def _new_key(self, name: str, fixed: str | None) -> str:
        api_key = fixed or f"at_{self.random_bytes(24).hex()}"
        self.records.put_key(
            ApiKey(key_hash=key_hash(api_key), tenant=name, hint=api_key[:_HINT_CHARACTERS], created_at=self.clock())
        )
        return api_key
