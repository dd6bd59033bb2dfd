"""The ports `Accounts`, `TenantRecords` and `Cipher`, on every backing."""

from datetime import timedelta

import pytest

from afterthought.domain.tenant import ApiKey, Tenant
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START

HASH = "cd" * 32
ACME = Tenant(name="acme", created_at=START, webhook_secrets=(b"\x00sealed\xff",))
KEY = ApiKey(key_hash=HASH, tenant="acme", hint="at_1234567", created_at=START)


def test_a_tenant_reads_back_as_it_was_put(backing: Backing) -> None:
    backing.accounts.put_tenant(ACME)
    assert backing.accounts.tenant("acme") == ACME


def test_a_tenant_with_two_secrets_keeps_their_order(backing: Backing) -> None:
    rotated = ACME.model_copy(update={"webhook_secrets": (b"new", b"old")})
    backing.accounts.put_tenant(ACME)
    backing.accounts.put_tenant(rotated)
    assert backing.accounts.tenant("acme") == rotated


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
