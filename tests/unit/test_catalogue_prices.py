"""Compares every price row with genai-prices, in both directions.

DIFFERENCES declares the intended differences by row and column, with the reason. An undeclared difference fails, and so
does a declaration that is no longer true.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext

import pytest

pytest.importorskip("genai_prices", reason="has no release for this Python that fits our other pins")

from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import ServiceTier, Usage, cost, price_id

TODAY = date(2026, 11, 21)

COLUMNS = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}
CONTEXTS: dict[ServiceTier, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}

Row = dict[str, Decimal | None]

# Models with open weights have no published price.
PRICED = [
    model_id for model_id in default_catalogue().models if default_catalogue().providers["openai"].lists(model_id)
]

BATCH_CACHED = (
    "no cached price is published for batch. genai-prices uses the standard tier's; we charge the batch input price, "
    "which is the higher of the two"
)
DIFFERENCES: dict[tuple[str, str], tuple[str | None, str | None, str]] = {
    ("o3/standard/2025-04-16", "cached_input"): (
        "2.5",
        "0.5",
        "cached input is a quarter of input before and after the price cut; theirs is the price after the cut",
    ),
    ("o1/batch/2026-10-14", "cached_input"): (None, "7.5", BATCH_CACHED),
    ("o3-mini/batch/2026-10-14", "cached_input"): (None, "0.55", BATCH_CACHED),
    ("o3/batch/2026-10-14", "cached_input"): (None, "0.5", BATCH_CACHED),
    ("o4-mini/batch/2026-10-14", "cached_input"): (None, "0.275", BATCH_CACHED),
    ("gpt-4o/batch/2026-10-14", "cached_input"): (None, "1.25", BATCH_CACHED),
    ("gpt-4o-mini/batch/2026-10-14", "cached_input"): (None, "0.075", BATCH_CACHED),
}
OMITTED_PRICES: dict[tuple[str, ServiceTier], str] = {
    ("gpt-5-nano", "priority"): "LiteLLM has an input price of $2.5 and no output price, which is not usable",
}
OMITTED_TIERS = {"fast": "an alias of priority, at the same prices"}


def genai_model(model_id: str) -> ModelInfo:
    _, result = get_snapshot().find_provider_model(model_id, None, "openai", None)
    assert result.id == model_id
    return result


def genai_columns(prices: ModelPrice, above_input_tokens: int) -> Row:
    columns: Row = {}
    for column, name in COLUMNS.items():
        value = getattr(prices, name)
        if isinstance(value, TieredPrices):
            steps = [step.price for step in value.tiers if step.start == above_input_tokens]
            value = steps[0] if steps else value.base
        columns[column] = value
    return columns


def genai_rows_of(model: Model) -> Iterator[tuple[str, Row]]:
    """The rows of genai-prices, with the ids of the catalogue. A row without a first day starts with the first row of
    the catalogue."""
    info = genai_model(model.id)
    conditional = info.prices if isinstance(info.prices, list) else [ConditionalPrice(prices=info.prices)]
    starts: list[tuple[ServiceTier, date]] = [("standard", _start(each.constraint, model)) for each in conditional]
    for variant in info.price_variants or []:
        starts += [(tier, _start(variant.constraint, model)) for tier in CONTEXTS if variant.when == CONTEXTS[tier]]
    for tier, start in starts:
        prices = info.get_prices(datetime.combine(start, time(12), tzinfo=UTC), CONTEXTS[tier])
        for above in sorted(_thresholds(prices)):
            yield price_id(model.id, tier, start, above), genai_columns(prices, above)


def _start(constraint: object, model: Model) -> date:
    if isinstance(constraint, StartDateConstraint):
        return constraint.start_date
    assert constraint is None
    return min(row.effective_from for row in model.prices if row.tier == "standard")


def _thresholds(prices: ModelPrice) -> set[int]:
    tiered = [value for name in COLUMNS.values() if isinstance(value := getattr(prices, name), TieredPrices)]
    return {0} | {step.start for value in tiered for step in value.tiers}


def rows_of(model: Model) -> dict[str, Row]:
    return {row.id: {column: getattr(row, column) for column in COLUMNS} for row in model.prices}


@pytest.mark.parametrize("model_id", PRICED)
def test_prices_agree_with_genai_prices(model_id: str) -> None:
    model = default_catalogue().models[model_id]
    catalogue_rows, genai_rows = rows_of(model), dict(genai_rows_of(model))
    assert catalogue_rows.keys() == genai_rows.keys()
    actual = {
        (row, column): (catalogue_rows[row][column], genai_rows[row][column])
        for row in catalogue_rows
        for column in COLUMNS
        if catalogue_rows[row][column] != genai_rows[row][column]
    }
    declared = {
        key: tuple(None if price is None else Decimal(price) for price in (catalogue_price, genai_price))
        for key, (catalogue_price, genai_price, _) in DIFFERENCES.items()
        if key[0] in catalogue_rows
    }
    assert actual == declared


def test_declared_differences_name_rows() -> None:
    rows = {row.id for model in default_catalogue().models.values() for row in model.prices}
    assert {row for row, _ in DIFFERENCES} <= rows
    assert all(reason for *_, reason in DIFFERENCES.values())


def test_omitted_prices_are_in_neither() -> None:
    for (model_id, tier), reason in OMITTED_PRICES.items():
        model = default_catalogue().models[model_id]
        with pytest.raises(NoPrice):
            model.price(tier, 1, TODAY)
        assert not any(f"/{tier}/" in row for row, _ in genai_rows_of(model)), reason


def test_omitted_tiers_cost_the_same() -> None:
    noon = datetime.combine(TODAY, time(12), tzinfo=UTC)
    omitted = set()
    for model_id in PRICED:
        info = genai_model(model_id)
        for variant in info.price_variants or []:
            tier = variant.when.get("service_tier") or variant.when["processing"]
            if variant.when not in CONTEXTS.values() and tier != "default":
                omitted.add(tier)
                assert info.get_prices(noon, variant.when) == info.get_prices(noon, CONTEXTS["priority"])
    assert omitted == set(OMITTED_TIERS)


def test_declared_prices_are_not_lower() -> None:
    for row_id, column in DIFFERENCES:
        model = default_catalogue().models[row_id.split("/", maxsplit=1)[0]]
        row = next(row for row in model.prices if row.id == row_id)
        charged = {"cached_input": row.cached_input_price}[column]
        genai_price = DIFFERENCES[row_id, column][1]
        assert genai_price is not None
        assert charged >= Decimal(genai_price), row_id


@given(
    model_id=st.sampled_from(sorted(PRICED)),
    tier=st.sampled_from(sorted(CONTEXTS)),
    plain=st.integers(0, 400_000),
    cached=st.integers(0, 400_000),
    written=st.integers(0, 100_000),
    output=st.integers(0, 200_000),
)
def test_total_cost_agrees_with_genai_prices(
    model_id: str, tier: ServiceTier, plain: int, cached: int, written: int, output: int
) -> None:
    model = default_catalogue().models[model_id]
    if tier not in model.priced_tiers(TODAY):
        return
    usage = Usage(
        input_tokens=plain + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=output // 2,
    )
    row = model.price(tier, usage.input_tokens, TODAY)
    if any(declared == row.id for declared, _ in DIFFERENCES):
        return
    with localcontext(prec=60):
        expected = calc_price(
            TheirUsage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=cached,
                cache_write_tokens=written,
                output_tokens=output,
            ),
            model_id,
            provider_id="openai",
            genai_request_timestamp=datetime.combine(TODAY, time(12), tzinfo=UTC),
            price_context=CONTEXTS[tier],
        )
    assert cost(usage, row).total_usd == expected.total_price
