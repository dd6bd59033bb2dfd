"""What the openai adapter promises, against the stand-in and other servers over real HTTP."""

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
from typing import Any

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
from afterthought.domain.models.provider import Provider
from afterthought.services.ports import Generation
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
QUICK = httpx2.Timeout(0.3, connect=0.3)


class Secrets(ProviderSecrets):
    """One connection for every provider."""

    def __init__(self, base_url: str | None, key: str = KEY) -> None:
        self._connection = Connection.model_validate({"api_key": key, "base_url": base_url})

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        return self._connection


class RotatedSecrets(Secrets):
    """The kept connection has the old key; read anew, the secret has the new one."""

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


def responses(base_url: str | None, timeout: httpx2.Timeout = QUICK) -> OpenAIResponses:
    return OpenAIResponses(Secrets(base_url), timeout)


def background(adapter: OpenAIResponses) -> Generation:
    return adapter.create(PROVIDER, REQUEST)


def direct(adapter: OpenAIResponses) -> Generation:
    return asyncio.run(adapter.create_awaited(DIRECT, DIRECT_REQUEST))


Call = Callable[[OpenAIResponses], Generation]

both_ways = pytest.mark.parametrize("call", [background, direct])


@both_ways
def test_a_key_that_was_just_rotated_costs_no_job(standin: StandIn, call: Call) -> None:
    adapter = OpenAIResponses(RotatedSecrets(standin.base_url, key="the-old-key"), QUICK)
    with pytest.raises(ProviderBusy) as busy:
        call(adapter)
    assert busy.value.retry_after_seconds == 1.0
    assert call(adapter).status in ("queued", "completed")
    assert len(standin.generations) == 1


@both_ways
def test_a_key_that_is_wrong_when_read_anew_too_ends_the_job(standin: StandIn, call: Call) -> None:
    with pytest.raises(ProviderRefused):
        call(OpenAIResponses(Secrets(standin.base_url, key="a-wrong-key"), QUICK))


@pytest.fixture
def adapter(standin: StandIn) -> OpenAIResponses:
    return responses(standin.base_url)


@contextmanager
def answering(raw: bytes, *, reset: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads each request and answers with these bytes: the base URL, and the requests that came."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            with connected, suppress(OSError):
                connected.settimeout(2)
                requests.append(received(connected))
                if reset:
                    # Closing with a linger of zero resets the connection.
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                connected.sendall(raw)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", requests
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def received(connected: socket.socket) -> bytes:
    """One request, whole: its body may come apart from its head."""
    raw = connected.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")
    ] or [0]
    while len(body) < length:
        more = connected.recv(65536)
        assert more
        raw, body = raw + more, body + more
    return raw


def http(status: int, body: object, headers: Mapping[str, str] | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"content-length": str(len(raw)), "content-type": "application/json", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + raw


def error(code: object = None, message: object = "No.", kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def everything_in(raised: BaseException) -> str:
    """All that a log could show of an error, its chain included."""
    chain: list[BaseException] = [raised]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    return "\n".join(traceback.format_exception(raised)) + "\n".join(f"{each!r} {vars(each)!r}" for each in chain)


def test_a_created_generation_comes_back_as_it_stands(standin: StandIn, adapter: OpenAIResponses) -> None:
    created = adapter.create(PROVIDER, REQUEST)
    assert created.status == "queued"
    assert created.metadata == REQUEST["metadata"]
    assert created.usage is None
    [generation] = standin.generations
    assert generation.id == created.response_id
    seen = created
    for _ in range(500):
        seen = adapter.retrieve(PROVIDER, created.response_id)
        if seen.status == "completed":
            break
    assert seen.usage is not None
    assert seen.usage.output_tokens >= seen.usage.reasoning_tokens > 0
    assert "391" in json.dumps(seen.output)
    assert seen.model == "o3"


def test_the_secrets_address_goes_before_the_catalogues(standin: StandIn, adapter: OpenAIResponses) -> None:
    unreachable = PROVIDER.model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    assert adapter.create(unreachable, REQUEST).response_id
    there = PROVIDER.model_copy(update={"base_url": standin.base_url})
    assert responses(None).create(there, REQUEST).response_id
    assert standin.requests["create"] == 2


def test_a_rotated_key_is_used_from_then_on(standin: StandIn) -> None:
    secrets = Secrets(standin.base_url, "sk-old")
    adapter = OpenAIResponses(secrets, QUICK)
    with pytest.raises(ProviderRefused):
        adapter.create(PROVIDER, REQUEST)
    secrets._connection = Secrets(standin.base_url)._connection
    assert adapter.create(PROVIDER, REQUEST).response_id


@pytest.mark.parametrize(
    ("rule", "kind", "code", "generations"),
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
@both_ways
def test_every_way_to_fail_has_its_class_and_is_tried_once(
    standin: StandIn,
    adapter: OpenAIResponses,
    call: Call,
    rule: dict[str, Any],
    kind: type[ProviderError],
    code: str | None,
    generations: int,
) -> None:
    standin.script(**rule, times=None)
    with pytest.raises(kind) as caught:
        call(adapter)
    assert type(caught.value) is kind
    if code is not None:
        assert caught.value.code == code
    assert standin.requests["create"] == 1
    assert len(standin.generations) == generations
    assert KEY not in everything_in(caught.value)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("1.5", 1.5, 1.5),
        ("-3", 0, 0),
        (timedelta(hours=1), 3500, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
)
@both_ways
def test_the_wait_that_is_asked_for_is_told(header: str | timedelta, least: float, most: float, call: Call) -> None:
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    with answering(http(429, error("rate_limit_exceeded"), {"retry-after": header})) as (url, requests):
        with pytest.raises(ProviderBusy) as caught:
            call(responses(url))
        assert len(requests) == 1
    assert caught.value.retry_after_seconds is not None
    assert least <= caught.value.retry_after_seconds <= most


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "", "Mon, 01 Jan 99999999999 00:00:00 GMT", "1,2"])
def test_a_wait_that_makes_no_sense_is_none(header: str) -> None:
    with (
        answering(http(503, error(), {"retry-after": header})) as (url, _),
        pytest.raises(ProviderBusy) as caught,
    ):
        responses(url).create(PROVIDER, REQUEST)
    assert caught.value.retry_after_seconds is None


@both_ways
@pytest.mark.parametrize("rule", ["insufficient_quota", "billing_limit"])
def test_an_empty_account_is_asked_again_only_after_minutes(
    standin: StandIn, adapter: OpenAIResponses, rule: str, call: Call
) -> None:
    standin.script(rule, retry_after=1)
    with pytest.raises(ProviderBusy) as caught:
        call(adapter)
    assert caught.value.retry_after_seconds == 300
    assert caught.value.code in OUT_OF_FUNDS_CODES


@both_ways
def test_a_connection_refused_was_certainly_not_run(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
    with pytest.raises(ProviderBusy) as caught:
        call(responses(url))
    assert caught.value.code == "unreachable"


@both_ways
def test_a_name_that_does_not_exist_was_certainly_not_run(call: Call) -> None:
    with pytest.raises(ProviderBusy) as caught:
        call(responses("http://no-such-host.invalid/v1"))
    assert caught.value.code == "unreachable"


@both_ways
def test_a_reset_after_sending_may_have_run(call: Call) -> None:
    with answering(b"", reset=True) as (url, requests):
        with pytest.raises(OutcomeUnknown):
            call(responses(url))
        assert len(requests) == 1


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
@both_ways
def test_a_200_that_is_no_response_is_an_unknown_outcome_and_shows_nothing(body: bytes, call: Call) -> None:
    with answering(http(200, body)) as (url, requests):
        with pytest.raises(OutcomeUnknown) as caught:
            call(responses(url))
        assert len(requests) == 1
    assert "secret-answer" not in everything_in(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b'"text"', b'{"error":"text"}', b'{"error":{"code":429,"message":5}}',
     b'{"error":{"code":["insufficient_quota"]}}', b'{"error":{"code":{}}}', b'{"error":null}', b"\xff",
     b'{"error":{"type":["NotFoundError"]}}', b'{"error":{"type":{}}}', b'{"error":{"type":404}}'],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ProviderRefused), (404, ProviderRefused), (429, ProviderBusy), (500, OutcomeUnknown)],
)
@both_ways
def test_an_error_s_odd_body_does_not_hide_its_status(
    status: int, kind: type[ProviderError], body: bytes, call: Call
) -> None:
    with answering(http(status, body)) as (url, _), pytest.raises(kind) as caught:
        call(responses(url))
    assert caught.value.code is None or isinstance(caught.value.code, str)
    assert isinstance(caught.value.message, str)


def test_what_the_provider_says_is_cut_before_it_is_kept() -> None:
    with (
        answering(http(400, error("c" * 10_000, "m" * 10_000))) as (url, _),
        pytest.raises(ProviderRefused) as caught,
    ):
        responses(url).create(PROVIDER, REQUEST)
    assert len(caught.value.message) <= 500
    assert caught.value.code is not None
    assert len(caught.value.code) <= 64


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_never_repeated(status: int) -> None:
    told = error("invalid_api_key", f"Incorrect API key provided: {KEY}. Find yours at the dashboard.")
    with answering(http(status, told)) as (url, _), pytest.raises(ProviderRefused) as caught:
        responses(url).create(PROVIDER, REQUEST)
    assert KEY not in str(caught.value)
    assert KEY not in caught.value.message


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None, "cache_write_tokens": None}])
def test_usage_without_its_details_is_usage(details: object) -> None:
    body = {
        "id": "resp_1",
        "status": "completed",
        "usage": {
            "input_tokens": 5,
            "input_tokens_details": details,
            "output_tokens": 7,
            "output_tokens_details": None,
        },
    }
    with answering(http(200, body)) as (url, _):
        usage = responses(url).retrieve(PROVIDER, "resp_1").usage
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens) == (5, 0, 7, 0)


def test_usage_that_contradicts_itself_is_no_usage() -> None:
    body = {
        "id": "resp_1",
        "status": "completed",
        "usage": {"input_tokens": 5, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 8}},
    }
    with answering(http(200, body)) as (url, _):
        assert responses(url).retrieve(PROVIDER, "resp_1").usage is None


def test_a_failed_run_s_words_are_cut_before_they_are_kept() -> None:
    body = {"id": "resp_1", "status": "failed", "error": {"code": "c" * 5000, "message": "m" * 500_000}}
    with answering(http(200, body)) as (url, _):
        failed = responses(url).retrieve(PROVIDER, "resp_1")
    assert len(failed.error_code or "") <= 64
    assert len(failed.error_message or "") <= 500


@pytest.mark.parametrize(
    ("rule", "kind"),
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
@pytest.mark.parametrize("look", ["retrieve", "cancel"])
def test_a_look_fails_by_the_same_classes(
    standin: StandIn, adapter: OpenAIResponses, rule: dict[str, Any], kind: type[ProviderError], look: str
) -> None:
    created = adapter.create(PROVIDER, REQUEST)
    if rule["do"] == "forgotten":
        standin.script(**rule, on="retrieve")
        with pytest.raises(GenerationGone):
            adapter.retrieve(PROVIDER, created.response_id)
    else:
        standin.script(**rule, on="any", times=None)
    with pytest.raises(kind) as caught:
        getattr(adapter, look)(PROVIDER, created.response_id)
    assert KEY not in everything_in(caught.value)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error(None, "Response with id 'resp_1' not found."), GenerationGone),
        ({"error": {"message": "Not found."}}, GenerationGone),
        # A base URL without its /v1.
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
@pytest.mark.parametrize("look", ["retrieve", "cancel"])
def test_only_its_provider_is_believed_that_a_generation_is_gone(
    body: object, kind: type[ProviderError], look: str
) -> None:
    with answering(http(404, body)) as (url, _), pytest.raises(kind) as caught:
        getattr(responses(url), look)(PROVIDER, "resp_1")
    assert type(caught.value) is kind


def test_a_cancelled_generation_says_so_and_one_that_ended_stays_as_it_ended(
    standin: StandIn, adapter: OpenAIResponses
) -> None:
    standin.script("never_ends")
    endless = adapter.create(PROVIDER, REQUEST)
    assert adapter.cancel(PROVIDER, endless.response_id).status == "cancelled"
    ended = adapter.create(PROVIDER, REQUEST)
    while adapter.retrieve(PROVIDER, ended.response_id).status != "completed":
        pass
    assert adapter.cancel(PROVIDER, ended.response_id).status == "completed"
    standin.script("error", on="cancel", status=400)
    assert adapter.cancel(PROVIDER, ended.response_id).status == "completed"


@pytest.mark.parametrize("response_id", ["../models", "resp_1/../../x", "a b", "?x=1", "ü"])
def test_an_id_that_is_no_path_asks_for_nothing_else(adapter: OpenAIResponses, response_id: str) -> None:
    with pytest.raises(ProviderError):
        adapter.retrieve(PROVIDER, response_id)


# Without a background mode


def test_an_awaited_answer_comes_back_ended_and_with_its_usage(standin: StandIn, adapter: OpenAIResponses) -> None:
    ended = direct(adapter)
    assert ended.status == "completed"
    assert "391" in json.dumps(ended.output)
    assert ended.usage is not None
    assert ended.usage.output_tokens > 0
    [generation] = standin.generations
    assert not generation.background
    assert generation.id == ended.response_id


NAMED = DIRECT.model_copy(update={"names": {"gpt-oss-20b": "openai/gpt-oss-20b"}})


@pytest.mark.parametrize(
    "call",
    [
        lambda adapter: adapter.create(NAMED, DIRECT_REQUEST),
        lambda adapter: asyncio.run(adapter.create_awaited(NAMED, DIRECT_REQUEST)),
    ],
    ids=["background", "direct"],
)
def test_a_provider_is_asked_for_a_model_by_its_own_name_and_believed_by_ours(call: Call) -> None:
    body = {"id": "resp_1", "status": "completed", "model": "openai/gpt-oss-20b"}
    with answering(http(200, body)) as (url, requests):
        assert call(responses(url)).model == "gpt-oss-20b"
    (request,) = requests
    assert json.loads(request.split(b"\r\n\r\n", 1)[1])["model"] == "openai/gpt-oss-20b"


SALTED: dict[str, Any] = {**DIRECT_REQUEST, "cache_salt": "of-acme"}


def sent_by(provider: Provider, request: Mapping[str, Any], key: str = KEY) -> dict[str, Any]:
    """What the server gets to read."""
    with answering(http(200, {"id": "resp_1", "status": "completed"})) as (url, requests):
        asyncio.run(OpenAIResponses(Secrets(url, key), QUICK).create_awaited(provider, request))
    (raw,) = requests
    sent: dict[str, Any] = json.loads(raw.split(b"\r\n\r\n", 1)[1])
    return sent


def test_a_salt_goes_only_to_a_provider_that_takes_one() -> None:
    assert "cache_salt" not in sent_by(DIRECT, SALTED)
    takes = DIRECT.model_copy(update={"cache_salt": True})
    assert "cache_salt" not in sent_by(takes, DIRECT_REQUEST)
    sent = sent_by(takes, SALTED)
    salt = sent.pop("cache_salt")
    assert sent == DIRECT_REQUEST
    # vLLM asks for 256 bits of it.
    assert len(bytes.fromhex(salt)) == 32


def test_a_salt_is_the_same_each_time_and_not_to_be_known_without_the_servers_key() -> None:
    takes = DIRECT.model_copy(update={"cache_salt": True})
    of_acme, again, of_globex, by_another_key = (
        sent_by(takes, request, key)["cache_salt"]
        for request, key in (
            (SALTED, KEY),
            (SALTED, KEY),
            ({**SALTED, "cache_salt": "of-globex"}, KEY),
            (SALTED, "another-key"),
        )
    )
    assert of_acme == again
    assert len({of_acme, of_globex, by_another_key}) == 3


# What they answer, as their code makes it: vllm/entrypoints/openai/responses, ollama/openai/responses.go.
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
NOTHING_MORE = {"id": "r", "status": "completed"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [(VLLM, (82, 64, 16, 16)), (OLLAMA, (82, 0, 16, 0)), (BARE, (82, 0, 16, 0)), (NOTHING_MORE, None)],
    ids=["vllm", "ollama", "bare", "nothing-more"],
)
def test_what_a_server_of_ones_own_leaves_out_is_not_missed(
    body: dict[str, Any], tokens: tuple[int, int, int, int] | None
) -> None:
    with answering(http(200, body)) as (url, _):
        came = direct(responses(url))
    usage = came.usage
    assert came.status == body["status"]
    assert came.metadata == {}
    assert tokens == (
        usage and (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens)
    )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_that_has_not_ended_is_none(status: str) -> None:
    with (
        answering(http(200, {"id": "resp_1", "status": status})) as (url, _),
        pytest.raises(OutcomeUnknown) as caught,
    ):
        direct(responses(url))
    assert caught.value.code == "not_ended"


NO_MODEL = {
    "message": "The model `gpt-oss-20b` does not exist.",
    "type": "NotFoundError",
    "param": "model",
    "code": 404,
}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (error("model_not_found", "The model `gpt-oss-20b` does not exist or you do not have access to it."), "yes"),
        ({"error": NO_MODEL}, "yes"),
        ({"object": "error", **NO_MODEL, "param": None}, "yes"),
        (error(None, "model 'gpt-oss-20b' not found", "not_found_error"), "yes"),
        # A wrong address has no models to miss.
        (b"404 page not found", None),
        ({"detail": "Not Found"}, None),
        ({"error": {"message": "Not Found", "type": "Not Found", "param": None, "code": 404}}, None),
    ],
    ids=["openai", "vllm", "vllm-before", "ollama", "no-page", "no-route", "vllm-no-route"],
)
@both_ways
def test_a_model_that_is_not_there_is_told_from_an_address_that_is_not(
    body: object, code: str | None, call: Call
) -> None:
    with answering(http(404, body)) as (url, _), pytest.raises(ProviderRefused) as caught:
        call(responses(url))
    assert caught.value.code == (code and "model_not_found")


@both_ways
def test_a_status_given_for_a_code_is_no_code(call: Call) -> None:
    told = {"error": {"message": "Too long.", "type": "BadRequestError", "param": None, "code": 400}}
    with answering(http(400, told)) as (url, _), pytest.raises(ProviderRefused, match="Too long") as caught:
        call(responses(url))
    assert caught.value.code is None


def test_a_call_that_takes_too_long_may_have_run(standin: StandIn, adapter: OpenAIResponses) -> None:
    standin.script("slow_run", seconds=60)
    begun = time.monotonic()
    with pytest.raises(OutcomeUnknown) as caught:
        direct(adapter)
    assert time.monotonic() - begun < 10
    assert caught.value.code == "no_answer"
    assert standin.requests["create"] == 1


@contextmanager
def listening(serve: Callable[[socket.socket], None], number: int) -> Iterator[str]:
    """A server that handles so many connections side by side."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=number)

    def handle(connected: socket.socket) -> None:
        with connected, suppress(OSError, threading.BrokenBarrierError):
            connected.settimeout(5)
            received(connected)
            serve(connected)

    def accept() -> None:
        for _ in range(number):
            connected, _ = listener.accept()
            threading.Thread(target=handle, args=[connected], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_many_calls_are_awaited_at_once_each_on_a_connection_of_its_own() -> None:
    all_here = threading.Barrier(30)

    def answer_when_all_have_asked(connected: socket.socket) -> None:
        all_here.wait(10)
        connected.sendall(http(200, {"id": "resp_1", "status": "completed"}))

    with listening(answer_when_all_have_asked, 30) as url:
        adapter = responses(url)
        patient = DIRECT.model_copy(update={"direct_seconds": 20})

        async def all_of_them() -> list[Generation]:
            return await asyncio.gather(*(adapter.create_awaited(patient, DIRECT_REQUEST) for _ in range(30)))

        assert {came.status for came in asyncio.run(all_of_them())} == {"completed"}


def test_a_call_that_is_let_go_hangs_up() -> None:
    asked, gone = threading.Event(), threading.Event()

    def notice(connected: socket.socket) -> None:
        asked.set()
        if connected.recv(1) == b"":
            gone.set()

    with listening(notice, 1) as url:
        adapter = responses(url)

        async def let_go() -> None:
            call = asyncio.ensure_future(
                adapter.create_awaited(DIRECT.model_copy(update={"direct_seconds": 60}), DIRECT_REQUEST)
            )
            assert await asyncio.to_thread(asked.wait, 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(let_go())
        assert gone.wait(5)


# Events


@pytest.mark.parametrize("secrets", [None, (), ("whsec_one",), ("whsec_one", "whsec_two")])
def test_events_are_on_where_the_secret_has_what_they_are_signed_with(secrets: tuple[str, ...] | None) -> None:
    held = Secrets("http://127.0.0.1:9/v1")
    if secrets is not None:
        told = [SecretStr(each) for each in secrets]
        held._connection = held._connection.model_copy(update={"webhook_secrets": told})
    assert OpenAIResponses(held).announces(PROVIDER) == bool(secrets)


class NoSecret(Secrets):
    """The secret cannot be read."""

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        raise ProviderBusy("The providers' secret could not be read.", code="provider_secret")


def test_while_the_secret_cannot_be_read_no_event_is_counted_on() -> None:
    assert not OpenAIResponses(NoSecret(None)).announces(PROVIDER)


@both_ways
def test_while_the_secret_cannot_be_read_nothing_is_called(call: Call) -> None:
    with pytest.raises(ProviderBusy) as caught:
        call(OpenAIResponses(NoSecret(None)))
    assert caught.value.code == "provider_secret"


# What tenants are told

TELLING = (
    "Rate limit reached for gpt-5 in organization org-uVqpjtJiKqvVJMVf on tokens per min (TPM): Limit 30000, Used "
    f"29937, Requested 385. Key {KEY}, request ID req_0f9c8b7a6d5e, at http://user:pw@10.0.3.7:8000/v1."
)
TOLD = ("org-uVqp", "30000", "29937", KEY, "req_0f9c", "user:pw", "10.0.3.7")


@both_ways
def test_a_refusal_tells_nothing_of_the_account(call: Call) -> None:
    with answering(http(400, error("invalid_prompt", TELLING))) as (url, _), pytest.raises(ProviderRefused) as caught:
        call(responses(url))
    assert "Rate limit reached for gpt-5 in organization [redacted]" in caught.value.message
    assert [each for each in TOLD if each in caught.value.message] == []


@pytest.mark.parametrize("look", ["retrieve", "cancel", "create", "create_awaited"])
def test_a_failed_run_tells_nothing_of_the_account(look: str) -> None:
    body = {"id": "resp_1", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": TELLING}}
    with answering(http(200, body)) as (url, _):
        adapter = responses(url)
        if look == "create_awaited":
            failed = direct(adapter)
        else:
            failed = background(adapter) if look == "create" else getattr(adapter, look)(PROVIDER, "resp_1")
    assert failed.error_code == "rate_limit_exceeded"
    assert failed.error_message is not None
    assert [each for each in TOLD if each in failed.error_message] == []


def test_a_key_at_the_place_of_the_cut_is_not_shown_by_half() -> None:
    told = "x" * 490 + " " + KEY
    with answering(http(400, error(None, told))) as (url, _), pytest.raises(ProviderRefused) as caught:
        responses(url).create(PROVIDER, REQUEST)
    assert KEY[:6] not in caught.value.message
