"""The stand-in, called by the openai SDK over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from local.standin import StandIn
from local.standin.arithmetic import answer
from local.standin.schema import fill

SECRET = "whsec_c3RhbmQtaW4gc2VjcmV0IG9mIHRoZSB0ZXN0cw=="
ENDED = ("completed", "failed", "incomplete", "cancelled")


@pytest.fixture(scope="module")
def shared() -> Iterator[StandIn]:
    with StandIn(speed=100) as standin:
        yield standin


@pytest.fixture
def standin(shared: StandIn) -> StandIn:
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def connected(shared: StandIn) -> Iterator[openai.OpenAI]:
    with connect(shared) as client:
        yield client


@pytest.fixture
def client(standin: StandIn, connected: openai.OpenAI) -> openai.OpenAI:
    return connected


def connect(standin: StandIn, **options: Any) -> openai.OpenAI:
    """A client with strict response validation and without retries."""
    options = {"timeout": 20.0, "api_key": "any key", **options}
    return openai.OpenAI(
        base_url=standin.base_url, max_retries=0, webhook_secret=SECRET, _strict_response_validation=True, **options
    )


def ask(client: openai.OpenAI, question: str = "What is 17 times 23?", **fields: Any) -> Response:
    fields = {"model": "o4-mini", "background": True, **fields}
    response: Response = client.responses.create(input=question, **fields)
    return response


def until_ended(client: openai.OpenAI, response: Response) -> Response:
    deadline = time.monotonic() + 20
    while response.status not in ENDED:
        assert time.monotonic() < deadline, f"still {response.status}"
        threading.Event().wait(0.005)
        response = client.responses.retrieve(response.id)
    return response


def test_background_run_is_queued_first(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("never_ends")
    response = ask(client)
    assert (response.status, response.output, response.usage) == ("queued", [], None)
    while response.status == "queued":
        response = client.responses.retrieve(response.id)
    assert (response.status, response.output, response.usage) == ("in_progress", [], None)


def test_background_run_completes(client: openai.OpenAI) -> None:
    response = until_ended(
        client, ask(client, metadata={"token": "t1"}, reasoning={"effort": "high", "summary": "auto"})
    )
    assert response.status == "completed"
    assert response.background is True
    assert response.metadata == {"token": "t1"}
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert "391" in response.output_text
    assert response.completed_at is not None
    assert response.created_at <= response.completed_at


def test_usage_parts_add_up(client: openai.OpenAI) -> None:
    usage = until_ended(client, ask(client, reasoning={"effort": "low"})).usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens
    assert usage.input_tokens <= len("What is 17 times 23?") + 8


def test_long_prefix_is_cached(client: openai.OpenAI) -> None:
    preamble = "The earlier conversation.\n" * 400
    first = until_ended(client, ask(client, preamble + "What is 1 + 1?", model="gpt-5.6-sol")).usage
    second = until_ended(client, ask(client, preamble + "What is 2 + 2?", model="gpt-5.6-sol")).usage
    assert first is not None
    assert second is not None
    assert first.input_tokens_details.cached_tokens == 0
    assert first.input_tokens_details.cache_write_tokens >= 1024
    assert second.input_tokens_details.cached_tokens == first.input_tokens_details.cache_write_tokens
    assert second.input_tokens_details.cached_tokens <= second.input_tokens


def test_equal_questions_have_equal_usage(client: openai.OpenAI) -> None:
    first, second = (until_ended(client, ask(client)) for _ in range(2))
    assert first.id != second.id
    assert first.output_text == second.output_text
    assert first.usage == second.usage


def test_foreground_run_is_awaited(client: openai.OpenAI) -> None:
    started = time.monotonic()
    response = ask(client, background=False, reasoning={"effort": "high"})
    assert response.status == "completed"
    assert time.monotonic() - started >= 6 / 100


@pytest.mark.parametrize("is_endless", [True, False])
def test_foreground_run_ends_when_its_client_does(standin: StandIn, is_endless: bool) -> None:
    standin.script("never_ends" if is_endless else "slow_run", seconds=60)
    with connect(standin, timeout=0.3) as short_timeout, pytest.raises(openai.APITimeoutError):
        ask(short_timeout, background=False)
    deadline = time.monotonic() + 10
    while standin.generations[0].status != "cancelled":
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_open_models_are_served(client: openai.OpenAI) -> None:
    for model in ("gpt-oss-20b", "qwen3-32b"):
        response = ask(client, model=model, background=False, store=False)
        assert "391" in response.output_text
        assert response.usage is not None
        assert response.usage.output_tokens_details.reasoning_tokens > 0


def test_model_without_reasoning_has_no_effort(client: openai.OpenAI) -> None:
    response = until_ended(client, ask(client, model="gpt-4o"))
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 0
    assert [item.type for item in response.output] == ["message"]
    for model in ("gpt-4o", "o1-mini"):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, model=model, reasoning={"effort": "low"})
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "reasoning.effort")


def test_limit_in_reasoning_leaves_no_text(client: openai.OpenAI) -> None:
    response = until_ended(client, ask(client, max_output_tokens=16, reasoning={"effort": "high"}))
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == ""
    assert response.usage is not None
    assert response.usage.output_tokens == response.usage.output_tokens_details.reasoning_tokens == 16


def test_limit_in_text_cuts_it(client: openai.OpenAI) -> None:
    response = until_ended(client, ask(client, "Hello!", model="gpt-4o", max_output_tokens=16))
    assert response.status == "incomplete"
    assert response.output_text == answer("Hello!").text[:64]


def test_cancelled_run_has_no_usage(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("never_ends")
    response = ask(client)
    cancelled = client.responses.cancel(response.id)
    assert (cancelled.status, cancelled.usage) == ("cancelled", None)
    assert client.responses.retrieve(response.id).status == "cancelled"


def test_cancel_after_the_end_changes_nothing(client: openai.OpenAI) -> None:
    response = until_ended(client, ask(client))
    assert client.responses.cancel(response.id) == response


def test_deleted_response_remains_paid(standin: StandIn, client: openai.OpenAI) -> None:
    response = ask(client)
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    assert [generation.id for generation in standin.generations] == [response.id]


def test_structured_output_fits_its_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "integer"},
            "steps": {"type": "array", "items": {"type": "string"}},
            "difficulty": {"type": "string", "enum": ["easy", "hard"]},
            "checked": {"type": "boolean"},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["answer", "steps", "difficulty", "checked", "next"],
        "additionalProperties": False,
    }
    text = {"format": {"type": "json_schema", "name": "solution", "schema": schema, "strict": True}}
    response = until_ended(client, ask(client, "Solve 3x + 5 = 20", text=text))
    assert json.loads(response.output_text) == {
        "answer": 5,
        "steps": [],
        "difficulty": "easy",
        "checked": False,
        "next": None,
    }


def test_json_object_holds_the_answer(client: openai.OpenAI) -> None:
    response = until_ended(client, ask(client, text={"format": {"type": "json_object"}}))
    assert json.loads(response.output_text) == {"answer": "17 * 23 = 391"}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "report"}])
def test_forced_function_is_called(client: openai.OpenAI, choice: Any) -> None:
    parameters = {"type": "object", "properties": {"result": {"type": "integer"}, "note": {"type": "string"}}}
    tool = {"type": "function", "name": "report", "parameters": parameters, "strict": True}
    response = until_ended(client, ask(client, tools=[tool], tool_choice=choice))
    call = response.output[-1]
    assert call.type == "function_call"
    assert call.name == "report"
    assert json.loads(call.arguments)["result"] == 391


def test_input_can_be_messages(client: openai.OpenAI) -> None:
    parts = [
        {"type": "input_text", "text": "What is 6 * 7?"},
        {"type": "input_image", "image_url": "data:,", "detail": "low"},
    ]
    messages: Any = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    response = client.responses.create(model="gpt-4o", input=messages)
    assert "42" in response.output_text
    assert response.usage is not None
    assert response.usage.input_tokens > 765


INVALID: list[tuple[dict[str, Any], str | None, str]] = [
    ({"reasoning": {"effort": "utmost"}}, "reasoning.effort", "invalid_value"),
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
    ({"store": False}, "store", "invalid_value"),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata", "object_above_max_properties"),
    ({"extra_body": {"afterthought": {}}}, "afterthought", "unknown_parameter"),
    ({"service_tier": "express"}, "service_tier", "invalid_value"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_value"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"properties": []}}}},
        None,
        "invalid_json_schema",
    ),
]


@pytest.mark.parametrize(("fields", "param", "code"), INVALID, ids=[str(param) for _, param, _ in INVALID])
def test_invalid_request_is_refused(
    standin: StandIn, client: openai.OpenAI, fields: dict[str, Any], param: str | None, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **fields)
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert standin.generations == []


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b'{"input": "1 + 1"}',
    b"[" * 100_000,
    b'{"model": "o3", "input": [1]}',
    b'{"model": 3}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_broken_body_is_a_400(standin: StandIn, body: bytes) -> None:
    headers = {"authorization": "Bearer any"}
    response = httpx2.post(f"{standin.base_url}/responses", content=body, headers=headers)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_only_configured_models_are_served() -> None:
    """Their dated snapshots are served too."""
    with (
        StandIn(models=["o3", "mine"], speed=100, api_key="the key") as configured,
        connect(configured, api_key="the key") as client,
    ):
        assert {model.id: model.owned_by for model in client.models.list()} == {"o3": "stand-in", "mine": "stand-in"}
        assert client.models.retrieve("mine").id == "mine"
        assert ask(client, model="o3-2025-04-16").model == "o3-2025-04-16"
        with pytest.raises(openai.NotFoundError) as caught:
            ask(client, model="o1")
        assert caught.value.code == "model_not_found"
        with (
            connect(configured, api_key="another") as other_key,
            pytest.raises(openai.AuthenticationError) as unauthorized,
        ):
            ask(other_key)
        assert unauthorized.value.code == "invalid_api_key"


def test_stand_in_is_named_everywhere(standin: StandIn, client: openai.OpenAI) -> None:
    root = httpx2.get(standin.base_url.removesuffix("/v1"))
    assert "stand-in" in root.text
    assert root.headers["x-stand-in"] == "true"
    raw = client.responses.with_raw_response.create(model="o3", input="Who are you?")
    assert raw.headers["x-stand-in"] == "true"
    assert "stand-in" in raw.parse().output_text
    assert client.models.retrieve("o3").owned_by == "stand-in"
    assert httpx2.get(standin.base_url.replace("/v1", "/healthz")).json()["stand_in"] is True


REFUSALS: list[tuple[str, type[openai.APIStatusError], str | None]] = [
    ("rate_limited", openai.RateLimitError, "rate_limit_exceeded"),
    ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
    ("billing_limit", openai.RateLimitError, "billing_hard_limit_reached"),
    ("server_error", openai.InternalServerError, None),
    ("bad_gateway", openai.InternalServerError, None),
    ("unavailable", openai.InternalServerError, None),
    ("invalid_prompt", openai.BadRequestError, "invalid_prompt"),
    ("content_policy", openai.BadRequestError, "content_policy_violation"),
    ("context_too_long", openai.BadRequestError, "context_length_exceeded"),
    ("unauthorized", openai.AuthenticationError, "invalid_api_key"),
    ("forbidden", openai.PermissionDeniedError, "unsupported_country_region_territory"),
    ("model_not_found", openai.NotFoundError, "model_not_found"),
]


@pytest.mark.parametrize(("do", "kind", "code"), REFUSALS, ids=[do for do, _, _ in REFUSALS])
def test_scripted_error_starts_no_run(
    standin: StandIn, client: openai.OpenAI, do: str, kind: type[openai.APIStatusError], code: str | None
) -> None:
    """The SDK raises its typed exception."""
    standin.script(do, retry_after=2.5)
    with pytest.raises(kind) as caught:
        ask(client)
    assert caught.value.code == code
    assert caught.value.response.headers["retry-after"] == "2.5"
    assert caught.value.request_id
    assert standin.generations == []
    assert ask(client).status == "queued", "the rule applies to one request"


def test_error_fields_can_be_set(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("error", status=409, code="conflict", type="conflict", message="Not now.")
    with pytest.raises(openai.ConflictError, match="Not now") as caught:
        ask(client)
    assert (caught.value.code, caught.value.type) == ("conflict", "conflict")


LOST_RESPONSES: list[tuple[str, dict[str, Any], type[openai.OpenAIError], int]] = [
    ("close_before", {}, openai.APIConnectionError, 0),
    ("close_before", {"reset": True}, openai.APIConnectionError, 0),
    ("hang_before_reading", {"seconds": 2}, openai.APITimeoutError, 0),
    ("hang_before", {"seconds": 2}, openai.APITimeoutError, 0),
    ("close_after", {}, openai.APIConnectionError, 1),
    ("close_after", {"reset": True}, openai.APIConnectionError, 1),
    ("hang_after", {"seconds": 2}, openai.APITimeoutError, 1),
    ("truncated", {}, openai.APIConnectionError, 1),
    ("wrong_content_type", {}, openai.APIResponseValidationError, 1),
]


@pytest.mark.parametrize(
    ("do", "fields", "kind", "generations"),
    LOST_RESPONSES,
    ids=[f"{do}{fields or ''}" for do, fields, _, _ in LOST_RESPONSES],
)
def test_lost_response_may_be_paid(
    standin: StandIn, do: str, fields: dict[str, Any], kind: type[openai.OpenAIError], generations: int
) -> None:
    """The SDK error is the same whether a run was started or not."""
    standin.script(do, **fields)
    timeout = 0.2 if "hang" in do else 20.0
    with connect(standin, timeout=timeout) as client, pytest.raises(kind) as caught:
        ask(client, metadata={"token": "once"})
    assert type(caught.value) is kind
    deadline = time.monotonic() + 5
    while len(standin.generations) < generations and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    assert [generation.metadata["token"] for generation in standin.generations] == ["once"] * generations


@pytest.mark.parametrize("do", ["garbage", "empty"])
def test_non_json_response_raises(standin: StandIn, client: openai.OpenAI, do: str) -> None:
    """The SDK raises the ValueError of its JSON parser."""
    standin.script(do)
    with pytest.raises(ValueError, match=r"."):
        ask(client)
    assert len(standin.generations) == 1


def test_slow_run_takes_its_time(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("slow_run", seconds=0.3)
    started = time.monotonic()
    assert until_ended(client, ask(client)).status == "completed"
    assert time.monotonic() - started >= 0.3


def test_slow_response_arrives(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("slow", seconds=0.2)
    started = time.monotonic()
    assert ask(client).status == "queued"
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded"])
def test_failed_run_is_http_200(standin: StandIn, client: openai.OpenAI, code: str) -> None:
    standin.script("run_failed", code=code, message="It broke.")
    response = until_ended(client, ask(client))
    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, response.error.message) == (code, "It broke.")
    assert response.usage is None
    assert response.output == []


def test_failed_run_can_have_usage(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("run_failed", with_usage=True)
    assert until_ended(client, ask(client)).usage is not None


def test_unknown_error_code_needs_a_lenient(standin: StandIn) -> None:
    standin.script("run_failed", code="insufficient_quota")
    with (
        connect(standin) as strict,
        openai.OpenAI(base_url=standin.base_url, api_key="any", max_retries=0) as lenient,
    ):
        response = ask(strict)
        failed = until_ended(lenient, response)
        assert failed.error is not None
        assert str(failed.error.code) == "insufficient_quota"
        with pytest.raises(openai.APIResponseValidationError):
            strict.responses.retrieve(response.id)


def test_filtered_run_is_incomplete(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("run_incomplete", reason="content_filter")
    response = until_ended(client, ask(client))
    assert response.incomplete_details is not None
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")
    assert response.usage is not None


def test_refusal_is_completed(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("refusal", message="No.")
    message = until_ended(client, ask(client)).output[-1]
    assert message.type == "message"
    assert message.content[0].type == "refusal"


def test_usage_tier_and_model_can_differ(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("no_usage")
    standin.script("served_otherwise", service_tier="priority", model="o4-mini-2025-04-16")
    response = until_ended(client, ask(client, service_tier="flex"))
    assert (response.status, response.usage, response.service_tier) == ("completed", None, "priority")
    assert response.model == "o4-mini-2025-04-16"
    assert until_ended(client, ask(client, service_tier="flex")).service_tier == "flex"


def test_run_can_be_forgotten(standin: StandIn, client: openai.OpenAI) -> None:
    """At the start or at a later retrieve."""
    standin.script("forgotten")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(ask(client).id)
    later = ask(client)
    assert client.responses.retrieve(later.id).id == later.id
    standin.script("forgotten", on="retrieve", contains=later.id)
    for _ in range(2):
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.retrieve(later.id)


def test_rule_has_a_filter_and_a_count(standin: StandIn, client: openai.OpenAI) -> None:
    standin.script("rate_limited", contains="unlucky", skip=1, times=2)
    outcomes: list[str | None] = []
    for token in ("unlucky", "lucky", "unlucky", "unlucky", "unlucky"):
        try:
            outcomes.append(ask(client, metadata={"token": token}).status)
        except openai.RateLimitError:
            outcomes.append("refused")
    assert outcomes == ["queued", "queued", "refused", "refused", "queued"]


def test_rule_without_count_lasts_until_cleared(standin: StandIn, client: openai.OpenAI) -> None:
    response = ask(client)
    standin.script("unavailable", on="retrieve", times=None)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            client.responses.retrieve(response.id)
    standin.clear()
    assert client.responses.retrieve(response.id).id == response.id


@pytest.mark.parametrize(
    "rule", [{"do": "explode"}, {"on": "create"}, {"do": "slow", "for": 3}, {"do": "slow", "seconds": "3"}]
)
def test_invalid_rule_names_its_field(standin: StandIn, rule: dict[str, Any]) -> None:
    url = standin.base_url.replace("/v1", "/_standin/script")
    response = httpx2.post(url, json=rule)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in ("do", "for", "seconds")


def test_control_endpoints_work_over_http(standin: StandIn, client: openai.OpenAI) -> None:
    control = standin.base_url.replace("/v1", "/_standin")
    httpx2.post(f"{control}/script", json={"do": "rate_limited", "times": 1}).raise_for_status()
    with pytest.raises(openai.RateLimitError):
        ask(client)
    response = until_ended(client, ask(client, "my secret is 1 + 1", metadata={"token": "t"}))
    raw = httpx2.get(f"{control}/state")
    state = raw.json()
    assert state["generations"] == [
        {"id": response.id, "model": "o4-mini", "metadata": {"token": "t"}, "status": "completed", "effort": "medium"}
    ]
    assert state["requests"]["create"] == 2
    assert "secret" not in raw.text
    httpx2.post(f"{control}/reset").raise_for_status()
    assert standin.generations == []


def test_fifty_parallel_requests(standin: StandIn, client: openai.OpenAI) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda number: ask(client, f"{number} + 1").id, range(50)))
    assert len(set(ids)) == len(standin.generations) == 50


class Receiver:
    """A webhook receiver that responds with `statuses`, then with 200."""

    def __init__(self) -> None:
        self.received: Queue[tuple[bytes, dict[str, str]]] = Queue()
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.put((body, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def with_webhooks() -> Iterator[tuple[StandIn, Receiver]]:
    with Receiver() as receiver, StandIn(speed=100, webhook_url=receiver.url, webhook_secret=SECRET) as standin:
        yield standin, receiver


def received(receiver: Receiver, seconds: float = 10) -> tuple[bytes, dict[str, str]]:
    return receiver.received.get(timeout=seconds)


@pytest.mark.parametrize("status", ENDED)
def test_sdk_verifies_the_webhook(with_webhooks: tuple[StandIn, Receiver], status: str) -> None:
    standin, receiver = with_webhooks
    rules = {"completed": None, "failed": "run_failed", "incomplete": "run_incomplete", "cancelled": "never_ends"}
    if rule := rules[status]:
        standin.script(rule)
    with connect(standin) as client:
        response = ask(client)
        if status == "cancelled":
            client.responses.cancel(response.id)
        body, headers = received(receiver)
        event = client.webhooks.unwrap(body, headers)
    assert event.type == f"response.{status}"
    assert json.loads(body)["data"] == {"id": response.id}
    assert headers["webhook-id"] == event.id


def test_webhook_rules(with_webhooks: tuple[StandIn, Receiver]) -> None:
    """A webhook is dropped, duplicated, delayed or forged."""
    standin, receiver = with_webhooks
    with connect(standin) as client:
        standin.script("webhook_dropped")
        ask(client)
        with pytest.raises(Empty):
            received(receiver, 0.3)
        standin.script("webhook_duplicated")
        ask(client)
        assert received(receiver)[1]["webhook-id"] == received(receiver)[1]["webhook-id"]
        standin.script("webhook_delayed", seconds=0.3)
        ask(client)
        with pytest.raises(Empty):
            received(receiver, 0.15)
        received(receiver)
        standin.script("webhook_forged")
        ask(client)
        body, headers = received(receiver)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers)


def test_failed_webhook_is_retried_with_its_id(with_webhooks: tuple[StandIn, Receiver]) -> None:
    standin, receiver = with_webhooks
    receiver.statuses.append(503)
    with connect(standin) as client:
        ask(client)
    assert received(receiver)[1]["webhook-id"] == received(receiver)[1]["webhook-id"]


def test_stop_closes_hanging_connections() -> None:
    standin = StandIn(speed=100)
    standin.start()
    standin.script("hang_before", seconds=60)
    with connect(standin) as client, ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ask, client)
        while not standin.requests:
            threading.Event().wait(0.005)
        started = time.monotonic()
        standin.stop()
        assert time.monotonic() - started < 5
        with pytest.raises(openai.APIConnectionError):
            hanging.result(timeout=5)
        with pytest.raises(openai.APIConnectionError):
            ask(client)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_its_port_and_stops_on_a_signal(number: signal.Signals) -> None:
    # -S: without site-packages, because it must run without installed packages.
    command = [sys.executable, "-S", "-m", "local.standin", "--port", "0", "--models", "o3"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
        assert url is not None
        models = httpx2.get(f"{url[0]}/models", headers={"authorization": "Bearer any"}).json()
        assert [model["id"] for model in models["data"]] == ["o3"]
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


numbers = st.one_of(
    st.integers(0, 10**6).map(lambda value: (str(value), Fraction(value))),
    st.decimals(0, 1000, places=3).map(lambda value: (f"{value:f}", Fraction(value))),
)


def combine(parts: tuple[tuple[str, Fraction], str, tuple[str, Fraction]]) -> tuple[str, Fraction]:
    (left, a), operator, (right, b) = parts
    if operator == "/" and b == 0:
        operator = "+"
    values = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}
    return f"({left} {operator} {right})", values[operator]()


expressions = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(combine),
    max_leaves=8,
)


@given(expressions)
@settings(max_examples=150, deadline=None)
def test_arithmetic_is_exact(expression: tuple[str, Fraction]) -> None:
    text, value = expression
    assert answer(f"What is {text}?").value == value


@given(st.integers(-50, 50).filter(bool), st.integers(-50, 50), st.integers(-50, 50))
@settings(max_examples=60, deadline=None)
def test_linear_equation_is_solved(a: int, b: int, c: int) -> None:
    assert answer(f"Solve for x: {a}x + {b} = {c}").value == Fraction(c - b, a)


@given(st.text(alphabet="0123456789+-*/^%()= .xyae\n", max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    assert answer(text).text


@pytest.mark.parametrize("text", ["2**3**2", "-2**2", "2**-3", "2--3", "1.5-1", "(1+2)(3+4)"])
def test_precedence_follows_python(text: str) -> None:
    assert answer(text).value == Fraction(str(eval(text.replace(")(", ")*("))))  # noqa: S307 - a literal of this test


ANSWERS = [
    ("What is 17 * 24?", "17 * 24 = 408"),
    ("What is 17 times 24?", "17 * 24 = 408"),
    ("17 * 24 =", "17 * 24 = 408"),
    ("What's 7 × 8?", "7 * 8 = 56"),
    ("Calculate 10 divided by 4.", "10 / 4 = 2.5"),
    ("1/3 + 1/3", "1/3 + 1/3 = 2/3"),
    ("2^100", "2**100 = 1267650600228229401496703205376"),
    ("Solve for x: 3x + 7 = 52", "x = 15"),
    ("2(y - 1) = y / 3", "y = 1.2"),
    ("Be brief.\nWhat is 2 + 2?", "2 + 2 = 4"),
]


@pytest.mark.parametrize(("question", "text"), ANSWERS, ids=[question for question, _ in ANSWERS])
def test_question_is_computed(question: str, text: str) -> None:
    assert answer(question).text == text


@pytest.mark.parametrize(
    "question",
    [
        "Who wrote Hamlet?",
        "What is the square root of 144?",
        "How many primes are below 100?",
        "sin(30) + 1",
        "1e5 + 3",
        "5!",
        "2**0.5",
        "3 + 4x",
        "x + y = 10",
        "x * x = 4",
        "x + 1 = x",
        "17 * 24 = 408",
        "5 / 0",
        "0**-1",
        "(1 + 2",
        "__import__('os')",
        "1 if 1 else 2",
        "1.e99999999",
        "2\x00+ 2",
        "1 + " * 100 + "1",
        "\ud800",
        "",
    ],
)
def test_other_questions_get_a_plain_statement(question: str) -> None:
    """The answer says that this is a stand-in and does not repeat the question."""
    result = answer(question)
    assert result.text.startswith("I am a stand-in, not a language model.")
    assert result.value is None


HOSTILE = [
    "9**9**9**9",
    "2**(10**9)",
    "(1/3)**-100000",
    "*".join(["9**200"] * 20),
    "(" * 3999,
    "(" * 99 + "1" + ")" * 99,
    "-" * 190 + "1",
    "9" * 3999,
    "1+" * 1_000_000 + "1",
    "x=" * 99 + "1",
    "a" * 100_000,
]


@pytest.mark.parametrize("question", HOSTILE, ids=[question[:20] for question in HOSTILE])
def test_hostile_question_takes_little_time(question: str) -> None:
    started = time.process_time()
    assert answer(question).text
    assert time.process_time() - started < 0.5


SCHEMAS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "string"}, "17 * 24 = 408"),
    ({"type": "integer"}, 408),
    ({"type": "number", "maximum": 100}, 0),
    ({"type": "integer", "minimum": 500}, 500),
    ({"type": "boolean"}, False),
    ({"type": ["string", "null"]}, None),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [408, 408]),
    ({"enum": ["a", "b"]}, "a"),
    ({"const": 1}, 1),
    ({"anyOf": [{"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "integer"}}}, 408),
    ({"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}, {"next": None}),
]


@pytest.mark.parametrize(("schema", "value"), SCHEMAS, ids=[str(schema)[:40] for schema, _ in SCHEMAS])
def test_schema_gets_a_simple_value(schema: dict[str, Any], value: Any) -> None:
    assert fill(schema, answer("17 * 24")) == value


def test_endless_schema_is_filled_in_bounded_time() -> None:
    names = "abcdefgh"
    started = time.process_time()
    fill({"type": "object", "properties": {name: {"$ref": "#"} for name in names}}, answer("1 + 1"))
    assert time.process_time() - started < 0.5
