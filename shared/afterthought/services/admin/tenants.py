"""Create tenants and keys, and set budgets and limits.

A key and a secret are shown once, when they are created. Only the hash of the key and the encrypted secret are stored.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.tenants.identity import TENANT_NAME, hash_api_key
from afterthought.domain.tenants.tenant import DEFAULT_TIER, ApiKey, Tenant
from afterthought.domain.webhooks.signature import new_secret
from afterthought.services.ports import Cipher

_HINT_CHARACTERS = 10
_MAX_SECRETS = 2

# With more digits, a budget minus a job's maximum cost might not fit the 38 digits of a DynamoDB number.
_USD = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,12})?")
_COUNT = re.compile(r"[1-9][0-9]{0,11}")
NONE = "none"
"""The value that removes a budget or a limit."""


class AdminError(AfterthoughtError):
    """An admin command failed. The message says why."""


class TenantRecords(Protocol):
    """The tenants and keys, with the methods that admins need."""

    def tenant(self, name: str) -> Tenant | None: ...

    def put_tenant(self, tenant: Tenant) -> bool:
        """Writes a new tenant. False, without a change, when the name exists."""

    def change_tenant(self, name: str, changes: Mapping[str, Any]) -> Tenant | None:
        """Writes only these fields, so that concurrent changes do not undo each other. None removes a field. Returns
        the changed tenant, or None when there is no such tenant."""

    def put_key(self, key: ApiKey) -> None: ...

    def tenants(self) -> Iterable[Tenant]: ...

    def api_keys(self) -> Iterable[ApiKey]: ...


@dataclass(frozen=True)
class Credentials:
    """Shown once. What the command did not create is None."""

    tenant: str
    api_key: str | None
    webhook_secret: str | None


@dataclass(frozen=True)
class TenantAdmin:
    """Methods raise AdminError before they change anything."""

    records: TenantRecords
    cipher: Cipher
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    tiers: Mapping[str, RateTier] = field(default_factory=lambda: default_catalogue().tiers)

    def create(
        self, name: str, *, tier: str = DEFAULT_TIER, api_key: str | None = None, webhook_secret: str | None = None
    ) -> Credentials:
        """Creates a tenant with a key and a secret. A local stack passes fixed ones."""
        if not TENANT_NAME.fullmatch(name):
            raise AdminError(f"'{name}' is not a valid tenant name: use 1 to 40 characters of a-z, 0-9 and -.")
        tier = self._valid_tier(tier)
        secret = webhook_secret or new_secret(self.random_bytes(32))
        sealed = self.cipher.encrypt(secret, tenant=name)
        tenant = Tenant(name=name, created_at=self.clock(), webhook_secrets=(sealed,), tier=tier)
        if not self.records.put_tenant(tenant):
            raise AdminError(f"The tenant '{name}' exists already.")
        return Credentials(name, self._new_key(name, api_key), secret)

    def configure(self, name: str, settings: Mapping[str, str]) -> Tenant:
        """Changes these settings, given as text: `tier`, `month_budget`, `day_budget` (dollars, or "none"),
        `requests_per_minute`, `tokens_per_minute` (whole numbers, or "none" for the tier's limit). Returns the changed
        tenant."""
        if not settings:
            raise AdminError("Nothing to set: give a tier, a budget or a limit.")
        changes: dict[str, Any] = {}
        for setting, text in settings.items():
            if setting == "tier":
                changes["tier"] = self._valid_tier(text)
            else:
                attribute, parse = _SETTINGS[setting]
                changes[attribute] = None if text == NONE else parse(setting, text)
        changed = self.records.change_tenant(name, changes)
        if changed is None:
            raise _unknown(name)
        return changed

    def add_key(self, name: str) -> Credentials:
        """Creates an additional key, so that the old one can be revoked after the tenant has changed over."""
        self._tenant(name)
        return Credentials(name, self._new_key(name, None), None)

    def rotate_secret(self, name: str) -> Credentials:
        """Creates a webhook secret. The previous one stays valid until the next rotation: each delivery is signed with
        both."""
        tenant = self._tenant(name)
        secret = new_secret(self.random_bytes(32))
        secrets = (self.cipher.encrypt(secret, tenant=name), *tenant.webhook_secrets)[:_MAX_SECRETS]
        self.records.change_tenant(name, {"webhook_secrets": secrets})
        return Credentials(name, None, secret)

    def revoke_key(self, name: str, hint: str) -> ApiKey:
        """Revokes the tenant's active key that starts with `hint`, from the next request on."""
        self._tenant(name)
        keys = [
            key
            for key in self.records.api_keys()
            if key.tenant == name and key.hint.startswith(hint) and not key.revoked_at
        ]
        if len(keys) != 1:
            raise AdminError(f"{len(keys)} active keys of '{name}' start with '{hint}'; it must be exactly one.")
        revoked = keys[0].model_copy(update={"revoked_at": self.clock()})
        self.records.put_key(revoked)
        return revoked

    def _tenant(self, name: str) -> Tenant:
        tenant = self.records.tenant(name)
        if tenant is None:
            raise _unknown(name)
        return tenant

    def _valid_tier(self, tier: str) -> str:
        if tier not in self.tiers:
            raise AdminError(f"There is no tier '{tier}'. The tiers are {', '.join(self.tiers)}.")
        return tier

    def _new_key(self, name: str, fixed: str | None) -> str:
        api_key = fixed or f"at_{self.random_bytes(24).hex()}"
        self.records.put_key(
            ApiKey(
                key_hash=hash_api_key(api_key), tenant=name, hint=api_key[:_HINT_CHARACTERS], created_at=self.clock()
            )
        )
        return api_key


def _unknown(name: str) -> AdminError:
    return AdminError(f"There is no tenant '{name}'.")


def _usd(setting: str, text: str) -> Decimal:
    if not _USD.fullmatch(text):
        raise AdminError(
            f"{setting.replace('_', '-')} is '{text}'; it must be dollars such as 100 or 0.25, with at most 9 digits "
            f"before the decimal point and 12 after it, or {NONE}."
        )
    return Decimal(text)


def _count(setting: str, text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise AdminError(
            f"{setting.replace('_', '-')} is '{text}'; it must be a whole number of at least 1, or {NONE} for the "
            "tier's limit."
        )
    return int(text)


_SETTINGS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "month_budget": ("month_cap_usd", _usd),
    "day_budget": ("day_cap_usd", _usd),
    "requests_per_minute": ("requests_per_minute", _count),
    "tokens_per_minute": ("tokens_per_minute", _count),
}
