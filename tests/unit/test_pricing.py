"""What an answer costs: exact, by part, nothing counted twice."""

from datetime import date
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afterthought.domain.pricing import (
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


def test_a_known_answer_costs_a_known_sum() -> None:
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
def test_the_total_is_exact_against_rational_arithmetic(usage: Usage, row: Price) -> None:
    def dollars(count: int, rate: Decimal) -> Fraction:
        return count * Fraction(rate) / 1_000_000

    cached_rate = row.input if row.cached_input is None else row.cached_input
    write_rate = row.input if row.cache_write is None else row.cache_write
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    expected = (
        dollars(plain, row.input)
        + dollars(usage.cached_input_tokens, cached_rate)
        + dollars(usage.cache_write_tokens, write_rate)
        + dollars(usage.output_tokens, row.output)
    )
    assert Fraction(cost(usage, row).total_usd) == expected


@given(usages(), usages(), prices())
def test_two_answers_cost_together_what_they_cost_apart(one: Usage, other: Usage, row: Price) -> None:
    together = Usage(**{field: getattr(one, field) + getattr(other, field) for field in Usage.model_fields})
    assert cost(together, row).total_usd == exact_sum(cost(one, row).total_usd, cost(other, row).total_usd)


@given(usages(), prices())
def test_reasoning_is_a_part_of_the_output_and_never_added(usage: Usage, row: Price) -> None:
    unthinking = usage.model_copy(update={"reasoning_tokens": 0})
    assert cost(usage, row).total_usd == cost(unthinking, row).total_usd
    assert cost(usage, row).reasoning_usd <= cost(usage, row).output_usd


@given(usages(), prices())
def test_no_input_token_is_paid_for_twice(usage: Usage, row: Price) -> None:
    level = row.model_copy(update={"cached_input": row.input, "cache_write": row.input})
    uncached = usage.model_copy(update={"cached_input_tokens": 0, "cache_write_tokens": 0})
    assert cost(usage, level).total_usd == cost(uncached, level).total_usd


@given(usages(), prices())
def test_the_dearest_input_price_bounds_every_use_of_the_cache(usage: Usage, row: Price) -> None:
    bill = cost(usage, row)
    bound = Fraction(row.max_input_price) * usage.input_tokens / 1_000_000
    assert Fraction(exact_sum(bill.input_usd, bill.cached_input_usd, bill.cache_write_usd)) <= bound


def test_cached_and_written_tokens_without_a_price_cost_the_input_price() -> None:
    usage = Usage(input_tokens=3_000_000, cached_input_tokens=1_000_000, cache_write_tokens=1_000_000, output_tokens=0)
    bill = cost(usage, price(input="2"))
    assert {bill.input_usd, bill.cached_input_usd, bill.cache_write_usd} == {Decimal(2)}


def test_a_free_cached_token_is_free_and_not_unpriced() -> None:
    usage = Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000, output_tokens=0)
    assert cost(usage, price(input="2", cached_input="0")).total_usd == 0


def test_a_model_at_no_price_costs_nothing() -> None:
    bill = cost(Usage(input_tokens=10, output_tokens=10), price(input="0", output="0"))
    assert format_usd(bill.total_usd) == "0"


def test_a_careless_decimal_context_of_the_caller_rounds_nothing() -> None:
    usage = Usage(input_tokens=123_456_789, output_tokens=987_654_321)
    row = price(input="0.123456789012", output="9.876543210987")
    with localcontext(prec=3):
        bill = cost(usage, row)
    assert bill == cost(usage, row)
    assert Fraction(bill.total_usd) == (
        Fraction(123_456_789) * Fraction("0.123456789012") + Fraction(987_654_321) * Fraction("9.876543210987")
    ) / Fraction(1_000_000)


def test_a_sum_that_cannot_be_held_exactly_raises_instead_of_rounding() -> None:
    beyond_all_digits = Usage(input_tokens=10**120 + 1, output_tokens=0)
    with pytest.raises(Inexact):
        cost(beyond_all_digits, price())
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
def test_usage_whose_parts_exceed_their_whole_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"input_tokens|output_tokens|reasoning_tokens"):
        Usage.model_validate(counts)


def test_total_tokens_counts_no_part_twice() -> None:
    usage = Usage(input_tokens=10, cached_input_tokens=4, output_tokens=7, reasoning_tokens=5)
    assert usage.total_tokens == 17


@pytest.mark.parametrize("value", [0.1, True, "-1", "nan", "inf", "cheap", "0.1234567890123", "1e30"])
def test_a_price_that_money_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="input"):
        Price.model_validate({**price().model_dump(), "input": value})


def test_a_cost_whose_total_is_not_its_sum_is_refused() -> None:
    bill = cost(Usage(input_tokens=10, output_tokens=10), price())
    with pytest.raises(ValidationError, match="total_usd"):
        Cost.model_validate({**bill.model_dump(), "total_usd": bill.total_usd + 1})


def test_a_cost_with_more_reasoning_than_output_is_refused() -> None:
    bill = cost(Usage(input_tokens=10, output_tokens=10), price())
    with pytest.raises(ValidationError, match="reasoning_usd"):
        Cost.model_validate({**bill.model_dump(), "reasoning_usd": bill.output_usd + 1})


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
def test_dollars_are_written_plainly(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1_000_000, max_value=1_000_000, places=15))
def test_written_dollars_read_back_as_the_same_amount(amount: Decimal) -> None:
    text = format_usd(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_what_is_no_amount_is_not_written(amount: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        format_usd(Decimal(amount))


def test_json_holds_dollars_as_plain_strings_and_reads_them_back() -> None:
    bill = cost(Usage(input_tokens=1, output_tokens=0), price(input="0.1"))
    assert '"total_usd":"0.0000001"' in bill.model_dump_json()
    assert Cost.model_validate_json(bill.model_dump_json()) == bill


def test_a_price_row_is_named_by_model_tier_date_and_length() -> None:
    day = date(2026, 7, 30)
    assert price_id("gpt-5.6-luna", "standard", day) == "gpt-5.6-luna/standard/2026-07-30"
    assert price_id("gpt-5.6-luna", "flex", day, 272_000) == "gpt-5.6-luna/flex/2026-07-30/above-272k"
    assert price_id("m", "standard", day, 128_500) == "m/standard/2026-07-30/above-128500"


def test_the_standard_tier_is_called_default_on_the_wire_and_batch_has_no_name_there() -> None:
    assert WIRE_NAMES["standard"] == "default"
    assert {TIERS_BY_WIRE_NAME[name]: name for name in TIERS_BY_WIRE_NAME} == dict(WIRE_NAMES)
    assert "batch" not in WIRE_NAMES
    assert "auto" not in TIERS_BY_WIRE_NAME
