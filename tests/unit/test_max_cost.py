"""The maximum cost of a call, and the token estimate for rate limits."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import Price, Usage, cost, exact_sum, price_id
from afterthought.domain.request import body
from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request.max_cost import (
    MaxCost,
    estimated_tokens,
    fitting_output_tokens,
    max_cost,
    max_input_tokens,
)
from afterthought.domain.request.request import CreateResponse

TODAY = date(2026, 11, 2)
TOMORROW = TODAY + timedelta(days=1)
MODELS = default_catalogue().models
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}
FILE = {"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}
ENCRYPTED = {"type": "reasoning", "encrypted_content": "gAAAA"}


def request(**changes: Any) -> CreateResponse:
    return body.parse(json.dumps({"model": "any", "input": "Why?", **changes}, ensure_ascii=False).encode())


def max_cost_of(model: str, first: date = TODAY, last: date = TOMORROW, **changes: Any) -> MaxCost:
    return max_cost(request(**changes), MODELS[model], "standard", first=first, last=last)


def request_of_tokens(model: Model, input_tokens: int) -> CreateResponse:
    """A request whose maximum is exactly `input_tokens`."""
    return request(input="x" * (input_tokens - max_input_tokens(request(input="x"), model) + 1))


# Exact values


def test_default_output_is_the_models_maximum() -> None:
    """Not a typical value such as 4,000 or 16,000, because o3 may write 100,000."""
    uncapped = max_cost_of("o3")
    assert (uncapped.output_tokens, uncapped.output_usd) == (100_000, Decimal("0.8"))
    assert max_cost_of("gpt-5-pro").output_tokens == 272_000
    assert max_cost_of("o3", max_output_tokens=4_000).output_usd == Decimal("0.032")


def test_parts_follow_the_price_row() -> None:
    result = max_cost(request_of_tokens(MODELS["o3"], 10_000), MODELS["o3"], "standard", first=TODAY, last=TOMORROW)
    assert json.loads(result.model_dump_json()) == {
        "input_tokens": 10_000,
        "output_tokens": 100_000,
        "input_usd": "0.02",
        "output_usd": "0.8",
        "tools_usd": "0",
        "total_usd": "0.82",
        "price_id": "o3/standard/2025-06-10",
    }


LONG = "ж" * 5_000
LONG_SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "description": LONG}}}
USER_MESSAGE = {"role": "user", "content": "Why?"}


@pytest.mark.parametrize(
    "changes",
    [
        {"input": LONG},
        {"instructions": LONG},
        {"tools": [{"type": "function", "name": "f", "description": LONG}]},
        {"tools": [{"type": "function", "name": "f", "parameters": LONG_SCHEMA}]},
        {"tools": [{"type": "custom", "name": "f", "description": LONG}]},
        {"tools": [{"type": "custom", "name": "f", "format": {"type": "grammar", "definition": LONG}}]},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": LONG_SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "description": LONG}}},
        {"input": [{"role": "system", "content": LONG}, USER_MESSAGE]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]},
        {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": LONG}]}, USER_MESSAGE]},
        {"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": LONG}]}, USER_MESSAGE]},
        {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "", "annotations": [LONG]}]}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": f'["{LONG}"]'}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": LONG}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": LONG}]},
        {"input": [{"type": "function_call_output", "call_id": "c",
                    "output": [{"type": "input_text", "text": LONG}]}]},
        {"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": LONG}]},
        {"input": [{"type": "custom_tool_call_output", "call_id": "c", "output": LONG}]},
    ],
)  # fmt: skip
def test_all_prompt_text_is_counted(changes: dict[str, Any]) -> None:
    assert max_input_tokens(request(**changes), MODELS["o3"]) >= 10_000
    estimated = estimated_tokens(request(**changes), MODELS["o3"]) - MODELS["o3"].typical_output_tokens
    assert 2_500 <= estimated < 2_600


def test_provider_overhead_is_counted() -> None:
    base = max_input_tokens(request(input=[USER_MESSAGE]), MODELS["o3"])
    items = [{"role": "user", "content": ""}] * 1_000
    assert max_input_tokens(request(input=items), MODELS["o3"]) >= base + 10 * 1_000
    parts = [{"role": "user", "content": [{"type": "input_text", "text": ""}] * 1_000}]
    assert max_input_tokens(request(input=parts), MODELS["o3"]) >= base + 3 * 1_000
    tools = [{"type": "function", "name": "f"}] * 100
    assert max_input_tokens(request(tools=tools), MODELS["o3"]) >= base + 60 * 100


def test_tool_name_is_counted_for_each_output() -> None:
    outputs = [{"type": "function_call_output", "call_id": "c", "output": ""}] * 100

    def tokens(name: str) -> int:
        call = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
        return max_input_tokens(request(input=[call, *outputs]), MODELS["o3"])

    assert tokens("f" * 101) - tokens("f") >= 100 * 101


def test_tool_choice_is_counted() -> None:
    tools = [{"type": "function", "name": "f" * 100}]
    free = max_input_tokens(request(tools=tools), MODELS["o3"])
    chosen = max_input_tokens(request(tools=tools, tool_choice={"type": "function", "name": "f" * 100}), MODELS["o3"])
    assert chosen >= free + 100


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"k": "v" * 500}},
        {"user": "u" * 200},
        {"safety_identifier": "u" * 60},
        {"prompt_cache_key": "u" * 60},
        {"afterthought": {"tags": ["t" * 64], "webhook_url": "https://example.com/" + "x" * 500}},
    ],
)
def test_unsent_fields_cost_nothing(changes: dict[str, Any]) -> None:
    assert max_cost_of("o3", **changes) == max_cost_of("o3")
    assert estimated_tokens(request(**changes), MODELS["o3"]) == estimated_tokens(request(), MODELS["o3"])


@pytest.mark.parametrize("item", [IMAGE, FILE, ENCRYPTED])
@pytest.mark.parametrize("model", MODELS)
def test_images_and_files_count_as_the_window(model: str, item: dict[str, Any]) -> None:
    items = [USER_MESSAGE, item, USER_MESSAGE]
    assert max_input_tokens(request(input=items), MODELS[model]) == MODELS[model].context_window_input
    output = {"type": "function_call_output", "call_id": "c", "output": item.get("content", "")}
    expected = MODELS[model].context_window_input if item is not ENCRYPTED else 1_000
    assert max_input_tokens(request(input=[output]), MODELS[model]) <= expected


@pytest.mark.parametrize("model", MODELS)
def test_input_is_limited_by_the_window(model: str) -> None:
    window = MODELS[model].context_window_input
    assert max_input_tokens(request(input="ж" * window), MODELS[model]) == window
    assert max_input_tokens(request_of_tokens(MODELS[model], window - 1), MODELS[model]) == window - 1
    many_properties = {"type": "object", "properties": {str(number): LONG_SCHEMA for number in range(100)}}
    tools = [{"type": "function", "name": "f", "parameters": many_properties}]
    assert max_input_tokens(request(tools=tools), MODELS[model]) == window


def test_long_context_price_applies_above_272k() -> None:
    luna = MODELS["gpt-5.6-luna"]
    at_threshold = max_cost(request_of_tokens(luna, 272_000), luna, "standard", first=TODAY, last=TODAY)
    assert (at_threshold.input_tokens, at_threshold.price_id) == (272_000, "gpt-5.6-luna/standard/2026-07-30")
    above_threshold = max_cost(request_of_tokens(luna, 272_001), luna, "standard", first=TODAY, last=TODAY)
    assert (above_threshold.input_tokens, above_threshold.price_id) == (
        272_001,
        "gpt-5.6-luna/standard/2026-07-30/above-272k",
    )
    assert (above_threshold.input_usd, above_threshold.output_usd) == (Decimal("0.1360005"), Decimal("0.2304"))


def test_cache_write_price_applies_if_highest() -> None:
    luna = max_cost_of("gpt-5.6-luna")
    assert luna.input_usd == luna.input_tokens * Decimal("0.25") / 1_000_000


def test_highest_price_in_the_period_applies() -> None:
    change = date(2026, 7, 30)
    before = max_cost_of("gpt-5.6-luna", change - timedelta(days=1), change)
    assert before.price_id == "gpt-5.6-luna/standard/2026-07-09"
    assert (
        max_cost_of("gpt-5.6-luna", change, change + timedelta(days=1)).price_id == "gpt-5.6-luna/standard/2026-07-30"
    )
    more_expensive = MODELS["o3"].model_copy(
        update={
            "prices": (
                *MODELS["o3"].prices,
                row("o3", start=TOMORROW, output=Decimal(9)),
                row("o3", start=TOMORROW + timedelta(days=1), output=Decimal(99)),
            )
        }
    )
    both_days = max_cost(request(), more_expensive, "standard", first=TODAY, last=TOMORROW)
    assert both_days.price_id == f"o3/standard/{TOMORROW}"
    assert max_cost(request(), more_expensive, "standard", first=TODAY, last=TODAY).price_id == "o3/standard/2025-06-10"


def test_tiers_have_their_own_prices() -> None:
    o3 = MODELS["o3"]
    totals = [
        max_cost(request(), o3, tier, first=TODAY, last=TOMORROW).total_usd for tier in ("flex", "standard", "priority")
    ]
    assert totals == sorted(totals)
    assert len(set(totals)) == 3


def test_tier_without_price_is_refused() -> None:
    with pytest.raises(NoPrice, match="gpt-5-nano has no priority price on 2026-11-02"):
        max_cost(request(), MODELS["gpt-5-nano"], "priority", first=TODAY, last=TOMORROW)
    with pytest.raises(NoPrice):
        max_cost_of("gpt-6-luna", date(2026, 9, 1), date(2026, 12, 1))
    with pytest.raises(NoPrice):
        fitting_output_tokens(
            request(), MODELS["gpt-5-nano"], "priority", first=TODAY, last=TOMORROW, cap_usd=Decimal(1)
        )


def test_fitting_output_tokens() -> None:
    def fitting(cap: str, **changes: Any) -> int | None:
        cap_usd = Decimal(cap)
        return fitting_output_tokens(
            request(**changes), MODELS["o3"], "standard", first=TODAY, last=TOMORROW, cap_usd=cap_usd
        )

    input_usd = max_cost_of("o3").input_usd
    assert fitting("0.25") == int((Decimal("0.25") - input_usd) * 1_000_000 / 8)
    assert fitting("0.25", max_output_tokens=500) == 500
    assert fitting("100") == 100_000
    assert fitting(str(input_usd + 16 * Decimal(8) / 1_000_000)) == 16
    assert fitting(str(input_usd + 16 * Decimal(8) / 1_000_000 - Decimal("1e-12"))) is None
    assert fitting("0.000001") is None


# Estimates for rate limits


def test_estimate_is_a_quarter_of_the_bytes_plus_output() -> None:
    o3 = MODELS["o3"]
    assert estimated_tokens(request(input="x" * 4_000, max_output_tokens=500), o3) == 1_500
    assert estimated_tokens(request(input="x" * 4_001, max_output_tokens=500), o3) == 1_501
    assert estimated_tokens(request(input="ж" * 2_000, max_output_tokens=500), o3) == 1_500
    assert estimated_tokens(request(input="x" * 4_000), o3) == 1_000 + o3.typical_output_tokens


@pytest.mark.parametrize("name", MODELS)
def test_estimate_of_images_and_files(name: str) -> None:
    model = MODELS[name]
    typical = model.typical_output_tokens
    assert 0 < typical <= model.max_output_tokens
    assert estimated_tokens(request(input=[IMAGE]), model) == 1_000 + typical
    assert estimated_tokens(request(input=[FILE]), model) == 10_000 + typical
    assert estimated_tokens(request(input=[IMAGE, ENCRYPTED]), model) == 1_000 + 2 + typical
    assert estimated_tokens(request(input=[FILE] * 200), model) == model.context_window_input + typical


# Any price list


def row(
    model: str,
    *,
    start: date,
    above: int = 0,
    input: Decimal = Decimal(2),
    output: Decimal = Decimal(8),
    **more: Decimal | None,
) -> Price:
    return Price(
        id=price_id(model, "standard", start, above),
        model=model,
        tier="standard",
        effective_from=start,
        above_input_tokens=above,
        input=input,
        output=output,
        **more,
    )


dollars = st.decimals(0, 1000, places=12) | st.sampled_from([Decimal(0), Decimal("0.1"), Decimal(2), Decimal("1e-12")])
days = st.integers(-3, 5).map(lambda offset: TODAY + timedelta(days=offset))
thresholds = st.integers(1, 2_000) | st.just(600)


@st.composite
def models(draw: st.DrawFn) -> Model:
    starts = {TODAY - timedelta(days=3), *draw(st.lists(days, max_size=3))}
    rows = [
        row(
            "priced",
            start=start,
            above=above,
            input=draw(dollars),
            output=draw(dollars),
            cached_input=draw(st.none() | dollars),
            cache_write=draw(st.none() | dollars),
        )
        for start in sorted(starts)
        for above in (0, *draw(st.sets(thresholds, max_size=2)))
    ]
    return MODELS["o3"].model_copy(
        update={"id": "priced", "prices": tuple(rows), "context_window_input": draw(st.integers(1, 3_000))}
    )


requests = st.builds(
    lambda text, cap: request(input=text, max_output_tokens=cap),
    st.integers(1, 2_500).map(lambda length: "x" * length),
    st.none() | st.integers(MIN_OUTPUT_TOKENS, 100_000),
)
spans = st.tuples(st.integers(0, 2), st.integers(0, 3)).map(
    lambda days: (TODAY + timedelta(days=days[0]), TODAY + timedelta(days=sum(days)))
)


@st.composite
def usages_within(draw: st.DrawFn, limit: MaxCost) -> Usage:
    """Any usage within the maximum tokens, often all of them, split in any way."""
    input_tokens = draw(st.just(limit.input_tokens) | st.integers(0, limit.input_tokens))
    output_tokens = draw(st.just(limit.output_tokens) | st.integers(0, limit.output_tokens))
    cached = draw(st.sampled_from([0, input_tokens]) | st.integers(0, input_tokens))
    uncached = input_tokens - cached
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=draw(st.sampled_from([0, uncached]) | st.integers(0, uncached)),
        output_tokens=output_tokens,
        reasoning_tokens=draw(st.integers(0, output_tokens)),
    )


@settings(max_examples=200, deadline=None)
@given(submitted=requests, model=models(), span=spans, data=st.data())
def test_no_usage_costs_more_than_the_maximum(
    submitted: CreateResponse, model: Model, span: tuple[date, date], data: st.DataObject
) -> None:
    first, last = span
    limit = max_cost(submitted, model, "standard", first=first, last=last)
    usage = data.draw(usages_within(limit))
    call_date = first + timedelta(days=data.draw(st.integers(0, (last - first).days)))
    assert cost(usage, model.price("standard", usage.input_tokens, call_date)).total_usd <= limit.total_usd


@settings(max_examples=200, deadline=None)
@given(submitted=requests, model=models(), span=spans)
def test_maximum_is_the_highest_applicable_row(
    submitted: CreateResponse, model: Model, span: tuple[date, date]
) -> None:
    first, last = span
    limit = max_cost(submitted, model, "standard", first=first, last=last)
    assert limit.total_usd == exact_sum(limit.input_usd, limit.output_usd, limit.tools_usd)
    totals: dict[str, Decimal] = {}
    for number in range((last - first).days + 1):
        for each in model.price_rows("standard", first + timedelta(days=number)):
            if each.above_input_tokens == 0 or limit.input_tokens > each.above_input_tokens:
                totals[each.id] = (
                    limit.input_tokens * each.max_input_price + limit.output_tokens * each.output
                ) / 1_000_000
    assert totals[limit.price_id] == limit.total_usd == max(totals.values())


@settings(max_examples=200, deadline=None)
@given(submitted=requests, model=models(), span=spans, data=st.data())
def test_one_token_more_than_fitting_does_not_fit(
    submitted: CreateResponse, model: Model, span: tuple[date, date], data: st.DataObject
) -> None:
    first, last = span

    def total(output_tokens: int) -> Decimal:
        capped = submitted.model_copy(update={"max_output_tokens": output_tokens})
        return max_cost(capped, model, "standard", first=first, last=last).total_usd

    maximum = submitted.max_output_tokens or model.max_output_tokens
    boundary = st.integers(MIN_OUTPUT_TOKENS, maximum).map(total)
    cap_usd = data.draw(st.decimals(0, 200, places=12) | boundary | boundary.map(lambda usd: usd - Decimal("1e-18")))
    assume(cap_usd >= 0)
    fitting = fitting_output_tokens(submitted, model, "standard", first=first, last=last, cap_usd=cap_usd)
    if fitting is None:
        assert total(MIN_OUTPUT_TOKENS) > cap_usd
    else:
        assert MIN_OUTPUT_TOKENS <= fitting <= maximum
        assert total(fitting) <= cap_usd
        assert fitting == maximum or total(fitting + 1) > cap_usd
