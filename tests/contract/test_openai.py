"""`OpenAIResponses`, against the stand-in and raw servers over real HTTP."""

import asyncio
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import httpx2
import pytest
from pydantic import SecretStr

from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.errors import (
    OUT_OF_FUNDS_CODES,
    GenerationGone,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
)
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.models.provider import Provider
from local.standin import StandIn

KEY = "sk-canary-4f1c9a"
PROVIDER = Provider(name="standin", base_url="http://127.0.0.1:9/v1", mode="background", models="*", stand_in=True)
REQUEST: dict[str, Any] = {
    "model": "o3",
    "input": "What is 17 times 23?",
    "background": True,
    "store": True,
    "metadata": {"afterthought_job": "resp_1", "afterthought_token": "t"},
}
DIRECT = PROVIDER.model_copy(update={"mode": "direct", "direct_seconds": 1})
DIRECT_REQUEST: dict[str, Any] = {"model": "gpt-oss-20b", "input": "What is 17 times 23?", "store": False}
SHORT = httpx2.Timeout(0.3, connect=0.3)


class Secrets(ProviderSecrets):
    """The same connection for every provider."""

    def __init__(self, base_url: str | None, key: str = KEY) -> None:
        self._connection = Connection.model_validate({"api_key": key, "base_url": base_url})

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        return self._connection


class RotatedSecrets(Secrets):
    """The cached connection has the old key, the secret has the new one."""

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        if fresh:
            self._connection = self._connection.model_copy(update={"api_key": SecretStr(KEY)})
        return self._connection


@pytest.fixture(scope="module")
def shared() -> Iterator[StandIn]:
    with StandIn(speed=2000, api_key=KEY) as standin:
        yield standin


@pytest.fixture
def standin(shared: StandIn) -> StandIn:
    shared.reset()
    return shared


def responses(base_url: str | None, timeout: httpx2.Timeout = SHORT) -> OpenAIResponses:
    return OpenAIResponses(Secrets(base_url), timeout)


def background(adapter: OpenAIResponses) -> Generation:
    return adapter.create(PROVIDER, REQUEST)


def direct(adapter: OpenAIResponses) -> Generation:
    return asyncio.run(adapter.create_awaited(DIRECT, DIRECT_REQUEST))


Call = Callable[[OpenAIResponses], Generation]
E = TypeVar("E", bound=ProviderError)

both_modes = pytest.mark.parametrize("call", [background, direct])


@both_modes
def test_rotated_key_is_busy(standin: StandIn, call: Call) -> None:
    adapter = OpenAIResponses(RotatedSecrets(standin.base_url, key="the-old-key"), SHORT)
    with pytest.raises(ProviderBusy) as busy:
        call(adapter)
    assert busy.value.retry_after_seconds == 1.0
    assert call(adapter).status in ("queued", "completed")
    assert len(standin.generations) == 1


@both_modes
def test_wrong_key_is_refused(standin: StandIn, call: Call) -> None:
    with pytest.raises(ProviderRefused):
        call(OpenAIResponses(Secrets(standin.base_url, key="a-wrong-key"), SHORT))


@pytest.fixture
def adapter(standin: StandIn) -> OpenAIResponses:
    return responses(standin.base_url)


@contextmanager
def answering(raw: bytes, *, reset: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that responds to each request with these bytes: its base URL, and the requests it received."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(2)
                requests.append(read_request(connection))
                if reset:
                    # A linger of zero seconds makes close() reset the connection.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                connection.sendall(raw)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", requests
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def read_request(connection: socket.socket) -> bytes:
    """One whole request: its body may arrive after its head."""
    raw = connection.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")
    ] or [0]
    while len(body) < length:
        chunk = connection.recv(65536)
        assert chunk
        raw, body = raw + chunk, body + chunk
    return raw


def http(status: int, body: object, headers: Mapping[str, str] | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"content-length": str(len(raw)), "content-type": "application/json", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + raw


def error(code: object = None, message: object = "No.", type_: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def response(**fields: object) -> bytes:
    """HTTP 200 with a minimal response."""
    return http(200, {"id": "resp_1", "status": "completed", **fields})


def retrieve_from(raw: bytes) -> Generation:
    with answering(raw) as (url, _):
        return responses(url).retrieve(PROVIDER, "resp_1")


def failure(error_class: type[E], raw: bytes, call: Call = background, *, reset: bool = False) -> E:
    """The error of a call to a server that responds with `raw`: of exactly this class, after exactly one request."""
    with answering(raw, reset=reset) as (url, requests):
        with pytest.raises(error_class) as caught:
            call(responses(url))
        assert len(requests) == 1
    assert type(caught.value) is error_class
    return caught.value


def full_text(exception: BaseException) -> str:
    """The text of an exception and its causes, as a log would show it."""
    chain: list[BaseException] = [exception]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return "\n".join(traceback.format_exception(exception)) + "\n".join(f"{each!r} {vars(each)!r}" for each in chain)


def test_create_and_retrieve(standin: StandIn, adapter: OpenAIResponses) -> None:
    created = adapter.create(PROVIDER, REQUEST)
    assert created.status == "queued"
    assert created.metadata == REQUEST["metadata"]
    assert created.usage is None
    [generation] = standin.generations
    assert generation.id == created.response_id
    current = created
    for _ in range(500):
        current = adapter.retrieve(PROVIDER, created.response_id)
        if current.status == "completed":
            break
    assert current.usage is not None
    assert current.usage.output_tokens >= current.usage.reasoning_tokens > 0
    assert "391" in json.dumps(current.output)
    assert current.model == "o3"


def test_base_url_of_secret_overrides_catalogue(standin: StandIn, adapter: OpenAIResponses) -> None:
    unreachable = PROVIDER.model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    assert adapter.create(unreachable, REQUEST).response_id
    reachable = PROVIDER.model_copy(update={"base_url": standin.base_url})
    assert responses(None).create(reachable, REQUEST).response_id
    assert standin.requests["create"] == 2


def test_new_key_is_used(standin: StandIn) -> None:
    secrets = Secrets(standin.base_url, "sk-old")
    adapter = OpenAIResponses(secrets, SHORT)
    with pytest.raises(ProviderRefused):
        adapter.create(PROVIDER, REQUEST)
    secrets._connection = Secrets(standin.base_url)._connection
    assert adapter.create(PROVIDER, REQUEST).response_id


@pytest.mark.parametrize(
    ("rule", "error_class", "code", "generations"),
    [
        ({"do": "rate_limited"}, ProviderBusy, "rate_limit_exceeded", 0),
        ({"do": "unavailable"}, ProviderBusy, None, 0),
        ({"do": "insufficient_quota"}, ProviderBusy, "insufficient_quota", 0),
        ({"do": "billing_limit"}, ProviderBusy, "billing_hard_limit_reached", 0),
        ({"do": "invalid_prompt"}, ProviderRefused, "invalid_prompt", 0),
        ({"do": "content_policy"}, ProviderRefused, "content_policy_violation", 0),
        ({"do": "context_too_long"}, ProviderRefused, "context_length_exceeded", 0),
        ({"do": "unauthorized"}, ProviderRefused, "invalid_api_key", 0),
        ({"do": "forbidden"}, ProviderRefused, "unsupported_country_region_territory", 0),
        ({"do": "model_not_found"}, ProviderRefused, "model_not_found", 0),
        ({"do": "error", "status": 409}, ProviderRefused, None, 0),
        ({"do": "error", "status": 422}, ProviderRefused, None, 0),
        ({"do": "error", "status": 408}, OutcomeUnknown, None, 0),
        ({"do": "server_error"}, OutcomeUnknown, None, 0),
        ({"do": "bad_gateway"}, OutcomeUnknown, None, 0),
        ({"do": "error", "status": 504}, OutcomeUnknown, None, 0),
        ({"do": "close_before"}, OutcomeUnknown, "no_answer", 0),
        ({"do": "close_before", "reset": True}, OutcomeUnknown, "no_answer", 0),
        ({"do": "hang_before", "seconds": 5}, OutcomeUnknown, "no_answer", 0),
        ({"do": "close_after"}, OutcomeUnknown, "no_answer", 1),
        ({"do": "close_after", "reset": True}, OutcomeUnknown, "no_answer", 1),
        ({"do": "hang_after", "seconds": 5}, OutcomeUnknown, "no_answer", 1),
        ({"do": "truncated"}, OutcomeUnknown, None, 1),
        ({"do": "garbage"}, OutcomeUnknown, "bad_answer", 1),
        ({"do": "empty"}, OutcomeUnknown, "bad_answer", 1),
        ({"do": "wrong_content_type"}, OutcomeUnknown, "bad_answer", 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
@both_modes
def test_failure_has_its_class_and_is_not_retried(
    standin: StandIn,
    adapter: OpenAIResponses,
    call: Call,
    rule: dict[str, Any],
    error_class: type[ProviderError],
    code: str | None,
    generations: int,
) -> None:
    standin.script(**rule, times=None)
    with pytest.raises(error_class) as caught:
        call(adapter)
    assert type(caught.value) is error_class
    if code is not None:
        assert caught.value.code == code
    assert standin.requests["create"] == 1
    assert len(standin.generations) == generations
    assert KEY not in full_text(caught.value)


@pytest.mark.parametrize(
    ("header", "minimum", "maximum"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("1.5", 1.5, 1.5),
        ("-3", 0, 0),
        (timedelta(hours=1), 3500, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
)
@both_modes
def test_retry_after_is_returned(header: str | timedelta, minimum: float, maximum: float, call: Call) -> None:
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    raw = http(429, error("rate_limit_exceeded"), {"retry-after": header})
    seconds = failure(ProviderBusy, raw, call).retry_after_seconds
    assert seconds is not None
    assert minimum <= seconds <= maximum


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "", "Mon, 01 Jan 99999999999 00:00:00 GMT", "1,2"])
def test_invalid_retry_after_is_none(header: str) -> None:
    assert failure(ProviderBusy, http(503, error(), {"retry-after": header})).retry_after_seconds is None


@both_modes
@pytest.mark.parametrize("rule", ["insufficient_quota", "billing_limit"])
def test_no_money_waits_five_minutes(standin: StandIn, adapter: OpenAIResponses, rule: str, call: Call) -> None:
    standin.script(rule, retry_after=1)
    with pytest.raises(ProviderBusy) as caught:
        call(adapter)
    assert caught.value.retry_after_seconds == 300
    assert caught.value.code in OUT_OF_FUNDS_CODES


@both_modes
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_unreachable_provider_is_busy(host: str, call: Call) -> None:
    """Nothing was sent, so the call did not run."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ProviderBusy) as caught:
        call(responses(f"http://{host}:{port}/v1"))
    assert caught.value.code == "unreachable"


@both_modes
def test_reset_after_sending_is_unknown(call: Call) -> None:
    failure(OutcomeUnknown, b"", call, reset=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"<html>",
        b"\xff\xfe",
        b"{}",
        b'{"id":"resp_1"}',
        b'{"id":"","status":"queued"}',
        b'{"id":7,"status":"queued"}',
        b'{"id":"resp_1","status":"thinking"}',
        b'{"id":"resp_1","status":"queued","output":"secret-answer"}',
        b'{"id":"resp_1","status":"queued","metadata":{"a":{}}}',
        b'{"id":"' + b"x" * 300 + b'","status":"queued"}',
        b'{"error":{"message":"secret-answer"}}',
    ],
    ids=lambda body: repr(body[:40]),
)
@both_modes
def test_invalid_response_is_unknown_and_hidden(body: bytes, call: Call) -> None:
    assert "secret-answer" not in full_text(failure(OutcomeUnknown, http(200, body), call))


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b'"text"', b'{"error":"text"}', b'{"error":{"code":429,"message":5}}',
     b'{"error":{"code":["insufficient_quota"]}}', b'{"error":{"code":{}}}', b'{"error":null}', b"\xff",
     b'{"error":{"type":["NotFoundError"]}}', b'{"error":{"type":{}}}', b'{"error":{"type":404}}'],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, ProviderRefused), (404, ProviderRefused), (429, ProviderBusy), (500, OutcomeUnknown)],
)
@both_modes
def test_odd_error_body_keeps_its_status(
    status: int, error_class: type[ProviderError], body: bytes, call: Call
) -> None:
    failed = failure(error_class, http(status, body), call)
    assert failed.code is None or isinstance(failed.code, str)
    assert isinstance(failed.message, str)


def test_long_error_is_truncated() -> None:
    refused = failure(ProviderRefused, http(400, error("c" * 10_000, "m" * 10_000)))
    assert len(refused.message) <= 500
    assert refused.code is not None
    assert len(refused.code) <= 64


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key_is_not_in_the_message(status: int) -> None:
    body = error("invalid_api_key", f"Incorrect API key provided: {KEY}. Find yours at the dashboard.")
    refused = failure(ProviderRefused, http(status, body))
    assert KEY not in str(refused)
    assert KEY not in refused.message


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None, "cache_write_tokens": None}])
def test_usage_without_details(details: object) -> None:
    counts = {"input_tokens": 5, "input_tokens_details": details, "output_tokens": 7, "output_tokens_details": None}
    usage = retrieve_from(response(usage=counts)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens) == (5, 0, 7, 0)


def test_contradictory_usage_is_ignored() -> None:
    counts = {"input_tokens": 5, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 8}}
    assert retrieve_from(response(usage=counts)).usage is None


def test_long_run_error_is_truncated() -> None:
    failed = retrieve_from(response(status="failed", error={"code": "c" * 5000, "message": "m" * 500_000}))
    assert len(failed.error_code or "") <= 64
    assert len(failed.error_message or "") <= 500


@pytest.mark.parametrize(
    ("rule", "error_class"),
    [
        ({"do": "forgotten"}, GenerationGone),
        ({"do": "rate_limited", "retry_after": 9}, ProviderBusy),
        ({"do": "unavailable"}, ProviderBusy),
        ({"do": "close_before"}, ProviderBusy),
        ({"do": "hang_before", "seconds": 5}, ProviderBusy),
        ({"do": "server_error"}, OutcomeUnknown),
        ({"do": "garbage"}, OutcomeUnknown),
        ({"do": "unauthorized"}, ProviderRefused),
    ],
    ids=lambda value: value["do"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("method", ["retrieve", "cancel"])
def test_poll_failure_has_its_class(
    standin: StandIn, adapter: OpenAIResponses, rule: dict[str, Any], error_class: type[ProviderError], method: str
) -> None:
    created = adapter.create(PROVIDER, REQUEST)
    if rule["do"] == "forgotten":
        standin.script(**rule, on="retrieve")
        with pytest.raises(GenerationGone):
            adapter.retrieve(PROVIDER, created.response_id)
    else:
        standin.script(**rule, on="any", times=None)
    with pytest.raises(error_class) as caught:
        getattr(adapter, method)(PROVIDER, created.response_id)
    assert KEY not in full_text(caught.value)


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        (error(None, "Response with id 'resp_1' not found."), GenerationGone),
        ({"error": {"message": "Not found."}}, GenerationGone),
        # A base URL without /v1.
        (error(None, "Invalid URL (GET /responses/resp_1)"), ProviderBusy),
        (b"<html><h1>404 Not Found</h1></html>", ProviderBusy),
        (b"404 page not found", ProviderBusy),
        (b"", ProviderBusy),
        (b"\xff", ProviderBusy),
        (b"[" * 100_000, ProviderBusy),
        ([], ProviderBusy),
        ({"detail": "Not Found"}, ProviderBusy),
        ({"message": "Not Found"}, ProviderBusy),
        ({"error": "Not Found"}, ProviderBusy),
        ({"error": None, "message": "Not Found"}, ProviderBusy),
        ({"error": {"message": ""}}, ProviderBusy),
        ({"error": {"message": {"text": "Not Found"}}}, ProviderBusy),
    ],
    ids=lambda value: repr(value)[:60],
)
@pytest.mark.parametrize("method", ["retrieve", "cancel"])
def test_only_the_provider_can_report_404(body: object, error_class: type[ProviderError], method: str) -> None:
    """A 404 of a gateway or of a wrong base URL must not end the job."""
    failure(error_class, http(404, body), lambda adapter: getattr(adapter, method)(PROVIDER, "resp_1"))


def test_cancel_keeps_an_ended_generation(standin: StandIn, adapter: OpenAIResponses) -> None:
    standin.script("never_ends")
    endless = adapter.create(PROVIDER, REQUEST)
    assert adapter.cancel(PROVIDER, endless.response_id).status == "cancelled"
    created = adapter.create(PROVIDER, REQUEST)
    while adapter.retrieve(PROVIDER, created.response_id).status != "completed":
        pass
    assert adapter.cancel(PROVIDER, created.response_id).status == "completed"
    standin.script("error", on="cancel", status=400)
    assert adapter.cancel(PROVIDER, created.response_id).status == "completed"


@pytest.mark.parametrize("response_id", ["../models", "resp_1/../../x", "a b", "?x=1", "ü"])
def test_unsafe_response_id_fails(adapter: OpenAIResponses, response_id: str) -> None:
    with pytest.raises(ProviderError):
        adapter.retrieve(PROVIDER, response_id)


# ---- direct mode ----


def test_direct_call_returns_ended_response(standin: StandIn, adapter: OpenAIResponses) -> None:
    result = direct(adapter)
    assert result.status == "completed"
    assert "391" in json.dumps(result.output)
    assert result.usage is not None
    assert result.usage.output_tokens > 0
    [generation] = standin.generations
    assert not generation.background
    assert generation.id == result.response_id


@pytest.mark.parametrize("mode", ["background", "direct"])
def test_provider_name_of_model_is_translated(mode: str) -> None:
    """The request has the provider's name of the model, the result has the catalogue's name."""
    provider = DIRECT.model_copy(update={"names": {"gpt-oss-20b": "openai/gpt-oss-20b"}})
    with answering(response(model="openai/gpt-oss-20b")) as (url, requests):
        adapter = responses(url)
        if mode == "background":
            result = adapter.create(provider, DIRECT_REQUEST)
        else:
            result = asyncio.run(adapter.create_awaited(provider, DIRECT_REQUEST))
    assert result.model == "gpt-oss-20b"
    (request,) = requests
    assert json.loads(request.split(b"\r\n\r\n", 1)[1])["model"] == "openai/gpt-oss-20b"


SALTED: dict[str, Any] = {**DIRECT_REQUEST, "cache_salt": "salt-acme"}


def sent_body(provider: Provider, request: Mapping[str, Any], key: str = KEY) -> dict[str, Any]:
    """The body that the server receives."""
    with answering(response()) as (url, requests):
        asyncio.run(OpenAIResponses(Secrets(url, key), SHORT).create_awaited(provider, request))
    (raw,) = requests
    sent: dict[str, Any] = json.loads(raw.split(b"\r\n\r\n", 1)[1])
    return sent


def test_salt_is_sent_only_if_supported() -> None:
    assert "cache_salt" not in sent_body(DIRECT, SALTED)
    with_salt = DIRECT.model_copy(update={"cache_salt": True})
    assert "cache_salt" not in sent_body(with_salt, DIRECT_REQUEST)
    body = sent_body(with_salt, SALTED)
    salt = body.pop("cache_salt")
    assert body == DIRECT_REQUEST
    # vLLM recommends 256 bits.
    assert len(bytes.fromhex(salt)) == 32


def test_salt_depends_on_tenant_and_key() -> None:
    with_salt = DIRECT.model_copy(update={"cache_salt": True})
    acme, acme_again, globex, other_key = (
        sent_body(with_salt, request, key)["cache_salt"]
        for request, key in (
            (SALTED, KEY),
            (SALTED, KEY),
            ({**SALTED, "cache_salt": "salt-globex"}, KEY),
            (SALTED, "another-key"),
        )
    )
    assert acme == acme_again
    assert len({acme, globex, other_key}) == 3


# Responses as built in vllm/entrypoints/openai/responses and ollama/openai/responses.go.
VLLM = {
    "id": "resp_6f0c0f3c1c1e4b0f",
    "created_at": 1785000000,
    "incomplete_details": {"reason": "max_output_tokens"},
    "instructions": None,
    "metadata": None,
    "model": "openai/gpt-oss-20b",
    "object": "response",
    "output": [{"id": "rs_1", "type": "reasoning", "summary": [], "content": [], "status": None}],
    "service_tier": "auto",
    "status": "incomplete",
    "usage": {
        "input_tokens": 82,
        "input_tokens_details": {"cached_tokens": 64, "input_tokens_per_turn": [], "cached_tokens_per_turn": []},
        "output_tokens": 16,
        "output_tokens_details": {"reasoning_tokens": 16, "tool_output_tokens": 0, "output_tokens_per_turn": []},
        "total_tokens": 98,
    },
    "user": None,
}
OLLAMA = {
    "id": "resp_498081",
    "object": "response",
    "created_at": 1785000000,
    "completed_at": 1785000009,
    "status": "completed",
    "incomplete_details": None,
    "model": "gpt-oss:20b",
    "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": []}],
    "error": None,
    "usage": {
        "input_tokens": 82,
        "output_tokens": 16,
        "total_tokens": 98,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "store": False,
    "background": False,
    "service_tier": "default",
    "metadata": {},
}
BARE = {"id": "r", "status": "completed", "output": None, "usage": {"input_tokens": 82, "output_tokens": 16}}
MINIMAL = {"id": "r", "status": "completed"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [(VLLM, (82, 64, 16, 16)), (OLLAMA, (82, 0, 16, 0)), (BARE, (82, 0, 16, 0)), (MINIMAL, None)],
    ids=["vllm", "ollama", "bare", "minimal"],
)
def test_self_hosted_servers_may_omit_fields(body: dict[str, Any], tokens: tuple[int, int, int, int] | None) -> None:
    with answering(http(200, body)) as (url, _):
        result = direct(responses(url))
    usage = result.usage
    assert result.status == body["status"]
    assert result.metadata == {}
    assert tokens == (
        usage and (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens)
    )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_direct_call_must_have_ended(status: str) -> None:
    assert failure(OutcomeUnknown, response(status=status), direct).code == "not_ended"


NO_MODEL = {
    "message": "The model `gpt-oss-20b` does not exist.",
    "type": "NotFoundError",
    "param": "model",
    "code": 404,
}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            error("model_not_found", "The model `gpt-oss-20b` does not exist or you do not have access to it."),
            "model_not_found",
        ),
        ({"error": NO_MODEL}, "model_not_found"),
        ({"object": "error", **NO_MODEL, "param": None}, "model_not_found"),
        (error(None, "model 'gpt-oss-20b' not found", "not_found_error"), "model_not_found"),
        # A wrong base URL is not a missing model.
        (b"404 page not found", None),
        ({"detail": "Not Found"}, None),
        ({"error": {"message": "Not Found", "type": "Not Found", "param": None, "code": 404}}, None),
    ],
    ids=["openai", "vllm", "vllm-before", "ollama", "no-page", "no-route", "vllm-no-route"],
)
@both_modes
def test_missing_model_differs_from_wrong_url(body: object, code: str | None, call: Call) -> None:
    assert failure(ProviderRefused, http(404, body), call).code == code


@both_modes
def test_status_as_code_is_ignored(call: Call) -> None:
    body = {"error": {"message": "Too long.", "type": "BadRequestError", "param": None, "code": 400}}
    refused = failure(ProviderRefused, http(400, body), call)
    assert (refused.message, refused.code) == ("Too long.", None)


def test_direct_timeout_is_unknown(standin: StandIn, adapter: OpenAIResponses) -> None:
    standin.script("slow_run", seconds=60)
    start = time.monotonic()
    with pytest.raises(OutcomeUnknown) as caught:
        direct(adapter)
    assert time.monotonic() - start < 10
    assert caught.value.code == "no_answer"
    assert standin.requests["create"] == 1


@contextmanager
def listening(serve: Callable[[socket.socket], None], number: int) -> Iterator[str]:
    """A server that handles `number` connections in parallel."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=number)

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError, threading.BrokenBarrierError):
            connection.settimeout(5)
            read_request(connection)
            serve(connection)

    def accept() -> None:
        for _ in range(number):
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_direct_calls_use_separate_connections() -> None:
    all_connected = threading.Barrier(30)

    def answer_when_all_are_connected(connection: socket.socket) -> None:
        all_connected.wait(10)
        connection.sendall(response())

    with listening(answer_when_all_are_connected, 30) as url:
        adapter = responses(url)
        provider = DIRECT.model_copy(update={"direct_seconds": 20})

        async def call_all() -> list[Generation]:
            return await asyncio.gather(*(adapter.create_awaited(provider, DIRECT_REQUEST) for _ in range(30)))

        assert {result.status for result in asyncio.run(call_all())} == {"completed"}


def test_cancelled_call_closes_connection() -> None:
    requested, closed = threading.Event(), threading.Event()

    def wait_for_close(connection: socket.socket) -> None:
        requested.set()
        if connection.recv(1) == b"":
            closed.set()

    with listening(wait_for_close, 1) as url:
        adapter = responses(url)

        async def cancel_call() -> None:
            call = asyncio.ensure_future(
                adapter.create_awaited(DIRECT.model_copy(update={"direct_seconds": 60}), DIRECT_REQUEST)
            )
            assert await asyncio.to_thread(requested.wait, 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(cancel_call())
        assert closed.wait(5)


# ---- events ----


@pytest.mark.parametrize("secrets", [None, (), ("whsec_one",), ("whsec_one", "whsec_two")])
def test_webhook_secret_enables_events(secrets: tuple[str, ...] | None) -> None:
    provider_secrets = Secrets("http://127.0.0.1:9/v1")
    if secrets is not None:
        update = {"webhook_secrets": [SecretStr(each) for each in secrets]}
        provider_secrets._connection = provider_secrets._connection.model_copy(update=update)
    assert OpenAIResponses(provider_secrets).sends_events(PROVIDER) == bool(secrets)


class UnreadableSecrets(Secrets):
    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        raise ProviderBusy("The provider secret could not be read.", code="provider_secret")


def test_unreadable_secret_means_no_events() -> None:
    assert not OpenAIResponses(UnreadableSecrets(None)).sends_events(PROVIDER)


@both_modes
def test_unreadable_secret_is_busy(call: Call) -> None:
    with pytest.raises(ProviderBusy) as caught:
        call(OpenAIResponses(UnreadableSecrets(None)))
    assert caught.value.code == "provider_secret"


# ---- redaction ----

REVEALING_MESSAGE = (
    "Rate limit reached for gpt-5 in organization org-uVqpjtJiKqvVJMVf on tokens per min (TPM): Limit 30000, Used "
    f"29937, Requested 385. Key {KEY}, request ID req_0f9c8b7a6d5e, at http://user:pw@10.0.3.7:8000/v1."
)
ACCOUNT_DETAILS = ("org-uVqp", "30000", "29937", KEY, "req_0f9c", "user:pw", "10.0.3.7")


@both_modes
def test_refusal_is_redacted(call: Call) -> None:
    message = failure(ProviderRefused, http(400, error("invalid_prompt", REVEALING_MESSAGE)), call).message
    assert "Rate limit reached for gpt-5 in organization [redacted]" in message
    assert [each for each in ACCOUNT_DETAILS if each in message] == []


@pytest.mark.parametrize(
    "call",
    [
        background,
        direct,
        lambda adapter: adapter.retrieve(PROVIDER, "resp_1"),
        lambda adapter: adapter.cancel(PROVIDER, "resp_1"),
    ],
    ids=["create", "create_awaited", "retrieve", "cancel"],
)
def test_error_of_failed_run_is_redacted(call: Call) -> None:
    failure = {"code": "rate_limit_exceeded", "message": REVEALING_MESSAGE}
    with answering(response(status="failed", error=failure)) as (url, _):
        failed = call(responses(url))
    assert failed.error_code == "rate_limit_exceeded"
    assert failed.error_message is not None
    assert [each for each in ACCOUNT_DETAILS if each in failed.error_message] == []


def test_key_is_redacted_before_truncation() -> None:
    assert KEY[:6] not in failure(ProviderRefused, http(400, error(None, "x" * 490 + " " + KEY))).message
