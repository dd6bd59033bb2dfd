"""Validation of each part of a request, and its canonical form."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.request import body
from afterthought.domain.request.options import TAG_FORMAT, AfterthoughtOptions
from afterthought.domain.request.request import CreateResponse


def parse_item(item: Any) -> dict[str, Any]:
    """The item in canonical form."""
    request = body.parse(json.dumps({"model": "o3", "input": [item]}).encode())
    canonical: dict[str, Any] = json.loads(body.canonical(request))["input"][0]
    return canonical


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
def test_item_is_kept(item: dict[str, Any]) -> None:
    assert parse_item(item) == item


def test_message_type_is_optional() -> None:
    assert parse_item({"role": "user", "content": "x"}) == {"type": "message", "role": "user", "content": "x"}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "assistant", "content": "x", "id": "msg_1", "status": "completed"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "id": "fc_1", "status": "completed"},
        {"type": "reasoning", "encrypted_content": "x", "summary": [], "id": "rs_1", "status": "completed"},
    ],
    ids=lambda item: item["type"],
)
def test_provider_id_is_dropped(item: dict[str, Any]) -> None:
    """All tenants share one account at the provider: an id could belong to another tenant."""
    canonical = parse_item(item)
    assert "id" not in canonical
    assert "status" not in canonical


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
def test_invalid_item_is_named_by_path(item: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_item(item)
    assert caught.value.param == param


def test_invalid_item_is_named_among_many() -> None:
    items: list[Any] = [{"role": "user", "content": "x"}] * 5 + [{"role": "unknown", "content": "x"}]
    with pytest.raises(InvalidRequest) as caught:
        body.parse(json.dumps({"model": "o3", "input": items}).encode())
    assert caught.value.param == "input[5].role"


def parse_options(**options: Any) -> AfterthoughtOptions:
    result = body.parse(json.dumps({"model": "o3", "input": "x", "afterthought": options}).encode()).afterthought
    assert result is not None
    return result


def refusal(**options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_options(**options)
    return caught.value


@pytest.mark.parametrize(
    ("value", "canonical"),
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
def test_cap_has_one_exact_form(value: str | int, canonical: str) -> None:
    options = parse_options(max_cost_usd=value)
    assert options.max_cost_usd == Decimal(canonical)
    assert options.model_dump(mode="json")["max_cost_usd"] == canonical


@pytest.mark.parametrize("value", [0.25, 1.0, 1e3, True, False, ["1"], {"usd": "1"}])
def test_cap_of_wrong_type_is_refused(value: object) -> None:
    refused = refusal(max_cost_usd=value)
    assert (refused.param, refused.code) == ("afterthought.max_cost_usd", "invalid_type")
    assert 'a string such as "0.25", or a whole number' in refused.message


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 10**9, 10**400, "0", "0.000", "-1", "+1", "", " 1", "1\n", "1 000", "1,5", "$1", ".5", "1.", "1e3"),
        *("1_0", "NaN", "Infinity", "1" * 10, "0." + "1" * 13, "\u0661", "1" * 5000),
    ],
)
def test_invalid_cap_is_refused(value: str | int) -> None:
    refused = refusal(max_cost_usd=value)
    assert (refused.param, refused.code) == ("afterthought.max_cost_usd", "invalid_value")
    assert (
        'dollars above 0, such as "0.25": at most 9 digits before the decimal point and 12 after it' in refused.message
    )


@pytest.mark.parametrize("value", [1, 0, "true", "", [], {}])
def test_dry_run_must_be_boolean(value: object) -> None:
    assert refusal(dry_run=value).param == "afterthought.dry_run"


@pytest.mark.parametrize("seconds", [60, 61, 86_400])
def test_deadline_is_a_minute_to_a_day(seconds: int) -> None:
    assert parse_options(deadline_seconds=seconds).deadline_seconds == seconds


@pytest.mark.parametrize("value", [0, -60, 59, 86_401, 10**30])
def test_deadline_out_of_range_is_refused(value: int) -> None:
    refused = refusal(deadline_seconds=value)
    assert (refused.param, refused.code) == ("afterthought.deadline_seconds", "invalid_value")
    assert "must be 60 to 86400 seconds, a whole number" in refused.message


@pytest.mark.parametrize("value", ["60", 60.0, 60.5, True, [60], {}])
def test_fractional_deadline_is_refused(value: object) -> None:
    refused = refusal(deadline_seconds=value)
    assert (refused.param, refused.code) == ("afterthought.deadline_seconds", "invalid_type")
    assert "integer" in refused.message


CHOICES = {
    "model_policy": ("exact", "successor"),
    "on_unknown": ("fail", "retry"),
    "on_starved": ("keep", "retry"),
}


@pytest.mark.parametrize("field", CHOICES)
def test_policies_allow_listed_values_only(field: str) -> None:
    for value in CHOICES[field]:
        assert getattr(parse_options(**{field: value}), field) == value
    for invalid in ("Retry", "", "none", True, 1, ["retry"], {"retry": True}):
        refused = refusal(**{field: invalid})
        assert refused.param == f"afterthought.{field}"
        assert all(value in refused.message for value in CHOICES[field])


def test_policies_are_canonical() -> None:
    options = {"deadline_seconds": 600, "model_policy": "successor", "on_starved": "retry", "on_unknown": "retry"}
    request = body.parse(json.dumps({"model": "o3", "input": "x", "afterthought": options}).encode())
    canonical = json.loads(body.canonical(request))
    assert canonical["afterthought"] == options
    assert CreateResponse.model_validate(canonical) == request


def test_options_default_to_none() -> None:
    absent = AfterthoughtOptions()
    assert (absent.max_cost_usd, absent.tags, bool(absent.dry_run)) == (None, None, False)
    assert (absent.deadline_seconds, absent.model_policy, absent.on_unknown, absent.on_starved) == (None,) * 4
    assert parse_options(**dict.fromkeys(AfterthoughtOptions.model_fields)) == absent
    assert parse_options(dry_run=True).dry_run is True


def test_tags_are_sorted() -> None:
    longest = "z" * 64
    assert parse_options(tags=[longest, "a:b/c.d-e_f", "B", "0", "a"]).tags == ["0", "B", "a", "a:b/c.d-e_f", longest]


@pytest.mark.parametrize(
    ("tags", "param", "message"),
    [
        ([str(number) for number in range(6)], "tags", "at most 5 are allowed, not 6"),
        (["b", "a", "b"], "tags", "must not contain 'b' twice"),
        (["a", "-b"], "tags[1]", TAG_FORMAT),
        (["a,b"], "tags[0]", TAG_FORMAT),
        (["a#b"], "tags[0]", TAG_FORMAT),
        (["a\n"], "tags[0]", TAG_FORMAT),
        (["\u00e9"], "tags[0]", TAG_FORMAT),
        ([""], "tags[0]", TAG_FORMAT),
        (["a" * 65], "tags[0]", TAG_FORMAT),
        ([1], "tags[0]", "string"),
        ("a", "tags", "list"),
        ({"a": "b"}, "tags", "list"),
    ],
)
def test_invalid_tags_are_refused(tags: object, param: str, message: str) -> None:
    refused = refusal(tags=tags)
    assert refused.param == f"afterthought.{param}"
    assert message in refused.message


@pytest.mark.parametrize("field", sorted(CreateResponse.model_fields))
def test_only_model_and_input_are_required(field: str) -> None:
    if field in ("model", "input"):
        with pytest.raises(ValidationError):
            CreateResponse.model_validate({"model": "o3", "input": "x", field: None})
        return
    absent = CreateResponse.model_validate({"model": "o3", "input": "x"})
    assert CreateResponse.model_validate({"model": "o3", "input": "x", field: None}) == absent


def test_request_is_immutable() -> None:
    request = CreateResponse.model_validate({"model": "o3", "input": "x"})
    with pytest.raises(ValidationError):
        setattr(request, "model", "o1-pro")  # noqa: B010  the type checker refuses it too


def test_metadata_limits() -> None:
    pairs = {f"{number:02}" + "k" * 62: "v" * 512 for number in range(16)}
    assert CreateResponse.model_validate({"model": "o3", "input": "x", "metadata": pairs}).metadata == pairs
