"""Whether a model can serve a request, by the catalogue's own rows."""

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
    found = default_catalogue().find(name)
    assert found is not None
    return found


each_model = pytest.mark.parametrize("any_model", MODELS, ids=[one.id for one in MODELS])


@each_model
def test_a_plain_question_is_for_every_model(any_model: Model) -> None:
    assert refused(any_model) is None


@each_model
@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_is_taken_just_where_the_catalogue_lists_it(any_model: Model, effort: str) -> None:
    error = refused(any_model, reasoning={"effort": effort})
    if effort in any_model.efforts:
        assert error is None
        return
    assert error is not None
    assert (error.param or "").startswith("reasoning")
    assert all(allowed in error.message for allowed in any_model.efforts)


@each_model
def test_the_effort_is_the_callers_or_the_models_own(any_model: Model) -> None:
    assert admission.effort(request(), any_model) == any_model.default_effort
    assert admission.effort(request(reasoning={"summary": "auto"}), any_model) == any_model.default_effort
    for effort in any_model.efforts:
        assert admission.effort(request(reasoning={"effort": effort}), any_model) == effort


@each_model
def test_output_is_bounded_from_sixteen_to_the_models_own_most(any_model: Model) -> None:
    most = any_model.max_output_tokens
    for cap in (16, most):
        assert refused(any_model, max_output_tokens=cap) is None
    for cap in (-1, 0, 15, most + 1):
        error = refused(any_model, max_output_tokens=cap)
        assert error is not None
        assert error.param == "max_output_tokens"
        assert "16" in error.message
        assert str(most) in error.message


@each_model
@pytest.mark.parametrize(
    ("changes", "param", "can"),
    [
        ({"tools": [FUNCTION]}, "tools", lambda one: one.tools),
        ({"tools": [{"type": "custom", "name": "f"}]}, "tools", lambda one: one.tools),
        ({"tools": [FUNCTION], "tool_choice": "required"}, "tools", lambda one: one.tools),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": FUNCTION["name"]}}, "tools",
         lambda one: one.tools),
        ({"tools": [], "tool_choice": "auto"}, None, lambda _: True),
        ({"tool_choice": "none"}, None, lambda _: True),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, "text.format",
         lambda one: one.structured_outputs),
        ({"text": {"format": {"type": "json_object"}}}, "text.format", lambda one: one.structured_outputs),
        ({"text": {"format": {"type": "text"}}}, None, lambda _: True),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, IMAGE]}]}, "input[0].content[1]",
         lambda one: "image" in one.input_modalities),
        ({"input": [{"role": "user", "content": "x"}, {"role": "user", "content": [FILE]}]}, "input[1].content[0]",
         lambda one: "file" in one.input_modalities),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": [IMAGE]}]}, "input[0].output[0]",
         lambda one: "image" in one.input_modalities),
    ],
)  # fmt: skip
def test_what_a_model_cannot_do_is_refused_and_what_it_can_is_not(
    any_model: Model, changes: dict[str, Any], param: str | None, can: Any
) -> None:
    error = refused(any_model, **changes)
    if can(any_model):
        assert error is None
        return
    assert error is not None
    assert error.param == param
    assert any_model.id in error.message


@each_model
def test_parallel_calls_are_taken_just_where_a_model_makes_them(any_model: Model) -> None:
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
def test_a_tool_choice_that_no_tool_can_meet_is_refused(choice: object) -> None:
    model = default_catalogue().models["o3"]
    tools = [] if choice == "required" else [FUNCTION]
    error = refused(model, tools=tools, tool_choice=choice)
    assert error is not None
    assert error.param == "tool_choice"


def test_a_file_that_holds_nothing_is_refused() -> None:
    empty = {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf"}]}
    error = refused(default_catalogue().models["o3"], input=[empty])
    assert error is not None
    assert error.param == "input[0].content[0]"


@each_model
@pytest.mark.parametrize("asked", ["auto", "default", "flex", "priority"])
def test_a_tier_is_taken_just_where_it_has_a_price(any_model: Model, asked: str) -> None:
    error = refused(any_model, service_tier=asked)
    assert (error is None) == (asked in ("auto", "default") or asked in any_model.tiers(TODAY))
    if error is not None:
        assert error.param == "service_tier"
        assert "default" in error.message


def test_what_auto_would_cost_is_known_beforehand() -> None:
    tiers = [admission.service_tier(request(service_tier=asked)) for asked in (None, "auto", "default", "flex")]
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
def test_what_certainly_cannot_fit_is_refused_wherever_it_stands(changes: Any) -> None:
    small = model("o1-mini")
    assert refused(small, **changes(" a" * (small.context_window_input - 10))) is None
    error = refused(small, **changes(" a" * (small.context_window_input + 1)))
    assert error is not None
    assert (error.param, error.code) == ("input", "context_length_exceeded")
    assert str(small.context_window_input) in error.message


def test_what_might_fit_is_left_to_the_provider() -> None:
    """A long run of letters can be few tokens: only what is certain is refused."""
    assert refused(model("o1-mini"), input="x" * 3_000_000) is None


@given(st.text(max_size=200))
def test_no_more_tokens_are_certain_than_there_are_letters_and_digits(text: str) -> None:
    """Each counted token begins at a letter of its own or covers digits of its own, so there are no more than these."""
    assert 0 <= admission.fewest_tokens(text) <= sum(char.isascii() and char.isalnum() for char in text)


@pytest.mark.parametrize(
    ("text", "fewest"),
    [("", 0), ("word", 0), ("one two", 1), ("a\tb\nc", 2), ("1234567", 3), ("12 34", 2), ("ключ от", 0), ("a1b2", 2)],
)
def test_the_fewest_tokens_of_a_text(text: str, fewest: int) -> None:
    assert admission.fewest_tokens(text) == fewest


@each_model
def test_a_successor_is_asked_for_nothing_that_it_does_not_take(any_model: Model) -> None:
    """Whatever the model before it takes, of what only the two models' numbers differ in."""
    for successor in MODELS:
        for effort in (None, *any_model.efforts):
            for cap in (None, 16, any_model.max_output_tokens):
                asked = request(reasoning=effort and {"effort": effort}, max_output_tokens=cap)
                called = admission.for_successor(asked, any_model, successor)
                admission.check(called, successor, on=TODAY)
                assert (called.model, called.input) == (successor.id, asked.input)
                assert (called.max_output_tokens is None) == (cap is None)


def test_what_is_asked_of_the_reasoning_besides_its_effort_stays() -> None:
    asked = request(reasoning={"summary": "detailed"})
    called = admission.for_successor(asked, model("o3"), model("gpt-5.6-sol"))
    assert called.model_dump(exclude_none=True)["reasoning"] == {"effort": "medium", "summary": "detailed"}
    assert refused(model("gpt-4o"), reasoning={"summary": "detailed"}) is not None
    # A summary is not dropped unasked: the one that cannot give it refuses.
    plain = admission.for_successor(asked, model("o3"), model("gpt-4o"))
    with pytest.raises(InvalidRequest, match="gpt-4o does not reason"):
        admission.check(plain, model("gpt-4o"), on=TODAY)
