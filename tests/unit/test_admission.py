"""Whether a model supports a request, by the shipped catalogue."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.models.model import Model
from afterthought.domain.request import admission
from afterthought.domain.request.request import CreateResponse

TODAY = date(2026, 11, 1)
MODELS = list(default_catalogue().models.values())
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
IMAGE = {"type": "input_image", "image_url": "data:,x"}
FILE = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
FUNCTION = {"type": "function", "name": "f"}


def request(**changes: Any) -> CreateResponse:
    return CreateResponse.model_validate({"model": "any", "input": "Why?", **changes})


def refused(model: Model, **changes: Any) -> InvalidRequest | None:
    try:
        admission.check(request(**changes), model, on=TODAY)
    except InvalidRequest as error:
        return error
    return None


def model(name: str) -> Model:
    result = default_catalogue().find(name)
    assert result is not None
    return result


each_model = pytest.mark.parametrize("any_model", MODELS, ids=[each.id for each in MODELS])


@each_model
def test_plain_request_is_admitted(any_model: Model) -> None:
    assert refused(any_model) is None


@each_model
@pytest.mark.parametrize("effort", EFFORTS)
def test_only_listed_efforts_are_admitted(any_model: Model, effort: str) -> None:
    error = refused(any_model, reasoning={"effort": effort})
    if effort in any_model.efforts:
        assert error is None
        return
    assert error is not None
    assert (error.param or "").startswith("reasoning")
    assert all(allowed in error.message for allowed in any_model.efforts)


@each_model
def test_effective_effort(any_model: Model) -> None:
    assert admission.effective_effort(request(), any_model) == any_model.default_effort
    assert admission.effective_effort(request(reasoning={"summary": "auto"}), any_model) == any_model.default_effort
    for effort in any_model.efforts:
        assert admission.effective_effort(request(reasoning={"effort": effort}), any_model) == effort


@each_model
def test_output_cap_limits(any_model: Model) -> None:
    maximum = any_model.max_output_tokens
    for cap in (16, maximum):
        assert refused(any_model, max_output_tokens=cap) is None
    for cap in (-1, 0, 15, maximum + 1):
        error = refused(any_model, max_output_tokens=cap)
        assert error is not None
        assert error.param == "max_output_tokens"
        assert "16" in error.message
        assert str(maximum) in error.message


@each_model
@pytest.mark.parametrize(
    ("changes", "param", "supported"),
    [
        ({"tools": [FUNCTION]}, "tools", lambda m: m.tools),
        ({"tools": [{"type": "custom", "name": "f"}]}, "tools", lambda m: m.tools),
        ({"tools": [FUNCTION], "tool_choice": "required"}, "tools", lambda m: m.tools),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": FUNCTION["name"]}}, "tools",
         lambda m: m.tools),
        ({"tools": [], "tool_choice": "auto"}, None, lambda _: True),
        ({"tool_choice": "none"}, None, lambda _: True),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, "text.format",
         lambda m: m.structured_outputs),
        ({"text": {"format": {"type": "json_object"}}}, "text.format", lambda m: m.structured_outputs),
        ({"text": {"format": {"type": "text"}}}, None, lambda _: True),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, IMAGE]}]}, "input[0].content[1]",
         lambda m: "image" in m.input_modalities),
        ({"input": [{"role": "user", "content": "x"}, {"role": "user", "content": [FILE]}]}, "input[1].content[0]",
         lambda m: "file" in m.input_modalities),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": [IMAGE]}]}, "input[0].output[0]",
         lambda m: "image" in m.input_modalities),
    ],
)  # fmt: skip
def test_features_follow_the_catalogue(
    any_model: Model, changes: dict[str, Any], param: str | None, supported: Any
) -> None:
    error = refused(any_model, **changes)
    if supported(any_model):
        assert error is None
        return
    assert error is not None
    assert error.param == param
    assert any_model.id in error.message


@each_model
def test_parallel_tool_calls_follow_the_catalogue(any_model: Model) -> None:
    error = refused(any_model, tools=[FUNCTION], parallel_tool_calls=True)
    if any_model.parallel_tool_calls:
        assert error is None
    else:
        assert error is not None
        assert error.param == ("parallel_tool_calls" if any_model.tools else "tools")
    assert refused(any_model, parallel_tool_calls=True) is None


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "name": "g"}, {"type": "custom", "name": "g"}], ids=str
)
def test_tool_choice_without_tool_is_refused(choice: object) -> None:
    model = default_catalogue().models["o3"]
    tools = [] if choice == "required" else [FUNCTION]
    error = refused(model, tools=tools, tool_choice=choice)
    assert error is not None
    assert error.param == "tool_choice"


def test_empty_file_is_refused() -> None:
    empty = {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf"}]}
    error = refused(default_catalogue().models["o3"], input=[empty])
    assert error is not None
    assert error.param == "input[0].content[0]"


@each_model
@pytest.mark.parametrize("tier", ["auto", "default", "flex", "priority"])
def test_tier_without_price_is_refused(any_model: Model, tier: str) -> None:
    error = refused(any_model, service_tier=tier)
    assert (error is None) == (tier in ("auto", "default") or tier in any_model.priced_tiers(TODAY))
    if error is not None:
        assert error.param == "service_tier"
        assert "default" in error.message


def test_auto_becomes_default() -> None:
    """Its price must be known before the call."""
    tiers = [admission.service_tier(request(service_tier=tier)) for tier in (None, "auto", "default", "flex")]
    assert tiers == ["default", "default", "default", "flex"]


@pytest.mark.parametrize(
    "changes",
    [
        lambda words: {"input": words},
        lambda words: {"instructions": words},
        lambda words: {"input": [{"role": "user", "content": words}]},
        lambda words: {"input": [{"role": "user", "content": [{"type": "input_text", "text": words}]}]},
        lambda words: {"input": [{"type": "function_call_output", "call_id": "c", "output": words}]},
        lambda words: {"input": words[: len(words) // 2], "instructions": words[len(words) // 2 :] + " a a"},
    ],
    ids=["input", "instructions", "message", "part", "output", "both together"],
)
def test_input_too_long_is_refused(changes: Any) -> None:
    small = model("o1-mini")
    assert refused(small, **changes(" a" * (small.context_window_input - 10))) is None
    error = refused(small, **changes(" a" * (small.context_window_input + 1)))
    assert error is not None
    assert (error.param, error.code) == ("input", "context_length_exceeded")
    assert str(small.context_window_input) in error.message


def test_input_that_may_fit_is_admitted() -> None:
    """A long run of letters may have few tokens."""
    assert refused(model("o1-mini"), input="x" * 3_000_000) is None


@given(st.text(max_size=200))
def test_min_tokens_is_at_most_letters_and_digits(text: str) -> None:
    """Each counted token starts at a separate letter or covers separate digits."""
    assert 0 <= admission.min_tokens(text) <= sum(char.isascii() and char.isalnum() for char in text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("word", 0), ("one two", 1), ("a\tb\nc", 2), ("1234567", 3), ("12 34", 2), ("ключ от", 0), ("a1b2", 2)],
)
def test_min_tokens(text: str, tokens: int) -> None:
    assert admission.min_tokens(text) == tokens


@each_model
def test_successor_request_is_admitted(any_model: Model) -> None:
    """For every effort and output cap that the retired model supports."""
    for successor in MODELS:
        for effort in (None, *any_model.efforts):
            for cap in (None, 16, any_model.max_output_tokens):
                original = request(reasoning=effort and {"effort": effort}, max_output_tokens=cap)
                called = admission.for_successor(original, any_model, successor)
                admission.check(called, successor, on=TODAY)
                assert (called.model, called.input) == (successor.id, original.input)
                assert (called.max_output_tokens is None) == (cap is None)


def test_successor_request_keeps_summary() -> None:
    original = request(reasoning={"summary": "detailed"})
    called = admission.for_successor(original, model("o3"), model("gpt-5.6-sol"))
    assert called.model_dump(exclude_none=True)["reasoning"] == {"effort": "medium", "summary": "detailed"}
    assert refused(model("gpt-4o"), reasoning={"summary": "detailed"}) is not None
    # The summary is not silently dropped: a model without reasoning refuses it.
    plain = admission.for_successor(original, model("o3"), model("gpt-4o"))
    with pytest.raises(InvalidRequest, match="gpt-4o does not reason"):
        admission.check(plain, model("gpt-4o"), on=TODAY)
