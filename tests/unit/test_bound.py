"""What a call can cost at most: of everything that is asked, by the dearest price that can apply."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain import body
from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.bound import (
    Bound,
    bound,
    estimated_tokens,
    fitting_output_tokens,
    input_tokens_at_most,
)
from afterthought.domain.model import Model, NoPrice
from afterthought.domain.pricing import Price, Usage, cost, exact_sum, price_id
from afterthought.domain.request import CreateResponse

TODAY = date(2026, 11, 2)
TOMORROW = TODAY + timedelta(days=1)
MODELS = default_catalogue().models
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}
FILE = {"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}
SEALED = {"type": "reasoning", "encrypted_content": "gAAAA"}


def request(**changes: Any) -> CreateResponse:
    return body.read(json.dumps({"model": "any", "input": "Why?", **changes}, ensure_ascii=False).encode())


def of(model: str, first: date = TODAY, last: date = TOMORROW, **changes: Any) -> Bound:
    return bound(request(**changes), MODELS[model], "standard", first=first, last=last)


def filled(model: Model, input_tokens: int) -> CreateResponse:
    """A request whose input is bounded by just so many tokens."""
    return request(input="x" * (input_tokens - input_tokens_at_most(request(input="x"), model) + 1))


# Golden


def test_without_a_cap_the_models_own_maximum_is_assumed_and_nothing_less() -> None:
    """Others assume 16k or 4k, and o3 writes 100,000."""
    uncapped = of("o3")
    assert (uncapped.output_tokens, uncapped.output_usd) == (100_000, Decimal("0.8"))
    assert of("gpt-5-pro").output_tokens == 272_000
    assert of("o3", max_output_tokens=4_000).output_usd == Decimal("0.032")


def test_the_parts_are_those_of_the_price_list() -> None:
    found = bound(filled(MODELS["o3"], 10_000), MODELS["o3"], "standard", first=TODAY, last=TOMORROW)
    assert json.loads(found.model_dump_json()) == {
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
ASKED = {"role": "user", "content": "Why?"}


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
        {"input": [{"role": "system", "content": LONG}, ASKED]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]},
        {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": LONG}]}, ASKED]},
        {"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": LONG}]}, ASKED]},
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
def test_all_that_the_model_reads_is_counted_byte_by_byte_wherever_it_stands(changes: dict[str, Any]) -> None:
    assert input_tokens_at_most(request(**changes), MODELS["o3"]) >= 10_000
    usual = estimated_tokens(request(**changes), MODELS["o3"]) - MODELS["o3"].typical_output_tokens
    assert 2_500 <= usual < 2_600


def test_many_small_things_count_each_with_what_the_provider_puts_around_it() -> None:
    few = input_tokens_at_most(request(input=[ASKED]), MODELS["o3"])
    items = [{"role": "user", "content": ""}] * 1_000
    assert input_tokens_at_most(request(input=items), MODELS["o3"]) >= few + 10 * 1_000
    parts = [{"role": "user", "content": [{"type": "input_text", "text": ""}] * 1_000}]
    assert input_tokens_at_most(request(input=parts), MODELS["o3"]) >= few + 3 * 1_000
    tools = [{"type": "function", "name": "f"}] * 100
    assert input_tokens_at_most(request(tools=tools), MODELS["o3"]) >= few + 60 * 100


def test_the_output_of_a_call_is_headed_by_the_name_of_its_tool() -> None:
    outputs = [{"type": "function_call_output", "call_id": "c", "output": ""}] * 100

    def named(name: str) -> int:
        call = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
        return input_tokens_at_most(request(input=[call, *outputs]), MODELS["o3"])

    assert named("f" * 101) - named("f") >= 100 * 101


def test_the_tool_that_must_be_called_is_named_again() -> None:
    tools = [{"type": "function", "name": "f" * 100}]
    free = input_tokens_at_most(request(tools=tools), MODELS["o3"])
    chosen = input_tokens_at_most(
        request(tools=tools, tool_choice={"type": "function", "name": "f" * 100}), MODELS["o3"]
    )
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
def test_what_never_reaches_the_model_costs_nothing(changes: dict[str, Any]) -> None:
    assert of("o3", **changes) == of("o3")
    assert estimated_tokens(request(**changes), MODELS["o3"]) == estimated_tokens(request(), MODELS["o3"])


@pytest.mark.parametrize("unbounded", [IMAGE, FILE, SEALED])
@pytest.mark.parametrize("model", MODELS)
def test_what_the_request_cannot_bound_counts_as_the_whole_window(model: str, unbounded: dict[str, Any]) -> None:
    items = [ASKED, unbounded, ASKED]
    assert input_tokens_at_most(request(input=items), MODELS[model]) == MODELS[model].context_window_input
    output = {"type": "function_call_output", "call_id": "c", "output": unbounded.get("content", "")}
    expected = MODELS[model].context_window_input if unbounded is not SEALED else 1_000
    assert input_tokens_at_most(request(input=[output]), MODELS[model]) <= expected


@pytest.mark.parametrize("model", MODELS)
def test_no_model_reads_more_than_its_window(model: str) -> None:
    window = MODELS[model].context_window_input
    assert input_tokens_at_most(request(input="ж" * window), MODELS[model]) == window
    assert input_tokens_at_most(filled(MODELS[model], window - 1), MODELS[model]) == window - 1
    wide = {"type": "object", "properties": {str(number): LONG_SCHEMA for number in range(100)}}
    tools = [{"type": "function", "name": "f", "parameters": wide}]
    assert input_tokens_at_most(request(tools=tools), MODELS[model]) == window


def test_an_input_that_may_be_above_272k_is_held_at_the_long_rows_price_and_one_that_cannot_is_not() -> None:
    luna = MODELS["gpt-5.6-luna"]
    at = bound(filled(luna, 272_000), luna, "standard", first=TODAY, last=TODAY)
    assert (at.input_tokens, at.price_id) == (272_000, "gpt-5.6-luna/standard/2026-07-30")
    above = bound(filled(luna, 272_001), luna, "standard", first=TODAY, last=TODAY)
    assert (above.input_tokens, above.price_id) == (272_001, "gpt-5.6-luna/standard/2026-07-30/above-272k")
    assert (above.input_usd, above.output_usd) == (Decimal("0.1360005"), Decimal("0.2304"))


def test_all_input_is_held_at_the_price_of_a_cache_write_where_that_is_the_dearest() -> None:
    assert of("gpt-5.6-luna").input_usd == of("gpt-5.6-luna").input_tokens * Decimal("0.25") / 1_000_000


def test_a_price_that_changes_before_the_call_is_held_at_the_dearer_of_both() -> None:
    cut = date(2026, 7, 30)
    before = of("gpt-5.6-luna", cut - timedelta(days=1), cut)
    assert before.price_id == "gpt-5.6-luna/standard/2026-07-09"
    assert of("gpt-5.6-luna", cut, cut + timedelta(days=1)).price_id == "gpt-5.6-luna/standard/2026-07-30"
    dearer = MODELS["o3"].model_copy(
        update={
            "prices": (
                *MODELS["o3"].prices,
                row("o3", start=TOMORROW, output=Decimal(9)),
                row("o3", start=TOMORROW + timedelta(days=1), output=Decimal(99)),
            )
        }
    )
    rising = bound(request(), dearer, "standard", first=TODAY, last=TOMORROW)
    assert rising.price_id == f"o3/standard/{TOMORROW}"
    assert bound(request(), dearer, "standard", first=TODAY, last=TODAY).price_id == "o3/standard/2025-06-10"


def test_each_tier_is_held_at_its_own_price() -> None:
    o3 = MODELS["o3"]
    totals = [
        bound(request(), o3, tier, first=TODAY, last=TOMORROW).total_usd for tier in ("flex", "standard", "priority")
    ]
    assert totals == sorted(totals)
    assert len(set(totals)) == 3


def test_a_tier_without_a_price_on_the_first_day_is_refused() -> None:
    with pytest.raises(NoPrice, match="gpt-5-nano has no priority price on 2026-11-02"):
        bound(request(), MODELS["gpt-5-nano"], "priority", first=TODAY, last=TOMORROW)
    with pytest.raises(NoPrice):
        of("gpt-6-luna", date(2026, 9, 1), date(2026, 12, 1))
    with pytest.raises(NoPrice):
        fitting_output_tokens(
            request(), MODELS["gpt-5-nano"], "priority", first=TODAY, last=TOMORROW, cap_usd=Decimal(1)
        )


def test_a_usual_dollar_cap_is_told_the_output_that_fits() -> None:
    def fitting(cap: str, **changes: Any) -> int | None:
        cap_usd = Decimal(cap)
        return fitting_output_tokens(
            request(**changes), MODELS["o3"], "standard", first=TODAY, last=TOMORROW, cap_usd=cap_usd
        )

    spent = of("o3").input_usd
    assert fitting("0.25") == int((Decimal("0.25") - spent) * 1_000_000 / 8)
    assert fitting("0.25", max_output_tokens=500) == 500
    assert fitting("100") == 100_000
    assert fitting(str(spent + 16 * Decimal(8) / 1_000_000)) == 16
    assert fitting(str(spent + 16 * Decimal(8) / 1_000_000 - Decimal("1e-12"))) is None
    assert fitting("0.000001") is None


# For rate limits


def test_a_rate_tier_counts_a_quarter_of_the_bytes_and_the_output_that_is_asked_for() -> None:
    o3 = MODELS["o3"]
    assert estimated_tokens(request(input="x" * 4_000, max_output_tokens=500), o3) == 1_500
    assert estimated_tokens(request(input="x" * 4_001, max_output_tokens=500), o3) == 1_501
    assert estimated_tokens(request(input="ж" * 2_000, max_output_tokens=500), o3) == 1_500
    assert estimated_tokens(request(input="x" * 4_000), o3) == 1_000 + o3.typical_output_tokens


@pytest.mark.parametrize("model", MODELS)
def test_an_estimate_takes_pictures_for_usual_ones_and_never_exceeds_the_window(model: str) -> None:
    found = MODELS[model]
    typical = found.typical_output_tokens
    assert 0 < typical <= found.max_output_tokens
    assert estimated_tokens(request(input=[IMAGE]), found) == 1_000 + typical
    assert estimated_tokens(request(input=[FILE]), found) == 10_000 + typical
    assert estimated_tokens(request(input=[IMAGE, SEALED]), found) == 1_000 + 2 + typical
    assert estimated_tokens(request(input=[FILE] * 200), found) == found.context_window_input + typical


# For every price list


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
def usages_within(draw: st.DrawFn, held: Bound) -> Usage:
    """Anything that a provider may count within the bound: often all of it, split in any way."""
    read = draw(st.just(held.input_tokens) | st.integers(0, held.input_tokens))
    written = draw(st.just(held.output_tokens) | st.integers(0, held.output_tokens))
    cached = draw(st.sampled_from([0, read]) | st.integers(0, read))
    return Usage(
        input_tokens=read,
        cached_input_tokens=cached,
        cache_write_tokens=draw(st.sampled_from([0, read - cached]) | st.integers(0, read - cached)),
        output_tokens=written,
        reasoning_tokens=draw(st.integers(0, written)),
    )


@settings(max_examples=200, deadline=None)
@given(asked=requests, model=models(), span=spans, data=st.data())
def test_no_usage_within_the_bound_costs_more_on_any_day_by_any_row(
    asked: CreateResponse, model: Model, span: tuple[date, date], data: st.DataObject
) -> None:
    first, last = span
    held = bound(asked, model, "standard", first=first, last=last)
    usage = data.draw(usages_within(held))
    called_on = first + timedelta(days=data.draw(st.integers(0, (last - first).days)))
    assert cost(usage, model.price("standard", usage.input_tokens, called_on)).total_usd <= held.total_usd


@settings(max_examples=200, deadline=None)
@given(asked=requests, model=models(), span=spans)
def test_the_bound_is_what_its_own_row_charges_and_no_row_that_can_apply_charges_more(
    asked: CreateResponse, model: Model, span: tuple[date, date]
) -> None:
    first, last = span
    held = bound(asked, model, "standard", first=first, last=last)
    assert held.total_usd == exact_sum(held.input_usd, held.output_usd, held.tools_usd)
    charged: dict[str, Decimal] = {}
    for number in range((last - first).days + 1):
        for each in model.rows("standard", first + timedelta(days=number)):
            if each.above_input_tokens == 0 or held.input_tokens > each.above_input_tokens:
                charged[each.id] = (
                    held.input_tokens * each.max_input_price + held.output_tokens * each.output
                ) / 1_000_000
    assert charged[held.price_id] == held.total_usd == max(charged.values())


@settings(max_examples=200, deadline=None)
@given(asked=requests, model=models(), span=spans, data=st.data())
def test_the_output_that_fits_a_cap_does_and_one_token_more_does_not(
    asked: CreateResponse, model: Model, span: tuple[date, date], data: st.DataObject
) -> None:
    first, last = span

    def total(output_tokens: int) -> Decimal:
        capped = asked.model_copy(update={"max_output_tokens": output_tokens})
        return bound(capped, model, "standard", first=first, last=last).total_usd

    most = asked.max_output_tokens or model.max_output_tokens
    near = st.integers(MIN_OUTPUT_TOKENS, most).map(total)
    cap_usd = data.draw(st.decimals(0, 200, places=12) | near | near.map(lambda usd: usd - Decimal("1e-18")))
    assume(cap_usd >= 0)
    fitting = fitting_output_tokens(asked, model, "standard", first=first, last=last, cap_usd=cap_usd)
    if fitting is None:
        assert total(MIN_OUTPUT_TOKENS) > cap_usd
    else:
        assert MIN_OUTPUT_TOKENS <= fitting <= most
        assert total(fitting) <= cap_usd
        assert fitting == most or total(fitting + 1) > cap_usd
