"""The shipped catalogue: limits and prices of the models, and their providers."""

import tomllib
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import Catalogue, CatalogueError, default_catalogue
from afterthought.catalogue.loader import DEFAULT_DIRECTORY
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import ServiceTier
from afterthought.domain.models.provider import Provider

TODAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return default_catalogue()


def model(catalogue: Catalogue, name: str) -> Model:
    result = catalogue.find(name)
    assert result is not None
    return result


# Models


OPEN_WEIGHTS = ("gpt-oss-120b", "gpt-oss-20b", "qwen3-32b")


def test_all_models_are_listed(catalogue: Catalogue) -> None:
    assert set(catalogue.models) == {
        *("o1-preview", "o1-mini", "o1", "o1-pro", "o3-mini", "o3", "o3-pro", "o4-mini"),
        *("gpt-4o", "gpt-4o-2024-05-13", "gpt-4o-mini"),
        *("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "gpt-5.1", "gpt-5.2"),
        *("gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5"),
        *("gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"),
        *("gpt-6-astra", "gpt-6-sol", "gpt-6-luna", "gpt-6.1-sol"),
        *OPEN_WEIGHTS,
    }


@pytest.mark.parametrize(
    ("names", "efforts", "default"),
    [
        (["o1-preview", "o1-mini", "gpt-4o", "gpt-4o-2024-05-13", "gpt-4o-mini"], "", None),
        (["o1", "o1-pro", "o3-mini", "o3", "o3-pro", "o4-mini"], "low medium high", "medium"),
        (["gpt-5", "gpt-5-mini", "gpt-5-nano"], "minimal low medium high", "medium"),
        (["gpt-5-pro"], "high", "high"),
        (["gpt-5.1"], "none low medium high", "none"),
        (["gpt-5.2", "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5"], "none low medium high xhigh", "medium"),
        (["gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"], "none low medium high xhigh max", "medium"),
        (["gpt-6-sol", "gpt-6-luna"], "none low medium high xhigh max", "medium"),
        (["gpt-6-astra", "gpt-6.1-sol"], "low medium high xhigh max", "medium"),
        (["gpt-oss-120b", "gpt-oss-20b"], "low medium high", "medium"),
        (["qwen3-32b"], "", None),
    ],
)
def test_efforts_by_generation(catalogue: Catalogue, names: list[str], efforts: str, default: str | None) -> None:
    for name in names:
        assert model(catalogue, name).efforts == tuple(efforts.split()), name
        assert model(catalogue, name).default_effort == default, name


def test_snapshot_resolves_to_its_model(catalogue: Catalogue) -> None:
    assert model(catalogue, "o3-2025-04-16").id == "o3"
    assert catalogue.find("o3-2025-04-17") is None
    assert catalogue.find("") is None


def test_first_gpt_4o_is_a_separate_model(catalogue: Catalogue) -> None:
    first = model(catalogue, "gpt-4o-2024-05-13")
    assert first.id == "gpt-4o-2024-05-13"
    assert first.price("standard", 1, TODAY).output > model(catalogue, "gpt-4o").price("standard", 1, TODAY).output


def test_published_limits_and_features(catalogue: Catalogue) -> None:
    o3_mini = model(catalogue, "o3-mini")
    assert (o3_mini.context_window_input, o3_mini.max_output_tokens) == (200_000, 100_000)
    assert (o3_mini.input_modalities, o3_mini.tools, o3_mini.structured_outputs) == (("text",), True, True)
    o1_mini = model(catalogue, "o1-mini")
    assert (o1_mini.context_window_input, o1_mini.max_output_tokens) == (128_000, 65_536)
    assert (o1_mini.reasoning, o1_mini.tools, o1_mini.structured_outputs) == (True, False, False)
    assert "image" in model(catalogue, "gpt-6-astra").input_modalities
    assert not model(catalogue, "gpt-4o").reasoning


def test_typical_output_tokens(catalogue: Catalogue) -> None:
    """An assumption that is used only for rate limits, as the README of the catalogue states."""
    for each in catalogue.models.values():
        small = each.id.endswith(("-mini", "-nano", "-luna", "-20b", "-32b"))
        pro = each.id.endswith("-pro")
        expected = 500 if not each.reasoning else 16_000 if pro else 3_000 if small else 5_000
        assert each.typical_output_tokens == expected, each.id


def test_every_model_has_a_standard_price(catalogue: Catalogue) -> None:
    for each in catalogue.models.values():
        # The cost of a user's own machines is unknown.
        assert (each.price("standard", 1, TODAY).output == 0) == (each.id in OPEN_WEIGHTS), each.id


def test_price_row_ids_are_unique(catalogue: Catalogue) -> None:
    rows = [row for each in catalogue.models.values() for row in each.prices]
    assert len({row.id for row in rows}) == len(rows)
    assert all(row.id.startswith(f"{row.model}/{row.tier}/{row.effective_from}") for row in rows)


def test_price_change_applies_from_its_day(catalogue: Catalogue) -> None:
    luna = model(catalogue, "gpt-5.6-luna")
    before, after = luna.price("standard", 1, date(2026, 7, 29)), luna.price("standard", 1, date(2026, 7, 30))
    assert (before.input, before.output) == (Decimal(1), Decimal(6))
    assert (after.input, after.output) == (Decimal("0.2"), Decimal("1.2"))
    assert after.id == "gpt-5.6-luna/standard/2026-07-30"
    o3 = model(catalogue, "o3")
    assert o3.price("standard", 1, date(2025, 6, 9)).cached_input == Decimal("2.5")
    assert o3.price("standard", 1, date(2025, 6, 10)).output == Decimal(8)


def test_long_context_price_starts_above_272k(catalogue: Catalogue) -> None:
    luna = model(catalogue, "gpt-5.6-luna")
    assert luna.price("standard", 272_000, TODAY).id == "gpt-5.6-luna/standard/2026-07-30"
    above = luna.price("standard", 272_001, TODAY)
    assert above.id == "gpt-5.6-luna/standard/2026-07-30/above-272k"
    assert above.output == Decimal("1.8")


def test_tier_without_long_context_row(catalogue: Catalogue) -> None:
    assert model(catalogue, "gpt-5.5").price("priority", 900_000, TODAY).input == Decimal("12.5")


@given(
    name=st.sampled_from(sorted(default_catalogue().models)),
    tier=st.sampled_from(["standard", "batch", "flex", "priority"]),
    on=st.dates(date(2024, 1, 1), date(2028, 1, 1)),
    input_tokens=st.integers(0, 2_000_000),
)
def test_newest_matching_row_applies(name: str, tier: ServiceTier, on: date, input_tokens: int) -> None:
    priced = default_catalogue().models[name]
    started = [row for row in priced.prices if row.tier == tier and row.effective_from <= on]
    if not started:
        with pytest.raises(NoPrice):
            priced.price(tier, input_tokens, on)
        assert tier not in priced.priced_tiers(on)
        return
    chosen = priced.price(tier, input_tokens, on)
    assert tier in priced.priced_tiers(on)
    assert chosen.effective_from == max(row.effective_from for row in started)
    assert chosen.above_input_tokens == 0 or input_tokens > chosen.above_input_tokens
    assert chosen in priced.price_rows(tier, on)


def test_tier_without_price_names_priced_tiers(catalogue: Catalogue) -> None:
    with pytest.raises(NoPrice, match=r"gpt-5-nano has no priority price on 2026-11-21.*standard, batch, flex"):
        model(catalogue, "gpt-5-nano").price("priority", 1, TODAY)
    with pytest.raises(LookupError, match="no standard price"):
        model(catalogue, "gpt-6-luna").price("standard", 1, date(2026, 1, 1))


def test_published_rate_tiers(catalogue: Catalogue) -> None:
    assert list(catalogue.tiers) == ["free", "tier1", "tier2", "tier3", "tier4", "tier5"]
    assert not catalogue.tiers["free"].supported
    assert catalogue.tiers["tier3"].tokens_per_minute == 4_000_000
    assert catalogue.tiers["tier1"].batch_queue_tokens is None
    assert catalogue.tiers["tier5"].batch_queue_tokens == 15_000_000_000


def test_prices_are_strings_in_the_files() -> None:
    for file in (DEFAULT_DIRECTORY / "models").glob("*.toml"):
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["model"]:
            for price in row["prices"]:
                columns = {column: price[column] for column in price.keys() - {"tier", "from", "above_input_tokens"}}
                assert all(isinstance(value, str) for value in columns.values()), (row["id"], price)


# Providers


def test_openai_lists_its_models_by_name(catalogue: Catalogue) -> None:
    """So that a user's own model is not sent to OpenAI."""
    assert set(catalogue.providers["openai"].models) == set(catalogue.models) - set(OPEN_WEIGHTS)


def test_stand_in_serves_every_model(catalogue: Catalogue) -> None:
    assert catalogue.providers["standin"].stand_in
    for name in catalogue.models:
        assert catalogue.provider_for(name, ["openai", "standin"], date(2030, 1, 1)) is not None
        assert not catalogue.retired_everywhere(name, ["openai", "standin"], date(2030, 1, 1))
        assert catalogue.shutdown_date(name, ["openai", "standin"]) is None


@pytest.mark.parametrize(
    ("name", "shutdown"),
    [
        ("o1-preview", date(2025, 7, 28)),
        ("o1-mini", date(2025, 10, 27)),
        *((name, date(2026, 10, 23)) for name in ("o1", "o1-pro", "o3-mini", "o4-mini", "gpt-4o-2024-05-13")),
        *((name, date(2026, 12, 11)) for name in ("o3", "o3-pro", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro")),
        *((name, date(2027, 1, 14)) for name in ("gpt-4o", "gpt-4o-mini")),
        *((name, date(2027, 4, 1)) for name in ("gpt-5.1", "gpt-5.4-nano")),
    ],
)
def test_openai_serves_until_shutdown(catalogue: Catalogue, name: str, shutdown: date) -> None:
    openai = catalogue.providers["openai"]
    assert openai.shutdown_date(name) == shutdown == catalogue.shutdown_date(name, ["openai"])
    assert catalogue.provider_for(name, ["openai"], shutdown - timedelta(days=1)) is openai
    assert catalogue.provider_for(name, ["openai"], shutdown) is None
    assert catalogue.retired_everywhere(name, ["openai"], shutdown)
    assert not catalogue.retired_everywhere(name, ["openai"], shutdown - timedelta(days=1))


def test_first_serving_provider_is_used(catalogue: Catalogue) -> None:
    openai, standin = catalogue.providers["openai"], catalogue.providers["standin"]
    assert catalogue.provider_for("gpt-6-luna", ["openai", "standin"], TODAY) is openai
    assert catalogue.provider_for("gpt-6-luna", ["standin", "openai"], TODAY) is standin
    assert catalogue.provider_for("o3-mini", ["openai", "standin"], TODAY) is standin
    assert catalogue.provider_for("o3-mini-2025-01-31", ["openai"], TODAY) is None
    assert catalogue.provider_for("gpt-6-luna", [], TODAY) is None


def test_unknown_model_is_not_retired(catalogue: Catalogue) -> None:
    assert catalogue.provider_for("gpt-9", ["openai", "standin"], TODAY) is None
    assert not catalogue.retired_everywhere("gpt-9", ["openai", "standin"], TODAY)
    assert not catalogue.retired_everywhere("o1-mini", [], TODAY)
    assert catalogue.shutdown_date("gpt-9", ["openai"]) is None
    assert catalogue.successor_of("gpt-9") is None


def test_unknown_provider_is_named(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueError, match="opnai is unknown; the catalogue has ollama, openai, standin, vllm"):
        catalogue.provider_for("o3", ["opnai"], TODAY)


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("o1-mini", "o3-mini"),
        *((name, "gpt-5.6-sol") for name in ("o1", "o3-mini", "o3", "gpt-5")),
        *((name, "gpt-5.6-terra") for name in ("o4-mini", "gpt-5-mini")),
        ("gpt-5-nano", "gpt-5.6-luna"),
    ],
)
def test_successors(catalogue: Catalogue, name: str, successor: str) -> None:
    result = catalogue.successor_of(name)
    assert result is not None
    assert result.id == successor


def test_retired_successor_is_skipped(catalogue: Catalogue) -> None:
    after_shutdown = catalogue.live_successor_of("o1-mini", ["openai"], TODAY)
    assert after_shutdown is not None
    assert after_shutdown.id == "gpt-5.6-sol"
    before_shutdown = catalogue.live_successor_of("o1-mini", ["openai"], date(2026, 8, 1))
    assert before_shutdown is not None
    assert before_shutdown.id == "o3-mini"
    assert catalogue.live_successor_of("gpt-6-luna", ["openai"], TODAY) is None
    assert catalogue.live_successor_of("o1", [], TODAY) is None


@pytest.mark.parametrize("name", ["vllm", "ollama"])
def test_own_server_is_direct_with_own_names(catalogue: Catalogue, name: str) -> None:
    server = catalogue.providers[name]
    assert server.models == OPEN_WEIGHTS
    assert not server.stand_in
    for model_id in OPEN_WEIGHTS:
        assert server.mode_for(model_id) == "direct"
        assert server.name_of(model_id) != model_id
        assert server.model_named(server.name_of(model_id)) == model_id


def test_only_vllm_has_a_cache_salt(catalogue: Catalogue) -> None:
    assert [name for name, provider in catalogue.providers.items() if provider.cache_salt] == ["vllm"]


def test_default_name_is_the_catalogue_name(catalogue: Catalogue) -> None:
    openai = catalogue.providers["openai"]
    assert openai.name_of("o3-2025-04-16") == openai.model_named("o3-2025-04-16") == "o3-2025-04-16"


def test_provider_names_are_unique() -> None:
    fields = {"name": "ours", "base_url": "http://127.0.0.1:8000/v1", "mode": "direct", "models": ["a", "b"]}
    with pytest.raises(ValueError, match="names: two models have the same"):
        Provider.model_validate({**fields, "names": {"a": "x", "b": "x"}})


def test_stand_in_is_direct_for_open_weights(catalogue: Catalogue) -> None:
    standin = catalogue.providers["standin"]
    direct = {model_id for model_id in catalogue.models if standin.mode_for(model_id) == "direct"}
    assert direct == set(OPEN_WEIGHTS)


def test_direct_seconds_limit(catalogue: Catalogue) -> None:
    fields = {"name": "ours", "base_url": "http://127.0.0.1:8000/v1", "mode": "direct", "models": "*"}
    assert Provider.model_validate(fields).direct_seconds == 600
    for seconds in (0, -1, 841, 900, None):
        with pytest.raises(ValueError, match="direct_seconds"):
            Provider.model_validate({**fields, "direct_seconds": seconds})
    assert all(each.direct_seconds <= 840 for each in catalogue.providers.values())


# Invalid catalogues


def test_keys_must_match_ids(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="model o3 is stored under the key o4"):
        Catalogue(models={"o4": model(catalogue, "o3")}, providers={}, tiers={})


def test_price_row_of_other_model_is_refused(catalogue: Catalogue) -> None:
    o3 = model(catalogue, "o3").model_dump()
    with pytest.raises(ValueError, match="belongs to another model"):
        Model.model_validate({**o3, "id": "o4"})
