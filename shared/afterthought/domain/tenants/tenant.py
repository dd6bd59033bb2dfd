"""Tenants and their API keys."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from afterthought.domain.models.pricing import Usd

DEFAULT_TIER = "tier1"
"""The rate tier of a new tenant without an explicit one."""


class Tenant(BaseModel):
    """`webhook_secrets` are encrypted, newest first; after a rotation there are two.

    `month_cap_usd` and `day_cap_usd` are budgets in dollars: None means no limit, 0 blocks every job. `tier` is a rate
    tier of the catalogue. `requests_per_minute` and `tokens_per_minute` are limits per model that replace those of the
    tier.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    created_at: AwareDatetime
    webhook_secrets: tuple[bytes, ...]
    tier: str = DEFAULT_TIER
    month_cap_usd: Annotated[Usd, Field(ge=0)] | None = None
    day_cap_usd: Annotated[Usd, Field(ge=0)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None


class ApiKey(BaseModel):
    """The stored form of a key: its hash, never the key. `hint` is its first characters, to identify it in a list."""

    model_config = ConfigDict(frozen=True)

    key_hash: str
    tenant: str
    hint: str
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
