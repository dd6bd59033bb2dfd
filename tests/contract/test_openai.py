"""What the openai adapter promises, against the stand-in and other servers over real HTTP."""

import json
import socket
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.errors import GenerationGone, OutcomeUnknown, ProviderBusy, ProviderError, ProviderRefused
from afterthought.domain.provider import Provider
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


def test_a_key_that_was_just_rotated_costs_no_job(standin: StandIn) -> None:
    adapter = OpenAIResponses(RotatedSecrets(standin.base_url, key="the-old-key"), QUICK)
    with pytest.raises(ProviderBusy) as busy:
        adapter.create(PROVIDER, REQUEST)
    assert busy.value.retry_after_seconds == 1.0
    assert adapter.create(PROVIDER, REQUEST).status == "queued"
    assert len(standin.generations) == 1


def test_a_key_that_is_wrong_when_read_anew_too_ends_the_job(standin: StandIn) -> None:
    with pytest.raises(ProviderRefused):
        OpenAIResponses(Secrets(standin.base_url, key="a-wrong-key"), QUICK).create(PROVIDER, REQUEST)


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
                requests.append(connected.recv(65536))
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
def test_every_way_to_fail_has_its_class_and_is_tried_once(
    standin: StandIn,
    adapter: OpenAIResponses,
    rule: dict[str, Any],
    kind: type[ProviderError],
    code: str | None,
    generations: int,
) -> None:
    standin.script(**rule, times=None)
    with pytest.raises(kind) as caught:
        adapter.create(PROVIDER, REQUEST)
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
def test_the_wait_that_is_asked_for_is_told(header: str | timedelta, least: float, most: float) -> None:
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    with answering(http(429, error("rate_limit_exceeded"), {"retry-after": header})) as (url, requests):
        with pytest.raises(ProviderBusy) as caught:
            responses(url).create(PROVIDER, REQUEST)
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


def test_an_empty_account_is_asked_again_only_after_minutes(standin: StandIn, adapter: OpenAIResponses) -> None:
    standin.script("insufficient_quota", retry_after=1)
    with pytest.raises(ProviderBusy) as caught:
        adapter.create(PROVIDER, REQUEST)
    assert caught.value.retry_after_seconds == 300


def test_a_connection_refused_was_certainly_not_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
    with pytest.raises(ProviderBusy) as caught:
        responses(url).create(PROVIDER, REQUEST)
    assert caught.value.code == "unreachable"


def test_a_name_that_does_not_exist_was_certainly_not_run() -> None:
    with pytest.raises(ProviderBusy) as caught:
        responses("http://no-such-host.invalid/v1").create(PROVIDER, REQUEST)
    assert caught.value.code == "unreachable"


def test_a_reset_after_sending_may_have_run() -> None:
    with answering(b"", reset=True) as (url, requests):
        with pytest.raises(OutcomeUnknown):
            responses(url).create(PROVIDER, REQUEST)
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
def test_a_200_that_is_no_response_is_an_unknown_outcome_and_shows_nothing(body: bytes) -> None:
    with answering(http(200, body)) as (url, requests):
        with pytest.raises(OutcomeUnknown) as caught:
            responses(url).create(PROVIDER, REQUEST)
        assert len(requests) == 1
    assert "secret-answer" not in everything_in(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b'"text"', b'{"error":"text"}', b'{"error":{"code":429,"message":5}}',
     b'{"error":{"code":["insufficient_quota"]}}', b'{"error":{"code":{}}}', b'{"error":null}', b"\xff"],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize(("status", "kind"), [(400, ProviderRefused), (429, ProviderBusy), (500, OutcomeUnknown)])
def test_an_error_s_odd_body_does_not_hide_its_status(status: int, kind: type[ProviderError], body: bytes) -> None:
    with answering(http(status, body)) as (url, _), pytest.raises(kind) as caught:
        responses(url).create(PROVIDER, REQUEST)
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
