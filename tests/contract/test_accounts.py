"""The ports `Accounts`, `TenantRecords` and `Cipher`, on every backing."""

from datetime import timedelta
from decimal import Decimal

import pytest

from afterthought.adapters.dynamodb import to_item
from afterthought.domain.tenants.tenant import ApiKey, Tenant
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START

HASH = "cd" * 32
ACME = Tenant(name="acme", created_at=START, webhook_secrets=(b"\x00sealed\xff",))
LIMITED = ACME.model_copy(
    update={
        "tier": "tier4",
        "month_cap_usd": Decimal("999999999.000000000001"),
        "day_cap_usd": Decimal(0),
        "requests_per_minute": 7,
        "tokens_per_minute": 150_000_000,
    }
)
KEY = ApiKey(key_hash=HASH, tenant="acme", hint="at_1234567", created_at=START)


def test_tenant_reads_back_equal(backing: Backing) -> None:
    backing.accounts.put_tenant(ACME)
    assert backing.accounts.tenant("acme") == ACME


def test_limits_read_back_exactly(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    assert backing.accounts.tenant("acme") == LIMITED


def test_tenant_without_limits_is_readable(moto: AwsBacking) -> None:
    item = to_item({"pk": "TENANT#acme", "sk": "TENANT", "created_at": START, "webhook_secrets": (b"\x00sealed\xff",)})
    moto.clients.dynamodb.put_item(TableName=moto.names.account_table, Item=item)
    assert moto.accounts.tenant("acme") == ACME
    assert (ACME.tier, ACME.month_cap_usd, ACME.requests_per_minute) == ("tier1", None, None)


def test_existing_tenant_is_not_replaced(backing: Backing) -> None:
    assert backing.accounts.put_tenant(ACME)
    assert not backing.accounts.put_tenant(LIMITED)
    assert backing.accounts.tenant("acme") == ACME


def test_secrets_keep_their_order(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    changed = backing.accounts.change_tenant("acme", {"webhook_secrets": (b"new", b"old")})
    assert (
        changed == backing.accounts.tenant("acme") == LIMITED.model_copy(update={"webhook_secrets": (b"new", b"old")})
    )


def test_change_keeps_other_fields(backing: Backing) -> None:
    """Two concurrent changes of different fields both persist."""
    backing.accounts.put_tenant(ACME)
    backing.accounts.change_tenant("acme", {"month_cap_usd": Decimal("0.1")})
    backing.accounts.change_tenant("acme", {"tier": "tier2", "tokens_per_minute": 9})
    changed = {"month_cap_usd": Decimal("0.1"), "tier": "tier2", "tokens_per_minute": 9}
    assert backing.accounts.tenant("acme") == ACME.model_copy(update=changed)


def test_none_removes_a_field(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    removed = {"month_cap_usd": None, "day_cap_usd": None, "requests_per_minute": None, "tokens_per_minute": None}
    assert backing.accounts.change_tenant("acme", removed) == ACME.model_copy(update={"tier": "tier4"})
    assert backing.accounts.change_tenant("acme", {"tier": "tier1", "month_cap_usd": None}) == ACME
    assert backing.accounts.tenant("acme") == ACME


def test_change_creates_no_tenant(backing: Backing) -> None:
    assert backing.accounts.change_tenant("acme", {"tier": "tier2"}) is None
    assert backing.accounts.tenant("acme") is None


def test_missing_tenant_reads_as_none(backing: Backing) -> None:
    assert backing.accounts.tenant("acme") is None


def test_active_key_identifies_its_tenant(backing: Backing) -> None:
    backing.accounts.put_key(KEY)
    assert backing.accounts.tenant_of(HASH) == "acme"


def test_unknown_key_has_no_tenant(backing: Backing) -> None:
    backing.accounts.put_key(KEY)
    assert backing.accounts.tenant_of("ef" * 32) is None


def test_revoked_key_has_no_tenant(backing: Backing) -> None:
    backing.accounts.put_key(KEY)
    backing.accounts.put_key(KEY.model_copy(update={"revoked_at": START + timedelta(days=1)}))
    assert backing.accounts.tenant_of(HASH) is None


def test_all_tenants_and_keys_are_listed(backing: Backing) -> None:
    globex = ACME.model_copy(update={"name": "globex"})
    revoked = KEY.model_copy(update={"key_hash": "ef" * 32, "revoked_at": START})
    for tenant in (ACME, globex):
        backing.accounts.put_tenant(tenant)
    for key in (KEY, revoked):
        backing.accounts.put_key(key)
    assert sorted(backing.accounts.tenants(), key=lambda tenant: tenant.name) == [ACME, globex]
    assert sorted(backing.accounts.api_keys(), key=lambda key: key.key_hash) == [KEY, revoked]


def test_secret_decrypts_for_its_tenant(backing: Backing) -> None:
    sealed = backing.cipher.encrypt("whsec_abc", tenant="acme")
    assert backing.cipher.decrypt(sealed, tenant="acme") == "whsec_abc"


def test_encrypted_secret_is_unreadable(backing: Backing) -> None:
    assert b"whsec_abc" not in backing.cipher.encrypt("whsec_abc", tenant="acme")


def test_secret_is_bound_to_its_tenant(backing: Backing) -> None:
    sealed = backing.cipher.encrypt("whsec_abc", tenant="acme")
    assert backing.cipher.decrypt(sealed, tenant="acme") == "whsec_abc"
    with pytest.raises(Exception, match=r"(?i)tenant|ciphertext"):
        backing.cipher.decrypt(sealed, tenant="globex")


def test_key_items_and_tenant_items_differ(moto: AwsBacking) -> None:
    """A tenant whose name equals the hash of a key is a different item, and the other way round."""
    moto.accounts.put_key(KEY)
    assert moto.accounts.tenant(HASH) is None
    assert moto.accounts.tenant_of("acme") is None
