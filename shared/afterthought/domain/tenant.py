"""Who uses the service."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Tenant(BaseModel):
    """`webhook_secrets` are encrypted, newest first; while a rotation overlaps there are two."""

    model_config = ConfigDict(frozen=True)

    name: str
    created_at: AwareDatetime
    webhook_secrets: tuple[bytes, ...]


class ApiKey(BaseModel):
    """What is kept of a key: its hash, never the key. `hint` is its first characters, to tell keys apart in a list."""

    model_config = ConfigDict(frozen=True)

    key_hash: str
    tenant: str
    hint: str
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
