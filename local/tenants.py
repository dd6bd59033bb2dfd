"""The two tenants of every local stack. Their keys and secrets are fixed and public."""

import secrets
from dataclasses import dataclass

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.clock import now
from afterthought.adapters.kms import KmsCipher
from afterthought.domain.webhooks.signature import new_secret
from afterthought.services.admin.tenants import TenantAdmin
from local.cloud import Cloud
from local.stack import Stack


@dataclass(frozen=True)
class LocalTenant:
    name: str
    api_key: str
    webhook_secret: str


def local_tenant(name: str) -> LocalTenant:
    return LocalTenant(name, f"local-key-{name}", new_secret(f"open secret of local tenant {name}".encode()))


ACME = local_tenant("acme")
GLOBEX = local_tenant("globex")
TENANTS = (ACME, GLOBEX)


def seed(cloud: Cloud, stack: Stack) -> None:
    """Create the tenants as the admin command does, with the key hashed and the secret encrypted."""
    tenants = TenantAdmin(
        records=AccountTable(cloud.dynamodb, stack["AccountTableName"]),
        cipher=KmsCipher(cloud.kms, stack["SecretsKeyArn"]),
        clock=now,
        random_bytes=secrets.token_bytes,
    )
    for tenant in TENANTS:
        # The tier with the highest limits.
        tenants.create(tenant.name, tier="tier5", api_key=tenant.api_key, webhook_secret=tenant.webhook_secret)
