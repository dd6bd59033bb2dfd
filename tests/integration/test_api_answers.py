"""Every answer validates against the openai SDK's strict types, at every status and for every kind of request."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from openai.types import Model
from openai.types.responses import Response

from local.standin import StandIn
from tests.integration.deployed import Deployed

Json = dict[str, Any]

ACME, GLOBEX = "local-key-acme", "local-key-globex"
QUESTION = {"model": "gpt-5-nano", "input": "What is 17 times 23?", "reasoning": {"effort": "minimal"}}
FUNCTION = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": ["integer", "null"], "default": None}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": ["number", "null"], "const": None}},
    "required": ["x"],
    "additionalProperties": False,
}
FULL = {
    "instructions": 'Answer briefly. Ünïcödé 🙂 \u2028 and "quotes".',
    "max_output_tokens": 2000,
    "max_tool_calls": 3,
    "metadata": {"order": "1841", "empty": ""},
    "parallel_tool_calls": False,
    "prompt_cache_key": "cache",
    "safety_identifier": "person",
    "service_tier": "flex",
    "store": True,
    "stream": False,
    "background": True,
    "temperature": 1,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "user-1",
    "include": ["reasoning.encrypted_content"],
    "tool_choice": {"type": "function", "name": "add"},
    "tools": [FUNCTION, {"type": "custom", "name": "grep", "format": {"type": "text"}}],
    "text": {"format": {"type": "json_schema", "name": "sum", "schema": SCHEMA}, "verbosity": "low"},
}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2 + 2?"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "4"},
    {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
     "content": [{"type": "output_text", "text": "4", "annotations": [], "logprobs": []}]},
    {"type": "message", "role": "user",
     "content": [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]},
]  # fmt: skip


@pytest.fixture
def api(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=ACME)
    service.make_tenant("globex", api_key=GLOBEX)
    return service


def strict(body: Json) -> Response:
    return Response.model_validate(body, strict=True)


def create(api: Deployed, **changes: Any) -> Response:
    answer = api.call("POST", "/v1/responses", {**QUESTION, **changes}, key=ACME)
    assert answer.status == 200, answer.event
    return strict(answer.body)


def retrieve(api: Deployed, response_id: str) -> Json:
    answer = api.call("GET", f"/v1/responses/{response_id}", key=ACME)
    assert answer.status == 200, answer.event
    strict(answer.body)
    return answer.body


def work(api: Deployed, response_id: str, steps: int = 1) -> None:
    for _ in range(steps):
        record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps({"job_id": response_id}), "attributes": {}}
        assert api.invoke("Worker", {"Records": [record]}) == {"batchItemFailures": []}
        api.clock.pass_seconds(20)


def test_created_response_echoes_its_request(api: Deployed) -> None:
    response = create(api, **FULL)
    assert response.status == "queued"
    assert response.background is True
    assert response.output == []
    assert response.usage is None
    assert response.error is None
    for name in ("instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "service_tier", "top_p"):
        assert getattr(response, name) == FULL[name]
    retrieved = retrieve(api, response.id)
    assert retrieved["tools"][0]["parameters"] == FUNCTION["parameters"]
    assert retrieved["text"]["format"]["schema"] == SCHEMA
    assert retrieved["tool_choice"] == FULL["tool_choice"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input": TURNS},
        {"text": {"format": {"type": "json_object"}}},
        {"text": {"verbosity": "high"}},
        {"tools": [], "tool_choice": "none"},
        {"reasoning": {"effort": "high", "summary": "detailed"}},
        {"reasoning": None},
        {"metadata": None, "instructions": None, "tools": None, "text": None, "afterthought": None},
        {"previous_response_id": None, "conversation": None, "prompt": None},
        {"model": "gpt-4o", "reasoning": None},
        {"model": "o1-mini", "reasoning": None},
        {"model": "gpt-6-sol", "reasoning": {"effort": "max"}},
        {"model": "gpt-5.6-sol", "reasoning": {"effort": "none"}},
        {"service_tier": "auto"},
        {"max_output_tokens": 16},
        {"max_output_tokens": 128_000},
    ],
    ids=lambda changes: json.dumps(changes)[:50],
)
def test_every_request_has_strict_answers(api: Deployed, standin: StandIn, changes: Json) -> None:
    created = create(api, **changes)
    work(api, created.id, steps=1)
    assert retrieve(api, created.id)["status"] == "in_progress"
    work(api, created.id, steps=2)
    ended = retrieve(api, created.id)
    assert ended["status"] in ("completed", "incomplete")
    assert ended["usage"]["total_tokens"] == ended["usage"]["input_tokens"] + ended["usage"]["output_tokens"]
    assert ended["afterthought"]["cost"]["total_usd"] == ended["afterthought"]["attempts"][0]["cost_usd"]
    assert standin.requests["create"] == 1


def test_completed_response_has_usage_and_cost(api: Deployed, standin: StandIn) -> None:
    created = create(api)
    work(api, created.id, steps=2)
    retrieved = retrieve(api, created.id)
    response = strict(retrieved)
    assert response.status == "completed"
    assert "391" in response.output_text
    assert response.completed_at is not None
    extension = retrieved["afterthought"]
    assert extension["stand_in"] is True
    assert extension["requested_model"] == extension["served_model"] == "gpt-5-nano"
    assert extension["cost"]["price_id"].startswith("gpt-5-nano/standard/")
    assert extension["timeline"]["thinking_seconds"] >= 0
    assert float(extension["cost"]["total_usd"]) == retrieved["usage"]["cost"] > 0


@pytest.mark.parametrize(
    ("rule", "status", "error_code", "reason"),
    [
        ({"do": "run_failed", "code": "rate_limit_exceeded"}, "queued", None, None),
        (
            {"do": "run_failed", "code": "rate_limit_exceeded", "with_usage": True},
            "failed",
            "rate_limit_exceeded",
            None,
        ),
        ({"do": "run_failed", "code": "made_up", "with_usage": True}, "failed", "server_error", None),
        ({"do": "run_incomplete"}, "incomplete", None, "max_output_tokens"),
        ({"do": "run_incomplete", "reason": "content_filter"}, "incomplete", None, "content_filter"),
        ({"do": "run_incomplete", "reason": "made_up"}, "incomplete", None, None),
        ({"do": "refusal"}, "completed", None, None),
        ({"do": "no_usage"}, "completed", None, None),
        ({"do": "served_otherwise", "model": "gpt-5-nano-2025-08-07", "service_tier": "flex"}, "completed", None, None),
        ({"do": "served_otherwise", "service_tier": "scale"}, "completed", None, None),
        ({"do": "invalid_prompt"}, "failed", "invalid_prompt", None),
        ({"do": "context_too_long"}, "failed", "server_error", None),
        ({"do": "unauthorized"}, "failed", "server_error", None),
        ({"do": "server_error"}, "failed", "server_error", None),
        ({"do": "close_after"}, "failed", "server_error", None),
        ({"do": "forgotten"}, "failed", "server_error", None),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_every_end_has_a_strict_answer(
    api: Deployed, standin: StandIn, rule: Json, status: str, error_code: str | None, reason: str | None
) -> None:
    standin.script(**rule)
    created = create(api)
    work(api, created.id, steps=2)
    retrieved = retrieve(api, created.id)
    assert retrieved["status"] == status
    assert (retrieved["error"] or {}).get("code") == error_code
    assert (retrieved["incomplete_details"] or {}).get("reason") == reason


def test_three_megabytes_reach_the_model(api: Deployed, standin: StandIn) -> None:
    # Letters only: digits and words would be more tokens than a model accepts.
    letters = str.maketrans("0123456789+/=", "abcdefghijklm")
    random_text = base64.b64encode(random.Random(7).randbytes(2_250_000)).decode().translate(letters)
    created = create(api, instructions=random_text)
    # Not echoed, because with a long answer it would exceed the size of a Lambda response.
    assert created.instructions is None
    assert len(api.objects()) == 1
    # The item that changes stays small.
    state = next(item for item in api.items() if item["sk"] == {"S": "STATE"})
    assert len(json.dumps(state)) < 1500
    work(api, created.id, steps=2)
    retrieved = retrieve(api, created.id)
    assert retrieved["status"] == "completed"
    assert retrieved["usage"]["input_tokens"] >= len(random_text) // 4


def test_stored_instructions_are_echoed(api: Deployed) -> None:
    random_text = base64.b64encode(random.Random(7).randbytes(150_000)).decode()
    created = create(api, instructions=random_text)
    assert len(api.objects()) == 1
    assert retrieve(api, created.id)["instructions"] == random_text


def test_base64_body_is_the_same_body(api: Deployed) -> None:
    body = base64.b64encode(json.dumps(QUESTION).encode()).decode()
    answer = api.call("POST", "/v1/responses", body, key=ACME, encoded=True, headers={"idempotency-key": "k"})
    plain = api.call("POST", "/v1/responses", QUESTION, key=ACME, headers={"idempotency-key": "k"})
    assert answer.status == plain.status == 200
    assert answer.body["id"] == plain.body["id"]


def test_another_tenants_job_looks_unknown(api: Deployed) -> None:
    created = create(api)
    unknown = "resp_" + "0" * 48
    existing = api.call("GET", f"/v1/responses/{created.id}", key=GLOBEX)
    missing = api.call("GET", f"/v1/responses/{unknown}", key=GLOBEX)
    assert existing.status == missing.status == 404
    assert existing.event["body"].replace(created.id, unknown) == missing.event["body"]
    assert existing.headers == missing.headers


def test_models_are_strict(api: Deployed) -> None:
    listed = api.call("GET", "/v1/models", key=ACME).body
    assert listed["object"] == "list"
    models = [Model.model_validate(row, strict=True) for row in listed["data"]]
    assert {"o1-preview", "o3", "gpt-4o-mini", "gpt-5", "gpt-6-sol"} <= {model.id for model in models}
    for row in listed["data"]:
        assert api.call("GET", f"/v1/models/{row['id']}", key=ACME).body == row


def test_public_routes_need_no_key(api: Deployed) -> None:
    assert api.call("GET", "/healthz").body == {"status": "ok"}
    for path, name, content_type in (
        ("/openapi.json", "openapi.json", "application/json"),
        ("/docs", "docs.html", "text/html; charset=utf-8"),
    ):
        answer = api.call("GET", path)
        assert answer.event["body"] == (Path("functions/api") / name).read_text(encoding="utf-8")
        assert (answer.status, answer.headers["content-type"]) == (200, content_type)
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.headers["x-request-id"]
