"""The provider_events function on what the gateway hands it: an event is in the queue before it is answered, and
nothing else that comes in at this door leads anywhere."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from afterthought.adapters import aws
from afterthought.domain import signature
from local.endpoint import STAND_IN_WEBHOOK_SECRET
from tests.integration.deployed import PROVIDER_KEY, Deployed, HttpAnswer, sample

Json = dict[str, Any]

CANARY = "canary4242"
SECRET, OTHER = (signature.new_secret(f"{CANARY} a provider's webhook secret, {n}".encode()) for n in (1, 2))
RESPONSE_ID = "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b"


def provide(service: Deployed, *secrets: str) -> None:
    service.provide(
        openai={"api_key": PROVIDER_KEY, "webhook_secrets": list(secrets)}, standin={"api_key": PROVIDER_KEY}
    )


@pytest.fixture
def gate(service: Deployed) -> Deployed:
    provide(service, SECRET)
    return service


def event(kind: str = "response.completed", response_id: Any = RESPONSE_ID) -> str:
    return json.dumps({"id": f"evt_{CANARY}", "object": "event", "type": kind, "data": {"id": response_id}})


def request(
    service: Deployed, body: str, *secrets: str, provider: str = "openai", encoded: bool = False, ago: float = 0
) -> Json:
    """The gateway's event for a signed POST."""
    at = int((service.clock.now() - timedelta(seconds=ago)).timestamp())
    sent = sample("provider_events")
    sent["pathParameters"] = {"provider": provider}
    sent["rawPath"] = sent["requestContext"]["http"]["path"] = f"/v1/provider_events/{provider}"
    sent["headers"] |= signature.headers(
        secrets or (SECRET,), message_id=f"evt_{CANARY}", timestamp=at, body=body.encode()
    )
    sent["body"] = base64.b64encode(body.encode()).decode() if encoded else body
    sent["isBase64Encoded"] = encoded
    return sent


def post(service: Deployed, sent: Json) -> HttpAnswer:
    return HttpAnswer(service.invoke("ProviderEvents", sent))


def queued(service: Deployed) -> list[Json]:
    return [json.loads(message["body"]) for message in service.receive("JobQueue")]


def refused(service: Deployed, sent: Json, status: int, code: str) -> None:
    """That this is the answer, in the service's own form, and that nothing came of it."""
    answer = post(service, sent)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert service.is_empty()


def test_the_sample_event_is_queued(service: Deployed) -> None:
    sent = sample("provider_events")
    service.provide(standin={"api_key": PROVIDER_KEY, "webhook_secrets": [STAND_IN_WEBHOOK_SECRET]})
    age = service.clock.now().timestamp() - sent["requestContext"]["timeEpoch"] / 1000
    service.clock.pass_seconds(-age)
    answer = post(service, sent)
    assert (answer.status, answer.body) == (200, {"outcome": "received"})
    assert answer.headers["x-request-id"] == sent["requestContext"]["requestId"]
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {"provider": "standin", "response_id": json.loads(sent["body"])["data"]["id"]}
    assert "MessageGroupId" not in message["attributes"]


@pytest.mark.parametrize("kind", ["completed", "failed", "incomplete", "cancelled"])
@pytest.mark.parametrize("encoded", [False, True])
def test_the_end_of_a_response_is_in_the_queue_when_it_is_answered(gate: Deployed, kind: str, encoded: bool) -> None:
    assert post(gate, request(gate, event(f"response.{kind}"), encoded=encoded)).status == 200
    assert queued(gate) == [{"provider": "openai", "response_id": RESPONSE_ID}]


@pytest.mark.parametrize("encoded", [False, True])
def test_the_bytes_are_verified_as_they_came(gate: Deployed, encoded: bool) -> None:
    body = '{ "type":"response.completed",\t"data":{"id":"resp_1"},\n "note": "Größe – ☕ \U0001f600" }\n'
    assert post(gate, request(gate, body, encoded=encoded)).status == 200
    # The same event in other bytes is another message.
    refused_for = request(gate, body, encoded=encoded)
    refused_for["body"], refused_for["isBase64Encoded"] = json.dumps(json.loads(body)), False
    assert post(gate, refused_for).status == 401
    assert len(queued(gate)) == 1


def test_either_of_two_live_secrets_signs(gate: Deployed) -> None:
    provide(gate, OTHER, SECRET)
    for signed_with in ((SECRET,), (OTHER,), (SECRET, OTHER)):
        assert post(gate, request(gate, event(), *signed_with)).status == 200
    assert gate.waiting("JobQueue") == 3


def test_a_duplicate_is_taken_again(gate: Deployed) -> None:
    sent = request(gate, event())
    assert [post(gate, sent).status for _ in range(2)] == [200, 200]
    assert gate.waiting("JobQueue") == 2


@pytest.mark.parametrize("kind", ["response.created", "batch.completed", "fine_tuning.job.succeeded", "x"])
def test_another_type_of_event_is_answered_and_dropped(gate: Deployed, kind: str) -> None:
    answer = post(gate, request(gate, event(kind)))
    assert (answer.status, answer.body) == (200, {"outcome": "ignored"})
    assert gate.is_empty()


def test_a_signature_of_another_secret_opens_nothing(gate: Deployed) -> None:
    refused(gate, request(gate, event(), OTHER), 401, "bad_signature")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_is_not_signed_is_refused(gate: Deployed, name: str) -> None:
    sent = request(gate, event())
    del sent["headers"][name]
    refused(gate, sent, 401, "unsigned")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "evt_other"),
        ("webhook-timestamp", "1"),
        ("webhook-timestamp", "soon"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,\udcff ü"),
    ],
)
def test_a_changed_header_is_refused(gate: Deployed, name: str, value: str) -> None:
    sent = request(gate, event())
    sent["headers"][name] = value
    refused(gate, sent, 401, "bad_signature")


def test_headers_are_found_whatever_their_case(gate: Deployed) -> None:
    sent = request(gate, event())
    sent["headers"] = {name.title(): value for name, value in sent["headers"].items()}
    assert post(gate, sent).status == 200


@pytest.mark.parametrize("ago", [302, -302, 86_400])
def test_an_event_of_another_time_is_asked_for_again(gate: Deployed, ago: float) -> None:
    """A 4xx makes the provider send it again, signed anew: a late one is not lost, a replayed one stays out."""
    refused(gate, request(gate, event(), ago=ago), 400, "stale")
    assert post(gate, request(gate, event())).status == 200


@pytest.mark.parametrize("provider", ["standin", "nobody", "OpenAI", "open/ai", "..", "%2e%2e", "ö", ""])
def test_a_provider_without_a_webhook_here_is_not_found(gate: Deployed, provider: str) -> None:
    refused(gate, request(gate, event(), provider=provider), 404, "unknown_provider")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"response.completed"',
        "{}",
        "[" * 30_000,
        '{"type":' + "9" * 5000 + "}",
        '{"type":"response.completed"}',
        '{"type":"response.completed","data":[]}',
        event(response_id=None),
        event(response_id="../../models"),
        event(response_id="resp_1?a=b"),
        event(response_id="r" * 200),
    ],
)
def test_what_is_signed_and_no_event_is_refused_and_not_a_fault(gate: Deployed, body: str) -> None:
    refused(gate, request(gate, body), 400, "malformed")


def test_a_body_too_large_for_an_event_is_refused(gate: Deployed) -> None:
    refused(gate, request(gate, event().ljust(70_000)), 413, "too_large")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"headers": None, "pathParameters": None},
        {"pathParameters": {"provider": "openai"}},
        {"pathParameters": {"provider": "openai"}, "headers": {}, "body": None},
        {"pathParameters": {"provider": "openai"}, "headers": {}, "body": "%%%", "isBase64Encoded": True},
        {"pathParameters": {"provider": "openai"}, "headers": {"webhook-id": "\ud800"}, "body": "\ud800"},
    ],
)
def test_a_request_of_any_form_gets_a_4xx(gate: Deployed, odd: Json) -> None:
    with gate.running("ProviderEvents") as module:
        answer = module.handler(odd, None)
    assert 400 <= answer["statusCode"] < 500
    assert gate.is_empty()


def test_while_the_queue_is_away_the_provider_is_to_send_it_again(gate: Deployed) -> None:
    url = gate.refs["JobQueue"]
    aws.sqs().delete_queue(QueueUrl=url)
    answer = post(gate, request(gate, event()))
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    aws.sqs().create_queue(QueueName="JobQueue")
    assert post(gate, request(gate, event())).status == 200
    assert queued(gate) == [{"provider": "openai", "response_id": RESPONSE_ID}]


@pytest.mark.parametrize(
    "text", [CANARY, "[]", json.dumps({"openai": {"api_key": CANARY, "webhook_secrets": [CANARY]}})]
)
def test_while_the_secret_is_no_use_the_provider_is_to_send_it_again(
    gate: Deployed, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.secretsmanager().put_secret_value(SecretId=gate.refs["ProviderSecret"], SecretString=text)
    sent = request(gate, event())
    capsys.readouterr()
    refused(gate, sent, 503, "unavailable")
    assert CANARY not in capsys.readouterr().out
    provide(gate, SECRET)
    # Another process, or this one five minutes later.
    with gate.running("ProviderEvents") as module:
        module.service.cache_clear()
    assert post(gate, sent).status == 200


def test_a_rotated_secret_is_taken_up_at_once_and_a_flood_does_not_read_it_each_time(gate: Deployed) -> None:
    asked: list[Json] = []

    def note(params: Json, **_: Any) -> None:
        asked.append(params)

    events = aws.secretsmanager().meta.events
    events.register("provide-client-params.secretsmanager.GetSecretValue", note)
    try:
        assert post(gate, request(gate, event())).status == 200
        provide(gate, OTHER)
        assert post(gate, request(gate, event(), OTHER)).status == 200
        assert len(asked) == 2
        for _ in range(20):
            assert post(gate, request(gate, event(), SECRET)).status == 401
        assert len(asked) == 2
        gate.clock.pass_seconds(61)
        assert post(gate, request(gate, event(), SECRET)).status == 401
        assert len(asked) == 3
    finally:
        events.unregister("provide-client-params.secretsmanager.GetSecretValue", note)


@pytest.mark.parametrize(
    ("outcome", "changes"),
    [
        ("received", {}),
        ("ignored", {"body": event("batch.completed")}),
        ("bad_signature", {"secret": OTHER}),
        ("stale", {"ago": 1000}),
        ("malformed", {"body": f'{{"{CANARY}": 1}}'}),
        ("unknown_provider", {"provider": CANARY}),
        ("too_large", {"body": CANARY * 10_000}),
    ],
)
def test_each_outcome_is_one_line_and_one_count_and_shows_neither_body_nor_secret(
    gate: Deployed, capsys: pytest.CaptureFixture[str], outcome: str, changes: Json
) -> None:
    sent = request(
        gate,
        changes.get("body", event()),
        changes.get("secret", SECRET),
        provider=changes.get("provider", "openai"),
        ago=changes.get("ago", 0),
    )
    capsys.readouterr()
    answer = post(gate, sent)
    printed = capsys.readouterr()
    assert printed.err == ""
    [line] = [json.loads(each) for each in printed.out.splitlines()]
    [told] = line["_aws"]["CloudWatchMetrics"]
    assert (told["Namespace"], [each["Name"] for each in told["Metrics"]]) == ("Afterthought", ["ProviderEvents"])
    [dimensions] = told["Dimensions"]
    assert {name: line[name] for name in dimensions} == {"service": "provider_events", "outcome": outcome}
    assert line["ProviderEvents"] == [1.0]
    assert line["request_id"] == sent["requestContext"]["requestId"]
    assert line.get("response_id") == (RESPONSE_ID if outcome == "received" else None)
    for shown in (printed.out, json.dumps(answer.event)):
        assert CANARY not in shown
        assert SECRET not in shown
