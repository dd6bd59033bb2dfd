"""The cost of a response: exact, by part, nothing counted twice."""

from datetime import date
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afterthought.domain.models.pricing import (
    TIERS_BY_WIRE_NAME,
    WIRE_NAMES,
    Cost,
    Price,
    Usage,
    cost,
    exact_sum,
    format_usd,
    price_id,
)
from tests.simulator.examples import usages

usd_per_million = st.decimals(min_value=0, max_value=10_000, places=6)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    return Price(
        id="m/standard/2026-01-01",
        model="m",
        tier="standard",
        effective_from=date(2026, 1, 1),
        input=draw(usd_per_million),
        cached_input=draw(st.none() | usd_per_million),
        cache_write=draw(st.none() | usd_per_million),
        output=draw(usd_per_million),
    )


def price(**columns: str) -> Price:
    return Price.model_validate(
        {
            "id": "m/standard/2026-01-01",
            "model": "m",
            "tier": "standard",
            "effective_from": date(2026, 1, 1),
            "input": "2",
            "output": "10",
            **columns,
        }
    )


def test_cost_by_part() -> None:
    usage = Usage(
        input_tokens=1_000,
        cached_input_tokens=600,
        cache_write_tokens=100,
        output_tokens=500,
        reasoning_tokens=400,
    )
    assert cost(usage, price(cached_input="0.2", cache_write="2.5")) == Cost(
        input_usd=Decimal("0.0006"),
        cached_input_usd=Decimal("0.00012"),
        cache_write_usd=Decimal("0.00025"),
        output_usd=Decimal("0.005"),
        reasoning_usd=Decimal("0.004"),
        total_usd=Decimal("0.00597"),
        price_id="m/standard/2026-01-01",
    )


@given(usages(), prices())
def test_total_equals_rational_arithmetic(usage: Usage, row: Price) -> None:
    def dollars(count: int, rate: Decimal) -> Fraction:
        return count * Fraction(rate) / 1_000_000

    cached_rate = row.input if row.cached_input is None else row.cached_input
    write_rate = row.input if row.cache_write is None else row.cache_write
    uncached = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    expected = (
        dollars(uncached, row.input)
        + dollars(usage.cached_input_tokens, cached_rate)
        + dollars(usage.cache_write_tokens, write_rate)
        + dollars(usage.output_tokens, row.output)
    )
    assert Fraction(cost(usage, row).total_usd) == expected


@given(usages(), usages(), prices())
def test_costs_are_additive(one: Usage, other: Usage, row: Price) -> None:
    combined = Usage(**{field: getattr(one, field) + getattr(other, field) for field in Usage.model_fields})
    assert cost(combined, row).total_usd == exact_sum(cost(one, row).total_usd, cost(other, row).total_usd)


@given(usages(), prices())
def test_reasoning_is_not_added_to_output(usage: Usage, row: Price) -> None:
    without_reasoning = usage.model_copy(update={"reasoning_tokens": 0})
    assert cost(usage, row).total_usd == cost(without_reasoning, row).total_usd
    assert cost(usage, row).reasoning_usd <= cost(usage, row).output_usd


@given(usages(), prices())
def test_input_tokens_are_billed_once(usage: Usage, row: Price) -> None:
    equal_prices = row.model_copy(update={"cached_input": row.input, "cache_write": row.input})
    uncached = usage.model_copy(update={"cached_input_tokens": 0, "cache_write_tokens": 0})
    assert cost(usage, equal_prices).total_usd == cost(uncached, equal_prices).total_usd


@given(usages(), prices())
def test_max_input_price_covers_cache_use(usage: Usage, row: Price) -> None:
    result = cost(usage, row)
    max_usd = Fraction(row.max_input_price) * usage.input_tokens / 1_000_000
    assert Fraction(exact_sum(result.input_usd, result.cached_input_usd, result.cache_write_usd)) <= max_usd


def test_missing_cache_price_is_input_price() -> None:
    usage = Usage(input_tokens=3_000_000, cached_input_tokens=1_000_000, cache_write_tokens=1_000_000, output_tokens=0)
    result = cost(usage, price(input="2"))
    assert {result.input_usd, result.cached_input_usd, result.cache_write_usd} == {Decimal(2)}


def test_cache_price_of_zero_is_used() -> None:
    usage = Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000, output_tokens=0)
    assert cost(usage, price(input="2", cached_input="0")).total_usd == 0


def test_free_model_costs_nothing() -> None:
    result = cost(Usage(input_tokens=10, output_tokens=10), price(input="0", output="0"))
    assert format_usd(result.total_usd) == "0"


def test_ambient_context_does_not_round() -> None:
    usage = Usage(input_tokens=123_456_789, output_tokens=987_654_321)
    row = price(input="0.123456789012", output="9.876543210987")
    with localcontext(prec=3):
        result = cost(usage, row)
    assert result == cost(usage, row)
    assert Fraction(result.total_usd) == (
        Fraction(123_456_789) * Fraction("0.123456789012") + Fraction(987_654_321) * Fraction("9.876543210987")
    ) / Fraction(1_000_000)


def test_inexact_sum_raises() -> None:
    too_many_digits = Usage(input_tokens=10**120 + 1, output_tokens=0)
    with pytest.raises(Inexact):
        cost(too_many_digits, price())
    with pytest.raises(Inexact):
        exact_sum(Decimal("1E+120"), Decimal(1))


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 10, "cached_input_tokens": 11, "output_tokens": 1},
        {"input_tokens": 10, "cache_write_tokens": 11, "output_tokens": 1},
        {"input_tokens": 10, "cached_input_tokens": 6, "cache_write_tokens": 5, "output_tokens": 1},
        {"input_tokens": 10, "output_tokens": 1, "reasoning_tokens": 2},
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": -1},
        {"input_tokens": 1.5, "output_tokens": 1},
        {"input_tokens": 1},
    ],
)
def test_invalid_usage_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"input_tokens|output_tokens|reasoning_tokens"):
        Usage.model_validate(counts)


def test_total_tokens_is_input_plus_output() -> None:
    usage = Usage(input_tokens=10, cached_input_tokens=4, output_tokens=7, reasoning_tokens=5)
    assert usage.total_tokens == 17


@pytest.mark.parametrize("value", [0.1, True, "-1", "nan", "inf", "cheap", "0.1234567890123", "1e30"])
def test_invalid_price_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="input"):
        Price.model_validate({**price().model_dump(), "input": value})


def test_wrong_total_is_refused() -> None:
    result = cost(Usage(input_tokens=10, output_tokens=10), price())
    with pytest.raises(ValidationError, match="total_usd"):
        Cost.model_validate({**result.model_dump(), "total_usd": result.total_usd + 1})


def test_reasoning_above_output_is_refused() -> None:
    result = cost(Usage(input_tokens=10, output_tokens=10), price())
    with pytest.raises(ValidationError, match="reasoning_usd"):
        Cost.model_validate({**result.model_dump(), "reasoning_usd": result.output_usd + 1})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("0E-18", "0"),
        ("1E-7", "0.0000001"),
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("10.00", "10"),
        ("-0.50", "-0.5"),
    ],
)
def test_dollars_have_plain_format(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1_000_000, max_value=1_000_000, places=15))
def test_formatted_dollars_read_back_equal(amount: Decimal) -> None:
    text = format_usd(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_non_numbers_are_not_formatted(amount: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        format_usd(Decimal(amount))


def test_json_has_dollars_as_strings() -> None:
    result = cost(Usage(input_tokens=1, output_tokens=0), price(input="0.1"))
    assert '"total_usd":"0.0000001"' in result.model_dump_json()
    assert Cost.model_validate_json(result.model_dump_json()) == result


def test_price_id_has_model_tier_date() -> None:
    day = date(2026, 7, 30)
    assert price_id("gpt-5.6-luna", "standard", day) == "gpt-5.6-luna/standard/2026-07-30"
    assert price_id("gpt-5.6-luna", "flex", day, 272_000) == "gpt-5.6-luna/flex/2026-07-30/above-272k"
    assert price_id("m", "standard", day, 128_500) == "m/standard/2026-07-30/above-128500"


def test_wire_names_of_tiers() -> None:
    assert WIRE_NAMES["standard"] == "default"
    assert {TIERS_BY_WIRE_NAME[name]: name for name in TIERS_BY_WIRE_NAME} == dict(WIRE_NAMES)
    assert "batch" not in WIRE_NAMES
    assert "auto" not in TIERS_BY_WIRE_NAME
