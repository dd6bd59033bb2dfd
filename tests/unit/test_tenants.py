"""Tenants and keys: shown once, stored as a hash or encrypted."""

from datetime import timedelta
from decimal import Decimal

import pytest

from afterthought.domain.errors import Unauthenticated
from afterthought.domain.tenants.identity import hash_api_key
from afterthought.domain.tenants.tenant import Tenant
from afterthought.services.admin.tenants import AdminError, Credentials, TenantAdmin
from afterthought.services.intake.authenticate import Authenticator
from tests.simulator.world import World


class Fixture:
    """A world with a TenantAdmin."""

    def __init__(self) -> None:
        self.world = World()
        self.tenants = TenantAdmin(
            self.world.accounts, self.world.cipher, self.world.clock, self.world.random.randbytes
        )

    def create(self, name: str) -> Credentials:
        return self.tenants.create(name)

    def authenticate(self, api_key: str | None) -> str | None:
        try:
            return Authenticator(self.world.accounts).authenticate(f"Bearer {api_key}")
        except Unauthenticated:
            return None

    def tenant(self, name: str) -> Tenant:
        tenant = self.world.accounts.tenant(name)
        assert tenant is not None
        return tenant

    def secrets(self, name: str) -> list[str]:
        return [self.world.cipher.decrypt(sealed, tenant=name) for sealed in self.tenant(name).webhook_secrets]


@pytest.fixture
def admin() -> Fixture:
    return Fixture()


def test_new_key_identifies_its_tenant(admin: Fixture) -> None:
    created = admin.create("initech")
    assert admin.authenticate(created.api_key) == "initech"
    assert admin.secrets("initech") == [created.webhook_secret]


def test_keys_and_secrets_are_unique(admin: Fixture) -> None:
    one, two = admin.create("one"), admin.create("two")
    assert one.api_key != two.api_key
    assert one.webhook_secret != two.webhook_secret


def test_key_and_secret_are_not_stored(admin: Fixture) -> None:
    created = admin.create("initech")
    stored = repr([*admin.world.accounts.tenants(), *admin.world.accounts.api_keys()])
    assert created.api_key is not None
    assert created.webhook_secret is not None
    assert created.api_key not in stored
    assert created.webhook_secret not in stored
    assert hash_api_key(created.api_key) in stored


def test_fixed_key_and_secret_are_used(admin: Fixture) -> None:
    admin.tenants.create("local", api_key="local-key", webhook_secret="whsec_" + "A" * 44)
    assert admin.authenticate("local-key") == "local"
    assert admin.secrets("local") == ["whsec_" + "A" * 44]


@pytest.mark.parametrize("name", ["", "Acme", "a b", "a_b", "é", "a" * 41, "acme\n", "a#b"])
def test_invalid_name_is_refused(admin: Fixture, name: str) -> None:
    with pytest.raises(AdminError):
        admin.create(name)
    assert name not in admin.world.accounts.by_name


def test_existing_tenant_is_not_replaced(admin: Fixture) -> None:
    created = admin.create("initech")
    with pytest.raises(AdminError, match="exists already"):
        admin.create("initech")
    assert admin.secrets("initech") == [created.webhook_secret]


def test_second_key_works_with_the_first(admin: Fixture) -> None:
    first, second = admin.create("initech"), admin.tenants.add_key("initech")
    assert admin.authenticate(first.api_key) == admin.authenticate(second.api_key) == "initech"
    assert second.webhook_secret is None


def test_revoked_key_is_refused(admin: Fixture) -> None:
    first, second = admin.create("initech"), admin.tenants.add_key("initech")
    assert first.api_key is not None
    admin.tenants.revoke_key("initech", first.api_key[:10])
    assert admin.authenticate(first.api_key) is None
    assert admin.authenticate(second.api_key) == "initech"


def test_revoked_key_is_not_revoked_again(admin: Fixture) -> None:
    created = admin.create("initech")
    assert created.api_key is not None
    revoked = admin.tenants.revoke_key("initech", created.api_key[:10])
    admin.world.clock.pass_by(timedelta(days=1).total_seconds())
    with pytest.raises(AdminError, match="0 active keys"):
        admin.tenants.revoke_key("initech", created.api_key[:10])
    assert admin.world.accounts.by_hash[revoked.key_hash] == revoked


def test_ambiguous_hint_revokes_nothing(admin: Fixture) -> None:
    first, second = admin.create("initech"), admin.tenants.add_key("initech")
    with pytest.raises(AdminError, match="2 active keys"):
        admin.tenants.revoke_key("initech", "at_")
    assert admin.authenticate(first.api_key) == admin.authenticate(second.api_key) == "initech"


def test_key_of_another_tenant_is_kept(admin: Fixture) -> None:
    created = admin.create("initech")
    assert created.api_key is not None
    with pytest.raises(AdminError):
        admin.tenants.revoke_key("acme", created.api_key[:10])
    assert admin.authenticate(created.api_key) == "initech"


def test_rotation_keeps_one_old_secret(admin: Fixture) -> None:
    first = admin.create("initech")
    second, third = admin.tenants.rotate_secret("initech"), admin.tenants.rotate_secret("initech")
    assert admin.secrets("initech") == [third.webhook_secret, second.webhook_secret]
    assert first.webhook_secret not in admin.secrets("initech")
    assert second.api_key is None


def test_new_tenant_has_defaults(admin: Fixture) -> None:
    admin.create("initech")
    tenant = admin.tenant("initech")
    assert (tenant.tier, tenant.month_cap_usd, tenant.day_cap_usd) == ("tier1", None, None)
    assert (tenant.requests_per_minute, tenant.tokens_per_minute) == (None, None)


def test_new_tenant_with_another_tier(admin: Fixture) -> None:
    admin.tenants.create("initech", tier="tier3")
    assert admin.tenant("initech").tier == "tier3"


def test_unknown_tier_creates_no_tenant(admin: Fixture) -> None:
    with pytest.raises(AdminError, match=r"no tier 'tier9'\. The tiers are free, tier1"):
        admin.tenants.create("initech", tier="tier9")
    assert "initech" not in admin.world.accounts.by_name


def test_other_settings_are_kept(admin: Fixture) -> None:
    admin.create("initech")
    before = admin.tenant("initech")
    first = admin.tenants.configure("initech", {"month_budget": "100", "tokens_per_minute": "5000"})
    second = admin.tenants.configure("initech", {"tier": "tier2", "day_budget": "0.25", "requests_per_minute": "1"})
    assert first == before.model_copy(update={"month_cap_usd": Decimal(100), "tokens_per_minute": 5000})
    changed = {"tier": "tier2", "day_cap_usd": Decimal("0.25"), "requests_per_minute": 1}
    assert second == admin.tenant("initech") == first.model_copy(update=changed)


def test_none_removes_a_setting(admin: Fixture) -> None:
    admin.create("initech")
    before = admin.tenant("initech")
    settings = ("month_budget", "day_budget", "requests_per_minute", "tokens_per_minute")
    admin.tenants.configure("initech", dict.fromkeys(settings, "7"))
    assert admin.tenants.configure("initech", dict.fromkeys(settings, "none")) == admin.tenant("initech") == before


@pytest.mark.parametrize("text", ["0", "0.000000000001", "999999999.999999999999"])
def test_budget_is_stored_exactly(admin: Fixture, text: str) -> None:
    admin.create("initech")
    assert admin.tenants.configure("initech", {"day_budget": text}).day_cap_usd == Decimal(text)


@pytest.mark.parametrize("setting", ["month_budget", "day_budget"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "1_000",
        "$5",
        " 5",
        ".5",
        "5.",
        "00",
        "007",
        "00.5",
        "NaN",
        "9" * 10,
        "0." + "1" * 13,
        "٣",
        "5\n",
    ],
)
def test_invalid_budget_is_refused(admin: Fixture, setting: str, text: str) -> None:
    admin.create("initech")
    before = admin.tenant("initech")
    with pytest.raises(AdminError, match=setting.replace("_", "-")):
        admin.tenants.configure("initech", {"tier": "tier2", setting: text})
    assert admin.tenant("initech") == before


@pytest.mark.parametrize("setting", ["requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e3", "5 ", "1" * 13, "٣"])
def test_invalid_limit_is_refused(admin: Fixture, setting: str, text: str) -> None:
    admin.create("initech")
    before = admin.tenant("initech")
    with pytest.raises(AdminError, match=setting.replace("_", "-")):
        admin.tenants.configure("initech", {"tier": "tier2", setting: text})
    assert admin.tenant("initech") == before


@pytest.mark.parametrize("settings", [{}, {"tier": "tier9"}, {"tier": "none"}])
def test_invalid_settings_change_nothing(admin: Fixture, settings: dict[str, str]) -> None:
    admin.create("initech")
    before = admin.tenant("initech")
    with pytest.raises(AdminError):
        admin.tenants.configure("initech", settings)
    assert admin.tenant("initech") == before


def test_rotation_keeps_concurrent_change(admin: Fixture) -> None:
    admin.create("initech")
    calls = admin.world.calls
    # Just before the write: the rotation has read the tenant and encrypted the new secret.
    calls.before_call[len(calls.recorded) + 2] = lambda: admin.world.accounts.change_tenant(
        "initech", {"tier": "tier2"}
    )
    admin.tenants.rotate_secret("initech")
    assert admin.tenant("initech").tier == "tier2"
    assert len(admin.tenant("initech").webhook_secrets) == 2


def test_concurrent_create_has_one_winner(admin: Fixture) -> None:
    calls = admin.world.calls
    calls.before_call[len(calls.recorded) + 1] = lambda: admin.tenants.create("initech", tier="tier2")
    with pytest.raises(AdminError, match="exists already"):
        admin.create("initech")
    assert admin.tenant("initech").tier == "tier2"
    assert [key.tenant for key in admin.world.accounts.api_keys()].count("initech") == 1


def test_unknown_tenant_is_not_configured(admin: Fixture) -> None:
    with pytest.raises(AdminError, match="no tenant 'other'"):
        admin.tenants.configure("other", {"month_budget": "5"})
    assert admin.world.accounts.tenant("other") is None


@pytest.mark.parametrize("command", ["add_key", "rotate_secret"])
def test_unknown_tenant_gets_no_credentials(admin: Fixture, command: str) -> None:
    with pytest.raises(AdminError, match="no tenant"):
        getattr(admin.tenants, command)("other")
    assert admin.world.accounts.tenant("other") is None


@pytest.mark.parametrize("key", [None, "", "at_unknown"])
def test_unknown_key_is_refused(admin: Fixture, key: str | None) -> None:
    assert admin.authenticate(key) is None
