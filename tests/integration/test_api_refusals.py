"""Invalid input gets a 4xx that names the field and the allowed values, before anything is stored or queued."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import deploy
from tests.integration.deployed import Deployed, HttpAnswer

Json = dict[str, Any]

KEY = "local-key-acme"
QUESTION = {"model": "o3", "input": "What is 17 times 23?"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "strict": True}
SCHEMA = {"format": {"type": "json_schema", "name": "sum", "schema": {"type": "object"}}}


@pytest.fixture(scope="module")
def api() -> Iterator[Deployed]:
    for deployed in deploy():
        deployed.make_tenant("acme", api_key=KEY)
        yield deployed


def refuse(api: Deployed, body: str | Json, **options: Any) -> HttpAnswer:
    """The answer to an invalid body, after the checks that all refusals share."""
    answer = api.call("POST", "/v1/responses", body, key=KEY, **options)
    assert 400 <= answer.status < 500, answer.event
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    assert api.is_empty()
    return answer


def user(*parts: Json) -> list[Json]:
    return [{"type": "message", "role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("changes", "param", "expected"),
    [
        ({"model": "o9"}, "model", ["o9", "o3", "gpt-5.6-sol"]),
        ({"model": None}, "model", []),
        ({"model": ""}, "model", []),
        ({"model": "o1-mini", "reasoning": {"effort": "low"}}, "reasoning.effort", ["o1-mini", "no reasoning effort"]),
        ({"model": "o1-preview", "reasoning": {"effort": "none"}}, "reasoning.effort", ["o1-preview"]),
        ({"reasoning": {"effort": "xhigh"}}, "reasoning.effort", ["low, medium, high"]),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", ["'minimal'", "'high'"]),
        ({"reasoning": {"effort": 3}}, "reasoning.effort", ["'low'"]),
        ({"model": "gpt-5-pro", "reasoning": {"effort": "low"}}, "reasoning.effort", ["high"]),
        ({"model": "gpt-4o", "reasoning": {"effort": "low"}}, "reasoning", ["gpt-4o", "does not reason"]),
        ({"model": "o3-mini", "input": user(IMAGE)}, "input[0].content[0]", ["image", "text"]),
        ({"model": "o1-mini", "input": user({"type": "input_file", "file_url": "https://example.com/a.pdf"})},
         "input[0].content[0]", ["file", "text"]),
        ({"model": "o1-mini", "tools": [FUNCTION]}, "tools", ["o1-mini", "no function calling"]),
        ({"model": "o1-mini", "tool_choice": "required"}, "tool_choice", ["o1-mini"]),
        ({"model": "o1-mini", "text": SCHEMA}, "text.format", ["o1-mini", "text"]),
        ({"model": "o1-mini", "text": {"format": {"type": "json_object"}}}, "text.format", ["text"]),
        ({"max_output_tokens": 15}, "max_output_tokens", ["15", "16", "100000"]),
        ({"max_output_tokens": 100_001}, "max_output_tokens", ["100001", "16", "100000"]),
        ({"max_output_tokens": -1}, "max_output_tokens", ["16"]),
        ({"max_output_tokens": 10**300}, "max_output_tokens", ["100000"]),
        ({"max_output_tokens": "16"}, "max_output_tokens", ["integer"]),
        ({"max_output_tokens": 16.5}, "max_output_tokens", ["integer"]),
        ({"max_output_tokens": True}, "max_output_tokens", ["integer"]),
        ({"temperature": "1"}, "temperature", ["number"]),
        ({"temperature": 10**400}, "temperature", []),
        ({"temperature": 2.1}, "temperature", ["2"]),
        ({"top_p": -0.1}, "top_p", ["0"]),
        ({"model": "o1-mini", "input": "a " * 130_000}, "input", ["128000"]),
        ({"model": "gpt-4o", "instructions": "123" * 128_001}, "input", ["128000"]),
        ({"metadata": {f"k{number}": "v" for number in range(17)}}, "metadata", ["16"]),
        ({"metadata": {"k": 1}}, "metadata.k", ["string"]),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65, ["64"]),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", ["512"]),
        ({"metadata": []}, "metadata", ["dictionary"]),
        ({"previous_response_id": "resp_1"}, "previous_response_id", ["not supported", "input"]),
        ({"conversation": {"id": "conv_1"}}, "conversation", ["not supported"]),
        ({"conversation": "conv_1"}, "conversation", ["not supported"]),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", ["not supported"]),
        ({"input": user({"type": "input_image", "file_id": "file-1"})}, "input[0].content[0].file_id", ["URL"]),
        ({"input": user({"type": "input_file", "file_id": "file-1"})}, "input[0].content[0].file_id", ["URL"]),
        ({"input": user({**IMAGE, "file_id": "file-1"})}, "input[0].content[0].file_id", ["URL"]),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", ["item_reference", "message"]),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "input[0].encrypted_content", ["Missing"]),
        ({"store": False}, "store", ["true"]),
        ({"stream": True}, "stream", ["false"]),
        ({"input": ""}, "input", []),
        ({"input": []}, "input", []),
        ({"input": None}, "input", ["string or an array"]),
        ({"input": 7}, "input", ["string or an array"]),
        ({"input": {}}, "input", ["string or an array"]),
        ({"input": ["text"]}, "input[0]", ["message"]),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", ["'user'"]),
        ({"input": [{"role": "user"}]}, "input[0].content", ["Missing"]),
        ({"input": user({"type": "input_audio", "data": ""})}, "input[0].content[0]", ["input_text"]),
        ({"input": user({"type": "input_text", "text": 5})}, "input[0].content[0].text", ["string"]),
        ({"instructions": ["a", "list"]}, "instructions", ["string"]),
        ({"instruction": "x"}, "instruction", ["Unknown"]),
        ({"seed": 1}, "seed", ["Unknown"]),
        ({"reasoning": {"effort": "low", "budget": 1}}, "reasoning.budget", ["Unknown"]),
        ({"afterthought": {"max_cost": 1}}, "afterthought.max_cost", ["Unknown"]),
        ({"service_tier": "priority", "model": "o1-mini"}, "service_tier", ["priority", "default"]),
        ({"service_tier": "scale"}, "service_tier", ["'flex'"]),
        ({"truncation": "middle"}, "truncation", ["'auto'"]),
        ({"include": ["file_search_call.results"]}, "include[0]", ["reasoning.encrypted_content"]),
        ({"tools": [{**FUNCTION, "name": "no spaces"}]}, "tools[0].name", ["a-zA-Z0-9"]),
        ({"tools": [FUNCTION] * 129}, "tools", ["128"]),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice", ["none", "auto", "required", "function"]),
        ({"tool_choice": 5}, "tool_choice", ["none", "auto", "required", "function"]),
        ({"afterthought": {"webhook_url": "http://hooks.example.com/"}}, "afterthought.webhook_url", ["https"]),
        ({"afterthought": {"webhook_url": "https://169.254.169.254/"}}, "afterthought.webhook_url", ["address"]),
        ({"afterthought": {"webhook_url": "https://localhost/"}}, "afterthought.webhook_url", ["public"]),
        ({"afterthought": {"webhook_url": "https://u:p@hooks.example.com/"}}, "afterthought.webhook_url", ["password"]),
        ({"afterthought": {"webhook_url": "not a url"}}, "afterthought.webhook_url", []),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_unsupported_value_is_named(api: Deployed, changes: Json, param: str, expected: list[str]) -> None:
    answer = refuse(api, {**QUESTION, **changes})
    assert answer.status == 400
    assert answer.error["param"] == param
    for part in expected:
        assert part in answer.error["message"]


@pytest.mark.parametrize(
    "tool",
    [
        "web_search",
        "web_search_preview",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "computer_use_preview",
        "local_shell",
        "shell",
        "apply_patch",
    ],
)
def test_hosted_tool_is_refused(api: Deployed, tool: str) -> None:
    answer = refuse(api, {**QUESTION, "tools": [{"type": tool}]})
    assert answer.error["param"] == "tools[0]"
    assert tool in answer.error["message"]
    assert "function, custom" in answer.error["message"]


@pytest.mark.parametrize("missing", ["model", "input"])
def test_missing_field_is_named(api: Deployed, missing: str) -> None:
    answer = refuse(api, {name: value for name, value in QUESTION.items() if name != missing})
    assert (answer.error["param"], answer.error["code"]) == (missing, "missing_required_parameter")


def test_body_over_four_mebibytes_is_413(api: Deployed) -> None:
    frame = json.dumps({**QUESTION, "input": ""})
    body = json.dumps({**QUESTION, "input": "x" * (4 * 1024 * 1024 + 1 - len(frame))})
    assert len(body) == 4 * 1024 * 1024 + 1
    answer = refuse(api, body)
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")
    assert str(4 * 1024 * 1024) in answer.error["message"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "needed"),
        ("", "needed"),
        ("Bearer", "needed"),
        ("Bearer ", "needed"),
        ("Basic bG9jYWw6a2V5", "needed"),
        ("Bearer ключ", "needed"),
        ("Bearer " + "k" * 10_240, "needed"),
        ("Bearer unknown key", "not valid"),
        ("local-key-acme", "needed"),
        ("Bearer local-key-acme,Bearer local-key-acme", "not valid"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/responses"), ("GET", "/v1/responses/resp_" + "0" * 48), ("GET", "/v1/models")],
)
def test_invalid_api_key_is_401(
    api: Deployed, authorization: str | None, expected: str, method: str, path: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = api.call(method, path, {**QUESTION}, headers=headers)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert expected in answer.error["message"]
    assert api.is_empty()


def test_auth_scheme_ignores_case(api: Deployed) -> None:
    assert api.call("GET", "/v1/models", headers={"authorization": f"bearer  {KEY} "}).status == 200


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "schlüssel", "tab\tin it", "null\0"])
def test_invalid_idempotency_key_is_refused(api: Deployed, key: str) -> None:
    answer = refuse(api, dict(QUESTION), headers={"idempotency-key": key})
    assert answer.error["param"] == "Idempotency-Key"
    assert "1 to 255" in answer.error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/responses"),
        ("PUT", "/v1/responses"),
        ("DELETE", "/v1/responses/resp_" + "0" * 48),
        ("PATCH", "/v1/models"),
        ("HEAD", "/v1/models"),
        ("OPTIONS", "/v1/responses"),
        ("TRACE", "/v1/responses"),
        ("POST", "/v1/responses/"),
        ("POST", "/v1/responses/resp_" + "0" * 48 + "/cancel"),
        ("GET", "/v1/responses/../models"),
        ("GET", "/v1/responses/../../etc/passwd"),
        ("GET", "/v1/responses/resp_" + "0" * 48 + "/input_items"),
        ("GET", "//v1/models"),
        ("GET", "/V1/MODELS"),
        ("GET", "/v1/models/o3\0"),
        ("GET", "/v1/models/" + "o" * 8000),
        ("GET", "/v1/models/ö3"),
        ("GET", "/v1/models/"),
        ("GET", ""),
    ],
)
def test_unknown_url_is_404(api: Deployed, method: str, path: str) -> None:
    answer = api.call(method, path, key=KEY)
    assert answer.status == 404, answer.event
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert len(answer.error["message"]) < 250


@pytest.mark.parametrize(
    "response_id",
    [
        "x",
        "resp_",
        "resp_" + "0" * 47,
        "resp_" + "0" * 49,
        "resp_" + "G" * 48,
        "RESP_" + "0" * 48,
        "JOB%23",
        "%00",
        "resp_" + "0" * 48 + "%0A",
        "..",
        "'; DROP TABLE",
    ],
)
def test_invalid_id_is_404(api: Deployed, response_id: str) -> None:
    assert api.call("GET", f"/v1/responses/{response_id}", key=KEY).status == 404


@pytest.mark.parametrize("query", ["stream=true", "include=reasoning.encrypted_content", "starting_after=3", "bogus=1"])
def test_unused_query_parameter_is_refused(api: Deployed, query: str) -> None:
    name, _, value = query.partition("=")
    response_id = api.call("POST", "/v1/responses", QUESTION, key=KEY).body["id"]
    path = f"/v1/responses/{response_id}"
    answer = api.call("GET", path, key=KEY, query={name: value})
    assert answer.status == 400
    assert answer.body["error"]["param"] == name
    assert api.call("GET", path, key=KEY, query={"stream": "false"}).status == 200
