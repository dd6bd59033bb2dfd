"""Make tenants and their keys, and say what they may spend. A key and a secret are shown once, to who makes them, and
never kept as they are."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.identity import TENANT_NAME, key_hash
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.signature import new_secret
from afterthought.domain.tenant import FIRST_TIER, ApiKey, Tenant
from afterthought.services.ports import Cipher

_HINT_CHARACTERS = 10
_SECRETS_KEPT = 2

# With more digits, a budget less a job's bound might not fit the 38 of a DynamoDB number.
_USD = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,12})?")
_COUNT = re.compile(r"[1-9][0-9]{0,11}")
NONE = "none"
"""What a person writes to take a budget or a limit away."""


class TenantProblem(AfterthoughtError):
    """An admin command that cannot be carried out; the message says why."""


class TenantRecords(Protocol):
    """The tenants' table, as the admin sees it."""

    def tenant(self, name: str) -> Tenant | None: ...

    def put_tenant(self, tenant: Tenant) -> bool:
        """Writes a new tenant. False when there is one of that name: it stays as it is."""

    def change_tenant(self, name: str, changes: Mapping[str, Any]) -> Tenant | None:
        """Writes only these fields (None takes one away), so that two changes at once both last. The tenant as it then
        stands; None when there is no such tenant."""

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
    tiers: Mapping[str, RateTier] = field(default_factory=lambda: default_catalogue().tiers)

    def create(
        self, name: str, *, tier: str = FIRST_TIER, api_key: str | None = None, webhook_secret: str | None = None
    ) -> Credentials:
        """A new tenant with a key and a secret; a local stack passes fixed ones. Raises TenantProblem."""
        if not TENANT_NAME.fullmatch(name):
            raise TenantProblem(f"'{name}' is no tenant name: 1 to 40 of a-z, 0-9 and -.")
        tier = self._known_tier(tier)
        secret = webhook_secret or new_secret(self.random_bytes(32))
        sealed = self.cipher.encrypt(secret, tenant=name)
        made = Tenant(name=name, created_at=self.clock(), webhook_secrets=(sealed,), tier=tier)
        if not self.records.put_tenant(made):
            raise TenantProblem(f"There is a tenant '{name}' already.")
        return Credentials(name, self._new_key(name, api_key), secret)

    def set(self, name: str, given: Mapping[str, str]) -> Tenant:
        """Changes what is given, as a person writes it: `tier`, `month_budget`, `day_budget` (dollars, or "none"),
        `requests_per_minute`, `tokens_per_minute` (whole numbers, or "none" for the tier's). The tenant as it then
        stands. Raises TenantProblem, and then has changed nothing."""
        if not given:
            raise TenantProblem("What is to be set? A tier, a budget or a limit.")
        changes: dict[str, Any] = {}
        for setting, text in given.items():
            if setting == "tier":
                changes["tier"] = self._known_tier(text)
            else:
                attribute, read = _SETTINGS[setting]
                changes[attribute] = None if text == NONE else read(setting, text)
        changed = self.records.change_tenant(name, changes)
        if changed is None:
            raise _unknown(name)
        return changed

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
        self.records.change_tenant(name, {"webhook_secrets": kept})
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
            raise _unknown(name)
        return tenant

    def _known_tier(self, tier: str) -> str:
        if tier not in self.tiers:
            raise TenantProblem(f"There is no tier '{tier}'. Tiers: {', '.join(self.tiers)}.")
        return tier

    def _new_key(self, name: str, fixed: str | None) -> str:
        api_key = fixed or f"at_{self.random_bytes(24).hex()}"
        self.records.put_key(
            ApiKey(key_hash=key_hash(api_key), tenant=name, hint=api_key[:_HINT_CHARACTERS], created_at=self.clock())
        )
        return api_key


def _unknown(name: str) -> TenantProblem:
    return TenantProblem(f"There is no tenant '{name}'.")


def _usd(setting: str, text: str) -> Decimal:
    if not _USD.fullmatch(text):
        raise TenantProblem(
            f"{setting.replace('_', '-')} is '{text}'; it must be dollars such as 100 or 0.25, with at most 9 digits "
            f"before the point and 12 after it, or {NONE}."
        )
    return Decimal(text)


def _count(setting: str, text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise TenantProblem(
            f"{setting.replace('_', '-')} is '{text}'; it must be a whole number from 1 on, or {NONE} for the tier's."
        )
    return int(text)


_SETTINGS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "month_budget": ("month_cap_usd", _usd),
    "day_budget": ("day_cap_usd", _usd),
    "requests_per_minute": ("requests_per_minute", _count),
    "tokens_per_minute": ("tokens_per_minute", _count),
}
