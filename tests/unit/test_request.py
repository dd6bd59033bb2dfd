"""The form of each part of a request, and what becomes of it on its way to the model."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.request import body
from afterthought.domain.request.options import TAG_FORM, Afterthought
from afterthought.domain.request.request import CreateResponse


def read(item: Any) -> dict[str, Any]:
    """The item as it is sent on."""
    request = body.read(json.dumps({"model": "o3", "input": [item]}).encode())
    kept: dict[str, Any] = json.loads(body.canonical(request))["input"][0]
    return kept


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": "Hello"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": ""}]},
        {"type": "message", "role": "assistant", "phase": "commentary",
         "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "message", "role": "user",
         "content": [{"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"}]},
        {"type": "message", "role": "user",
         "content": [{"type": "input_file", "filename": "a", "file_data": "data:,x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "4"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "4"}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
        {"type": "reasoning", "encrypted_content": "gAAA", "summary": [{"type": "summary_text", "text": "t"}]},
    ],
    ids=lambda item: item["type"],
)  # fmt: skip
def test_an_item_is_sent_on_as_it_came(item: dict[str, Any]) -> None:
    assert read(item) == item


def test_a_message_may_leave_its_type_out() -> None:
    assert read({"role": "user", "content": "x"}) == {"type": "message", "role": "user", "content": "x"}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "assistant", "content": "x", "id": "msg_1", "status": "completed"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "id": "fc_1", "status": "completed"},
        {"type": "reasoning", "encrypted_content": "x", "summary": [], "id": "rs_1", "status": "completed"},
    ],
    ids=lambda item: item["type"],
)
def test_an_id_at_the_provider_is_taken_and_not_sent_on(item: dict[str, Any]) -> None:
    """All tenants share one account there: an id could be another tenant's."""
    kept = read(item)
    assert "id" not in kept
    assert "status" not in kept


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0]"),
        ({"id": "msg_1"}, "input[0]"),
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "input[0]"),
        ({"type": "mcp_approval_response", "approve": True}, "input[0]"),
        ({"type": "reasoning", "id": "rs_1", "summary": []}, "input[0].encrypted_content"),
        ({"type": "reasoning", "encrypted_content": ""}, "input[0].encrypted_content"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content[0].file_id"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]},
         "input[0].output[0].file_id"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": ""}]}, "input[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]},
         "input[0].content[0].image_url"),
        ({"role": "user", "content": {"type": "input_text", "text": "x"}}, "input[0].content"),
        ({"role": "user", "content": "x", "name": "n"}, "input[0].name"),
        ({"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_wrong_with_an_item_is_named_by_its_path(item: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(item)
    assert caught.value.param == param


def test_the_item_that_is_wrong_is_named_among_many() -> None:
    items: list[Any] = [{"role": "user", "content": "x"}] * 5 + [{"role": "nobody", "content": "x"}]
    with pytest.raises(InvalidRequest) as caught:
        body.read(json.dumps({"model": "o3", "input": items}).encode())
    assert caught.value.param == "input[5].role"


def ours(**given: Any) -> Afterthought:
    read_of = body.read(json.dumps({"model": "o3", "input": "x", "afterthought": given}).encode()).afterthought
    assert read_of is not None
    return read_of


def refusal_of_ours(**given: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ours(**given)
    return caught.value


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("0.25", "0.25"),
        ("0.50", "0.5"),
        ("007", "7"),
        ("1", "1"),
        (1, "1"),
        (999_999_999, "999999999"),
        ("999999999.999999999999", "999999999.999999999999"),
        ("0.000000000001", "0.000000000001"),
        ("100", "100"),
    ],
)
def test_a_cap_is_exact_dollars_and_has_one_form(given: str | int, canonical: str) -> None:
    capped = ours(max_cost_usd=given)
    assert capped.max_cost_usd == Decimal(canonical)
    assert capped.model_dump(mode="json")["max_cost_usd"] == canonical


@pytest.mark.parametrize("given", [0.25, 1.0, 1e3, True, False, ["1"], {"usd": "1"}])
def test_a_cap_in_another_form_is_refused_with_the_form_that_is_taken(given: object) -> None:
    refused = refusal_of_ours(max_cost_usd=given)
    assert (refused.param, refused.code) == ("afterthought.max_cost_usd", "invalid_type")
    assert 'a string such as "0.25", or a whole number' in refused.message


@pytest.mark.parametrize(
    "given",
    [
        *(0, -1, 10**9, 10**400, "0", "0.000", "-1", "+1", "", " 1", "1\n", "1 000", "1,5", "$1", ".5", "1.", "1e3"),
        *("1_0", "NaN", "Infinity", "1" * 10, "0." + "1" * 13, "\u0661", "1" * 5000),
    ],
)
def test_a_cap_that_is_no_amount_above_nothing_is_refused_with_what_is_allowed(given: str | int) -> None:
    refused = refusal_of_ours(max_cost_usd=given)
    assert (refused.param, refused.code) == ("afterthought.max_cost_usd", "invalid_value")
    assert 'dollars above 0, such as "0.25": at most 9 digits before the point and 12 after it' in refused.message


@pytest.mark.parametrize("given", [1, 0, "true", "", [], {}])
def test_a_dry_run_is_asked_for_by_a_boolean_alone(given: object) -> None:
    assert refusal_of_ours(dry_run=given).param == "afterthought.dry_run"


@pytest.mark.parametrize("seconds", [60, 61, 86_400])
def test_a_deadline_is_a_minute_to_a_day(seconds: int) -> None:
    assert ours(deadline_seconds=seconds).deadline_seconds == seconds


@pytest.mark.parametrize("given", [0, -60, 59, 86_401, 10**30])
def test_a_deadline_out_of_range_is_refused_with_the_range(given: int) -> None:
    refused = refusal_of_ours(deadline_seconds=given)
    assert (refused.param, refused.code) == ("afterthought.deadline_seconds", "invalid_value")
    assert "must be 60 to 86400 seconds, a whole number" in refused.message


@pytest.mark.parametrize("given", ["60", 60.0, 60.5, True, [60], {}])
def test_a_deadline_that_is_no_whole_number_is_refused(given: object) -> None:
    refused = refusal_of_ours(deadline_seconds=given)
    assert (refused.param, refused.code) == ("afterthought.deadline_seconds", "invalid_type")
    assert "integer" in refused.message


CHOICES = {
    "model_policy": ("exact", "successor"),
    "on_unknown": ("fail", "retry"),
    "on_starved": ("keep", "retry"),
}


@pytest.mark.parametrize("field", CHOICES)
def test_a_choice_is_one_of_its_values_and_a_wrong_one_is_told_them(field: str) -> None:
    for value in CHOICES[field]:
        assert getattr(ours(**{field: value}), field) == value
    for wrong in ("Retry", "", "none", True, 1, ["retry"], {"retry": True}):
        refused = refusal_of_ours(**{field: wrong})
        assert refused.param == f"afterthought.{field}"
        assert all(value in refused.message for value in CHOICES[field])


def test_what_becomes_of_a_job_is_stored_with_its_request() -> None:
    asked = {"deadline_seconds": 600, "model_policy": "successor", "on_starved": "retry", "on_unknown": "retry"}
    request = body.read(json.dumps({"model": "o3", "input": "x", "afterthought": asked}).encode())
    kept = json.loads(body.canonical(request))
    assert kept["afterthought"] == asked
    assert CreateResponse.model_validate(kept) == request


def test_what_is_not_asked_for_is_not_there() -> None:
    absent = Afterthought()
    assert (absent.max_cost_usd, absent.tags, bool(absent.dry_run)) == (None, None, False)
    assert (absent.deadline_seconds, absent.model_policy, absent.on_unknown, absent.on_starved) == (None,) * 4
    assert ours(**dict.fromkeys(Afterthought.model_fields)) == absent
    assert ours(dry_run=True).dry_run is True


def test_tags_are_taken_at_their_most_and_kept_in_order() -> None:
    longest = "z" * 64
    assert ours(tags=[longest, "a:b/c.d-e_f", "B", "0", "a"]).tags == ["0", "B", "a", "a:b/c.d-e_f", longest]


@pytest.mark.parametrize(
    ("tags", "param", "told"),
    [
        ([str(number) for number in range(6)], "tags", "at most 5 are allowed, 6 were given"),
        (["b", "a", "b"], "tags", "'b' is there twice"),
        (["a", "-b"], "tags[1]", TAG_FORM),
        (["a,b"], "tags[0]", TAG_FORM),
        (["a#b"], "tags[0]", TAG_FORM),
        (["a\n"], "tags[0]", TAG_FORM),
        (["\u00e9"], "tags[0]", TAG_FORM),
        ([""], "tags[0]", TAG_FORM),
        (["a" * 65], "tags[0]", TAG_FORM),
        ([1], "tags[0]", "string"),
        ("a", "tags", "list"),
        ({"a": "b"}, "tags", "list"),
    ],
)
def test_a_tag_that_is_wrong_is_named_with_what_is_allowed(tags: object, param: str, told: str) -> None:
    refused = refusal_of_ours(tags=tags)
    assert refused.param == f"afterthought.{param}"
    assert told in refused.message


@pytest.mark.parametrize("field", sorted(CreateResponse.model_fields))
def test_nothing_but_model_and_input_is_required_and_null_is_absent(field: str) -> None:
    if field in ("model", "input"):
        with pytest.raises(ValidationError):
            CreateResponse.model_validate({"model": "o3", "input": "x", field: None})
        return
    absent = CreateResponse.model_validate({"model": "o3", "input": "x"})
    assert CreateResponse.model_validate({"model": "o3", "input": "x", field: None}) == absent


def test_a_request_cannot_be_changed_once_it_was_checked() -> None:
    request = CreateResponse.model_validate({"model": "o3", "input": "x"})
    with pytest.raises(ValidationError):
        setattr(request, "model", "o1-pro")  # noqa: B010  the type checker refuses it too


def test_sixteen_pairs_of_metadata_are_taken_at_their_longest() -> None:
    pairs = {f"{number:02}" + "k" * 62: "v" * 512 for number in range(16)}
    assert CreateResponse.model_validate({"model": "o3", "input": "x", "metadata": pairs}).metadata == pairs
