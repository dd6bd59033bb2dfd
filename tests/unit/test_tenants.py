"""Tenants and their keys: shown once, kept as a hash and sealed."""

from datetime import timedelta
from decimal import Decimal

import pytest

from afterthought.domain.errors import Unauthenticated
from afterthought.domain.identity import key_hash
from afterthought.domain.tenant import Tenant
from afterthought.services.authenticate import Authenticate
from afterthought.services.tenants import Credentials, TenantProblem, Tenants
from tests.simulator.world import World


class Office:
    """The admin's side of a world."""

    def __init__(self) -> None:
        self.world = World()
        self.tenants = Tenants(self.world.accounts, self.world.cipher, self.world.clock, self.world.random.randbytes)

    def create(self, name: str) -> Credentials:
        return self.tenants.create(name)

    def who(self, api_key: str | None) -> str | None:
        try:
            return Authenticate(self.world.accounts)(f"Bearer {api_key}")
        except Unauthenticated:
            return None

    def held(self, name: str) -> Tenant:
        tenant = self.world.accounts.tenant(name)
        assert tenant is not None
        return tenant

    def secrets(self, name: str) -> list[str]:
        return [self.world.cipher.decrypt(sealed, tenant=name) for sealed in self.held(name).webhook_secrets]


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_new_tenants_key_names_it(office: Office) -> None:
    made = office.create("initech")
    assert office.who(made.api_key) == "initech"
    assert office.secrets("initech") == [made.webhook_secret]


def test_two_tenants_never_share_a_key_or_a_secret(office: Office) -> None:
    one, two = office.create("one"), office.create("two")
    assert one.api_key != two.api_key
    assert one.webhook_secret != two.webhook_secret


def test_neither_key_nor_secret_is_kept_as_it_is(office: Office) -> None:
    made = office.create("initech")
    kept = repr([*office.world.accounts.tenants(), *office.world.accounts.api_keys()])
    assert made.api_key is not None
    assert made.webhook_secret is not None
    assert made.api_key not in kept
    assert made.webhook_secret not in kept
    assert key_hash(made.api_key) in kept


def test_a_fixed_key_and_secret_are_taken_as_given(office: Office) -> None:
    office.tenants.create("local", api_key="local-key", webhook_secret="whsec_" + "A" * 44)
    assert office.who("local-key") == "local"
    assert office.secrets("local") == ["whsec_" + "A" * 44]


@pytest.mark.parametrize("name", ["", "Acme", "a b", "a_b", "é", "a" * 41, "acme\n", "a#b"])
def test_a_name_out_of_form_makes_no_tenant(office: Office, name: str) -> None:
    with pytest.raises(TenantProblem):
        office.create(name)
    assert name not in office.world.accounts.by_name


def test_a_tenant_is_not_made_twice(office: Office) -> None:
    made = office.create("initech")
    with pytest.raises(TenantProblem, match="already"):
        office.create("initech")
    assert office.secrets("initech") == [made.webhook_secret]


def test_a_second_key_is_valid_beside_the_first(office: Office) -> None:
    first, second = office.create("initech"), office.tenants.add_key("initech")
    assert office.who(first.api_key) == office.who(second.api_key) == "initech"
    assert second.webhook_secret is None


def test_a_revoked_key_is_refused_from_the_next_request_on(office: Office) -> None:
    first, second = office.create("initech"), office.tenants.add_key("initech")
    assert first.api_key is not None
    office.tenants.revoke("initech", first.api_key[:10])
    assert office.who(first.api_key) is None
    assert office.who(second.api_key) == "initech"


def test_a_revoked_key_is_not_revoked_again(office: Office) -> None:
    made = office.create("initech")
    assert made.api_key is not None
    revoked = office.tenants.revoke("initech", made.api_key[:10])
    office.world.clock.pass_by(timedelta(days=1).total_seconds())
    with pytest.raises(TenantProblem, match="0 live keys"):
        office.tenants.revoke("initech", made.api_key[:10])
    assert office.world.accounts.by_hash[revoked.key_hash] == revoked


def test_a_hint_that_fits_two_keys_revokes_none(office: Office) -> None:
    first, second = office.create("initech"), office.tenants.add_key("initech")
    with pytest.raises(TenantProblem, match="2 live keys"):
        office.tenants.revoke("initech", "at_")
    assert office.who(first.api_key) == office.who(second.api_key) == "initech"


def test_no_tenant_revokes_anothers_key(office: Office) -> None:
    made = office.create("initech")
    assert made.api_key is not None
    with pytest.raises(TenantProblem):
        office.tenants.revoke("acme", made.api_key[:10])
    assert office.who(made.api_key) == "initech"


def test_a_rotation_keeps_the_secret_before_it_and_no_more(office: Office) -> None:
    first = office.create("initech")
    second, third = office.tenants.rotate_secret("initech"), office.tenants.rotate_secret("initech")
    assert office.secrets("initech") == [third.webhook_secret, second.webhook_secret]
    assert first.webhook_secret not in office.secrets("initech")
    assert second.api_key is None


def test_a_new_tenant_has_the_first_tier_and_no_budget(office: Office) -> None:
    office.create("initech")
    made = office.held("initech")
    assert (made.tier, made.month_cap_usd, made.day_cap_usd) == ("tier1", None, None)
    assert (made.requests_per_minute, made.tokens_per_minute) == (None, None)


def test_a_new_tenant_can_have_another_tier(office: Office) -> None:
    office.tenants.create("initech", tier="tier3")
    assert office.held("initech").tier == "tier3"


def test_a_tier_that_is_not_there_makes_no_tenant(office: Office) -> None:
    with pytest.raises(TenantProblem, match=r"no tier 'tier9'\. Tiers: free, tier1"):
        office.tenants.create("initech", tier="tier9")
    assert "initech" not in office.world.accounts.by_name


def test_what_is_set_stands_and_the_rest_stays(office: Office) -> None:
    office.create("initech")
    before = office.held("initech")
    first = office.tenants.set("initech", {"month_budget": "100", "tokens_per_minute": "5000"})
    second = office.tenants.set("initech", {"tier": "tier2", "day_budget": "0.25", "requests_per_minute": "1"})
    assert first == before.model_copy(update={"month_cap_usd": Decimal(100), "tokens_per_minute": 5000})
    changed = {"tier": "tier2", "day_cap_usd": Decimal("0.25"), "requests_per_minute": 1}
    assert second == office.held("initech") == first.model_copy(update=changed)


def test_what_is_set_to_none_is_gone(office: Office) -> None:
    office.create("initech")
    before = office.held("initech")
    settings = ("month_budget", "day_budget", "requests_per_minute", "tokens_per_minute")
    office.tenants.set("initech", dict.fromkeys(settings, "7"))
    assert office.tenants.set("initech", dict.fromkeys(settings, "none")) == office.held("initech") == before


@pytest.mark.parametrize("text", ["0", "0.000000000001", "999999999.999999999999"])
def test_a_budget_is_kept_to_its_last_digit(office: Office, text: str) -> None:
    office.create("initech")
    assert office.tenants.set("initech", {"day_budget": text}).day_cap_usd == Decimal(text)


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
def test_what_is_no_amount_sets_no_budget(office: Office, setting: str, text: str) -> None:
    office.create("initech")
    before = office.held("initech")
    with pytest.raises(TenantProblem, match=setting.replace("_", "-")):
        office.tenants.set("initech", {"tier": "tier2", setting: text})
    assert office.held("initech") == before


@pytest.mark.parametrize("setting", ["requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e3", "5 ", "1" * 13, "٣"])
def test_what_is_no_count_sets_no_limit(office: Office, setting: str, text: str) -> None:
    office.create("initech")
    before = office.held("initech")
    with pytest.raises(TenantProblem, match=setting.replace("_", "-")):
        office.tenants.set("initech", {"tier": "tier2", setting: text})
    assert office.held("initech") == before


@pytest.mark.parametrize("given", [{}, {"tier": "tier9"}, {"tier": "none"}])
def test_nothing_to_set_or_no_such_tier_sets_nothing(office: Office, given: dict[str, str]) -> None:
    office.create("initech")
    before = office.held("initech")
    with pytest.raises(TenantProblem):
        office.tenants.set("initech", given)
    assert office.held("initech") == before


def test_a_rotation_keeps_what_was_set_meanwhile(office: Office) -> None:
    office.create("initech")
    calls = office.world.calls
    # Just before the write: the rotation has read the tenant and sealed the new secret.
    calls.before_call[len(calls.recorded) + 2] = lambda: office.world.accounts.change_tenant(
        "initech", {"tier": "tier2"}
    )
    office.tenants.rotate_secret("initech")
    assert office.held("initech").tier == "tier2"
    assert len(office.held("initech").webhook_secrets) == 2


def test_of_two_who_make_the_same_tenant_only_the_first_does(office: Office) -> None:
    calls = office.world.calls
    calls.before_call[len(calls.recorded) + 1] = lambda: office.tenants.create("initech", tier="tier2")
    with pytest.raises(TenantProblem, match="already"):
        office.create("initech")
    assert office.held("initech").tier == "tier2"
    assert [key.tenant for key in office.world.accounts.api_keys()].count("initech") == 1


def test_a_tenant_that_is_not_there_is_not_set(office: Office) -> None:
    with pytest.raises(TenantProblem, match="no tenant 'nobody'"):
        office.tenants.set("nobody", {"month_budget": "5"})
    assert office.world.accounts.tenant("nobody") is None


@pytest.mark.parametrize("command", ["add_key", "rotate_secret"])
def test_a_tenant_that_is_not_there_gets_nothing(office: Office, command: str) -> None:
    with pytest.raises(TenantProblem, match="no tenant"):
        getattr(office.tenants, command)("nobody")
    assert office.world.accounts.tenant("nobody") is None


@pytest.mark.parametrize("key", [None, "", "at_unknown"])
def test_a_key_that_nobody_has_is_refused(office: Office, key: str | None) -> None:
    assert office.who(key) is None
