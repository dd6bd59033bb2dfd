"""The form of each part of a request, and what becomes of it on its way to the model."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from afterthought.domain import body
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.request import CreateResponse


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
