"""Who uses the service."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from afterthought.domain.pricing import Usd

FIRST_TIER = "tier1"
"""The rate tier of a tenant that was given none."""


class Tenant(BaseModel):
    """`webhook_secrets` are encrypted, newest first; while a rotation overlaps there are two.

    `month_cap_usd` and `day_cap_usd` are budgets in dollars: None is no limit, 0 lets nothing run. `tier` is a rate
    tier of the catalogue; `requests_per_minute` and `tokens_per_minute` are the tenant's own limits (per model), each
    of which takes the place of its tier's.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    created_at: AwareDatetime
    webhook_secrets: tuple[bytes, ...]
    tier: str = FIRST_TIER
    month_cap_usd: Annotated[Usd, Field(ge=0)] | None = None
    day_cap_usd: Annotated[Usd, Field(ge=0)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None


class ApiKey(BaseModel):
    """What is kept of a key: its hash, never the key. `hint` is its first characters, to tell keys apart in a list."""

    model_config = ConfigDict(frozen=True)

    key_hash: str
    tenant: str
    hint: str
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
