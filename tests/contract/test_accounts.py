"""The ports `Accounts`, `TenantRecords` and `Cipher`, on every backing."""

from datetime import timedelta
from decimal import Decimal

import pytest

from afterthought.adapters.dynamodb import to_item
from afterthought.domain.tenant import ApiKey, Tenant
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


def test_a_tenant_reads_back_as_it_was_put(backing: Backing) -> None:
    backing.accounts.put_tenant(ACME)
    assert backing.accounts.tenant("acme") == ACME


def test_a_tenant_with_all_its_limits_reads_back_exactly(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    assert backing.accounts.tenant("acme") == LIMITED


def test_a_tenant_kept_before_there_were_limits_still_reads(moto: AwsBacking) -> None:
    item = to_item({"pk": "TENANT#acme", "sk": "TENANT", "created_at": START, "webhook_secrets": (b"\x00sealed\xff",)})
    moto.clients.dynamodb.put_item(TableName=moto.names.account_table, Item=item)
    assert moto.accounts.tenant("acme") == ACME
    assert (ACME.tier, ACME.month_cap_usd, ACME.requests_per_minute) == ("tier1", None, None)


def test_a_tenant_is_put_once_and_not_over_another(backing: Backing) -> None:
    assert backing.accounts.put_tenant(ACME)
    assert not backing.accounts.put_tenant(LIMITED)
    assert backing.accounts.tenant("acme") == ACME


def test_changed_secrets_keep_their_order(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    changed = backing.accounts.change_tenant("acme", {"webhook_secrets": (b"new", b"old")})
    assert (
        changed == backing.accounts.tenant("acme") == LIMITED.model_copy(update={"webhook_secrets": (b"new", b"old")})
    )


def test_a_change_leaves_alone_what_it_does_not_name(backing: Backing) -> None:
    """Each of two admins writes only what he changes, so neither takes the other's away."""
    backing.accounts.put_tenant(ACME)
    backing.accounts.change_tenant("acme", {"month_cap_usd": Decimal("0.1")})
    backing.accounts.change_tenant("acme", {"tier": "tier2", "tokens_per_minute": 9})
    changed = {"month_cap_usd": Decimal("0.1"), "tier": "tier2", "tokens_per_minute": 9}
    assert backing.accounts.tenant("acme") == ACME.model_copy(update=changed)


def test_what_is_changed_to_none_is_gone(backing: Backing) -> None:
    backing.accounts.put_tenant(LIMITED)
    gone = {"month_cap_usd": None, "day_cap_usd": None, "requests_per_minute": None, "tokens_per_minute": None}
    assert backing.accounts.change_tenant("acme", gone) == ACME.model_copy(update={"tier": "tier4"})
    assert backing.accounts.change_tenant("acme", {"tier": "tier1", "month_cap_usd": None}) == ACME
    assert backing.accounts.tenant("acme") == ACME


def test_a_tenant_that_is_not_there_is_not_made_by_a_change(backing: Backing) -> None:
    assert backing.accounts.change_tenant("acme", {"tier": "tier2"}) is None
    assert backing.accounts.tenant("acme") is None


def test_a_tenant_that_is_not_there_reads_as_none(backing: Backing) -> None:
    assert backing.accounts.tenant("acme") is None


def test_a_live_key_names_its_tenant(backing: Backing) -> None:
    backing.accounts.put_key(KEY)
    assert backing.accounts.tenant_of(HASH) == "acme"


def test_an_unknown_key_names_nobody(backing: Backing) -> None:
    backing.accounts.put_key(KEY)
    assert backing.accounts.tenant_of("ef" * 32) is None


def test_a_revoked_key_names_nobody(backing: Backing) -> None:
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


def test_a_sealed_secret_opens_for_its_tenant(backing: Backing) -> None:
    sealed = backing.cipher.encrypt("whsec_abc", tenant="acme")
    assert backing.cipher.decrypt(sealed, tenant="acme") == "whsec_abc"


def test_a_sealed_secret_does_not_show(backing: Backing) -> None:
    assert b"whsec_abc" not in backing.cipher.encrypt("whsec_abc", tenant="acme")


def test_a_sealed_secret_opens_for_no_other_tenant(backing: Backing) -> None:
    sealed = backing.cipher.encrypt("whsec_abc", tenant="acme")
    assert backing.cipher.decrypt(sealed, tenant="acme") == "whsec_abc"
    with pytest.raises(Exception, match=r"(?i)tenant|ciphertext"):
        backing.cipher.decrypt(sealed, tenant="globex")


def test_no_item_of_a_key_is_found_by_a_tenants_name(moto: AwsBacking) -> None:
    """A tenant named as a key's hash, or the other way round, is another item."""
    moto.accounts.put_key(KEY)
    assert moto.accounts.tenant(HASH) is None
    assert moto.accounts.tenant_of("acme") is None
