"""The provider_events function queues an event before it answers. Other requests have no effect."""

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
    """Checks the error answer, and that nothing was stored or queued."""
    answer = post(service, sent)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert service.holds_nothing()


def test_sample_event_is_queued(service: Deployed) -> None:
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
def test_event_is_queued_before_the_answer(gate: Deployed, kind: str, encoded: bool) -> None:
    assert post(gate, request(gate, event(f"response.{kind}"), encoded=encoded)).status == 200
    assert queued(gate) == [{"provider": "openai", "response_id": RESPONSE_ID}]


@pytest.mark.parametrize("encoded", [False, True])
def test_signature_covers_the_raw_bytes(gate: Deployed, encoded: bool) -> None:
    body = '{ "type":"response.completed",\t"data":{"id":"resp_1"},\n "note": "Größe – ☕ \U0001f600" }\n'
    assert post(gate, request(gate, body, encoded=encoded)).status == 200
    # The same event in other bytes does not verify.
    changed = request(gate, body, encoded=encoded)
    changed["body"], changed["isBase64Encoded"] = json.dumps(json.loads(body)), False
    assert post(gate, changed).status == 401
    assert len(queued(gate)) == 1


def test_both_secrets_verify(gate: Deployed) -> None:
    provide(gate, OTHER, SECRET)
    for signed_with in ((SECRET,), (OTHER,), (SECRET, OTHER)):
        assert post(gate, request(gate, event(), *signed_with)).status == 200
    assert gate.waiting("JobQueue") == 3


def test_duplicate_is_accepted(gate: Deployed) -> None:
    sent = request(gate, event())
    assert [post(gate, sent).status for _ in range(2)] == [200, 200]
    assert gate.waiting("JobQueue") == 2


@pytest.mark.parametrize("kind", ["response.created", "batch.completed", "fine_tuning.job.succeeded", "x"])
def test_other_event_type_is_ignored(gate: Deployed, kind: str) -> None:
    answer = post(gate, request(gate, event(kind)))
    assert (answer.status, answer.body) == (200, {"outcome": "ignored"})
    assert gate.holds_nothing()


def test_other_secret_is_401(gate: Deployed) -> None:
    refused(gate, request(gate, event(), OTHER), 401, "bad_signature")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_unsigned_event_is_401(gate: Deployed, name: str) -> None:
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
def test_changed_header_is_401(gate: Deployed, name: str, value: str) -> None:
    sent = request(gate, event())
    sent["headers"][name] = value
    refused(gate, sent, 401, "bad_signature")


def test_header_names_ignore_case(gate: Deployed) -> None:
    sent = request(gate, event())
    sent["headers"] = {name.title(): value for name, value in sent["headers"].items()}
    assert post(gate, sent).status == 200


@pytest.mark.parametrize("ago", [302, -302, 86_400])
def test_stale_event_is_400(gate: Deployed, ago: float) -> None:
    """After a 4xx the provider sends the event again with a new timestamp. A replayed request stays refused."""
    refused(gate, request(gate, event(), ago=ago), 400, "stale")
    assert post(gate, request(gate, event())).status == 200


@pytest.mark.parametrize("provider", ["standin", "unknown", "OpenAI", "open/ai", "..", "%2e%2e", "ö", ""])
def test_unknown_provider_is_404(gate: Deployed, provider: str) -> None:
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
def test_malformed_event_is_400(gate: Deployed, body: str) -> None:
    refused(gate, request(gate, body), 400, "malformed")


def test_large_body_is_413(gate: Deployed) -> None:
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
def test_any_request_gets_a_4xx(gate: Deployed, odd: Json) -> None:
    with gate.running("ProviderEvents") as module:
        answer = module.handler(odd, None)
    assert 400 <= answer["statusCode"] < 500
    assert gate.holds_nothing()


def test_missing_queue_is_503(gate: Deployed) -> None:
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
def test_unusable_secret_is_503(gate: Deployed, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    aws.secretsmanager().put_secret_value(SecretId=gate.refs["ProviderSecret"], SecretString=text)
    sent = request(gate, event())
    capsys.readouterr()
    refused(gate, sent, 503, "unavailable")
    assert CANARY not in capsys.readouterr().out
    provide(gate, SECRET)
    # Another process, or five minutes later.
    with gate.running("ProviderEvents") as module:
        module.service.cache_clear()
    assert post(gate, sent).status == 200


def test_rotated_secret_is_read_at_once(gate: Deployed) -> None:
    reads: list[Json] = []

    def note(params: Json, **_: Any) -> None:
        reads.append(params)

    events = aws.secretsmanager().meta.events
    events.register("provide-client-params.secretsmanager.GetSecretValue", note)
    try:
        assert post(gate, request(gate, event())).status == 200
        provide(gate, OTHER)
        assert post(gate, request(gate, event(), OTHER)).status == 200
        assert len(reads) == 2
        for _ in range(20):
            assert post(gate, request(gate, event(), SECRET)).status == 401
        assert len(reads) == 2
        gate.clock.pass_seconds(61)
        assert post(gate, request(gate, event(), SECRET)).status == 401
        assert len(reads) == 3
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
def test_outcome_is_logged_and_counted(
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
    [metric] = line["_aws"]["CloudWatchMetrics"]
    assert (metric["Namespace"], [each["Name"] for each in metric["Metrics"]]) == ("Afterthought", ["ProviderEvents"])
    [dimensions] = metric["Dimensions"]
    assert {name: line[name] for name in dimensions} == {"service": "provider_events", "outcome": outcome}
    assert line["ProviderEvents"] == [1.0]
    assert line["request_id"] == sent["requestContext"]["requestId"]
    assert line.get("response_id") == (RESPONSE_ID if outcome == "received" else None)
    for shown in (printed.out, json.dumps(answer.event)):
        assert CANARY not in shown
        assert SECRET not in shown
