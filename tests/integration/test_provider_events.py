"""The provider_events function with gateway events: a valid event is queued before the 200, others have no effect."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from afterthought.adapters import aws
from afterthought.domain.webhooks import signature
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
def service(service: Deployed) -> Deployed:
    """With a webhook secret for the provider openai."""
    provide(service, SECRET)
    return service


def provider_event(event_type: str = "response.completed", response_id: Any = RESPONSE_ID) -> str:
    return json.dumps({"id": f"evt_{CANARY}", "object": "event", "type": event_type, "data": {"id": response_id}})


def request(
    service: Deployed, body: str, *secrets: str, provider: str = "openai", encoded: bool = False, ago: float = 0
) -> Json:
    """The gateway event of a signed POST."""
    at = int((service.clock.now() - timedelta(seconds=ago)).timestamp())
    event = sample("provider_events")
    event["pathParameters"] = {"provider": provider}
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/v1/provider_events/{provider}"
    event["headers"] |= signature.headers(
        secrets or (SECRET,), message_id=f"evt_{CANARY}", timestamp=at, body=body.encode()
    )
    event["body"] = base64.b64encode(body.encode()).decode() if encoded else body
    event["isBase64Encoded"] = encoded
    return event


def post(service: Deployed, event: Json) -> HttpAnswer:
    return HttpAnswer(service.invoke("ProviderEvents", event))


def queued(service: Deployed) -> list[Json]:
    return [json.loads(message["body"]) for message in service.receive("JobQueue")]


def assert_refused(service: Deployed, event: Json, status: int, code: str) -> None:
    """Asserts this error response, and that nothing was stored or queued."""
    answer = post(service, event)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert service.is_empty()


def test_sample_event_is_queued(service: Deployed) -> None:
    event = sample("provider_events")
    service.provide(standin={"api_key": PROVIDER_KEY, "webhook_secrets": [STAND_IN_WEBHOOK_SECRET]})
    age = service.clock.now().timestamp() - event["requestContext"]["timeEpoch"] / 1000
    service.clock.pass_seconds(-age)
    answer = post(service, event)
    assert (answer.status, answer.body) == (200, {"outcome": "received"})
    assert answer.headers["x-request-id"] == event["requestContext"]["requestId"]
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {
        "provider": "standin",
        "response_id": json.loads(event["body"])["data"]["id"],
    }
    assert "MessageGroupId" not in message["attributes"]


@pytest.mark.parametrize("event_type", ["completed", "failed", "incomplete", "cancelled"])
@pytest.mark.parametrize("encoded", [False, True])
def test_terminal_event_is_queued(service: Deployed, event_type: str, encoded: bool) -> None:
    assert post(service, request(service, provider_event(f"response.{event_type}"), encoded=encoded)).status == 200
    assert queued(service) == [{"provider": "openai", "response_id": RESPONSE_ID}]


@pytest.mark.parametrize("encoded", [False, True])
def test_raw_bytes_are_verified(service: Deployed, encoded: bool) -> None:
    body = '{ "type":"response.completed",\t"data":{"id":"resp_1"},\n "note": "Größe – ☕ \U0001f600" }\n'
    assert post(service, request(service, body, encoded=encoded)).status == 200
    # The same event in other bytes does not match the signature.
    altered = request(service, body, encoded=encoded)
    altered["body"], altered["isBase64Encoded"] = json.dumps(json.loads(body)), False
    assert post(service, altered).status == 401
    assert len(queued(service)) == 1


def test_either_active_secret_verifies(service: Deployed) -> None:
    provide(service, OTHER, SECRET)
    for signed_with in ((SECRET,), (OTHER,), (SECRET, OTHER)):
        assert post(service, request(service, provider_event(), *signed_with)).status == 200
    assert service.waiting("JobQueue") == 3


def test_duplicate_event_is_queued_again(service: Deployed) -> None:
    event = request(service, provider_event())
    assert [post(service, event).status for _ in range(2)] == [200, 200]
    assert service.waiting("JobQueue") == 2


@pytest.mark.parametrize("event_type", ["response.created", "batch.completed", "fine_tuning.job.succeeded", "x"])
def test_other_event_types_are_ignored(service: Deployed, event_type: str) -> None:
    answer = post(service, request(service, provider_event(event_type)))
    assert (answer.status, answer.body) == (200, {"outcome": "ignored"})
    assert service.is_empty()


def test_other_secret_is_refused(service: Deployed) -> None:
    assert_refused(service, request(service, provider_event(), OTHER), 401, "bad_signature")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_refused(service: Deployed, name: str) -> None:
    event = request(service, provider_event())
    del event["headers"][name]
    assert_refused(service, event, 401, "unsigned")


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
def test_altered_header_is_refused(service: Deployed, name: str, value: str) -> None:
    event = request(service, provider_event())
    event["headers"][name] = value
    assert_refused(service, event, 401, "bad_signature")


def test_header_names_are_case_insensitive(service: Deployed) -> None:
    event = request(service, provider_event())
    event["headers"] = {name.title(): value for name, value in event["headers"].items()}
    assert post(service, event).status == 200


@pytest.mark.parametrize("ago", [302, -302, 86_400])
def test_stale_event_can_be_sent_again(service: Deployed, ago: float) -> None:
    """After a 4xx the provider sends the event again with a new signature: a late event is not lost."""
    assert_refused(service, request(service, provider_event(), ago=ago), 400, "stale")
    assert post(service, request(service, provider_event())).status == 200


@pytest.mark.parametrize("provider", ["standin", "unknown", "OpenAI", "open/ai", "..", "%2e%2e", "ö", ""])
def test_unknown_provider_is_not_found(service: Deployed, provider: str) -> None:
    assert_refused(service, request(service, provider_event(), provider=provider), 404, "unknown_provider")


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
        provider_event(response_id=None),
        provider_event(response_id="../../models"),
        provider_event(response_id="resp_1?a=b"),
        provider_event(response_id="r" * 200),
    ],
)
def test_signed_non_event_is_refused(service: Deployed, body: str) -> None:
    assert_refused(service, request(service, body), 400, "malformed")


def test_large_body_is_refused(service: Deployed) -> None:
    assert_refused(service, request(service, provider_event().ljust(70_000)), 413, "too_large")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"headers": None, "pathParameters": None},
        {"pathParameters": {"provider": "openai"}},
        {"pathParameters": {"provider": "openai"}, "headers": {}, "body": None},
        {"pathParameters": {"provider": "openai"}, "headers": {}, "body": "%%%", "isBase64Encoded": True},
        {"pathParameters": {"provider": "openai"}, "headers": {"webhook-id": "\ud800"}, "body": "\ud800"},
    ],
)
def test_malformed_request_gets_a_4xx(service: Deployed, event: Json) -> None:
    with service.running("ProviderEvents") as module:
        answer = module.handler(event, None)
    assert 400 <= answer["statusCode"] < 500
    assert service.is_empty()


def test_missing_queue_is_unavailable(service: Deployed) -> None:
    url = service.refs["JobQueue"]
    aws.sqs().delete_queue(QueueUrl=url)
    answer = post(service, request(service, provider_event()))
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    aws.sqs().create_queue(QueueName="JobQueue")
    assert post(service, request(service, provider_event())).status == 200
    assert queued(service) == [{"provider": "openai", "response_id": RESPONSE_ID}]


@pytest.mark.parametrize(
    "text", [CANARY, "[]", json.dumps({"openai": {"api_key": CANARY, "webhook_secrets": [CANARY]}})]
)
def test_invalid_secret_is_unavailable(service: Deployed, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    aws.secretsmanager().put_secret_value(SecretId=service.refs["ProviderSecret"], SecretString=text)
    event = request(service, provider_event())
    capsys.readouterr()
    assert_refused(service, event, 503, "unavailable")
    assert CANARY not in capsys.readouterr().out
    provide(service, SECRET)
    # As in another process, or after the cache has expired.
    with service.running("ProviderEvents") as module:
        module.service.cache_clear()
    assert post(service, event).status == 200


def test_rotated_secret_is_read_once(service: Deployed) -> None:
    secret_reads: list[Json] = []

    def record(params: Json, **_: Any) -> None:
        secret_reads.append(params)

    events = aws.secretsmanager().meta.events
    events.register("provide-client-params.secretsmanager.GetSecretValue", record)
    try:
        assert post(service, request(service, provider_event())).status == 200
        provide(service, OTHER)
        assert post(service, request(service, provider_event(), OTHER)).status == 200
        assert len(secret_reads) == 2
        for _ in range(20):
            assert post(service, request(service, provider_event(), SECRET)).status == 401
        assert len(secret_reads) == 2
        service.clock.pass_seconds(61)
        assert post(service, request(service, provider_event(), SECRET)).status == 401
        assert len(secret_reads) == 3
    finally:
        events.unregister("provide-client-params.secretsmanager.GetSecretValue", record)


@pytest.mark.parametrize(
    ("outcome", "changes"),
    [
        ("received", {}),
        ("ignored", {"body": provider_event("batch.completed")}),
        ("bad_signature", {"secret": OTHER}),
        ("stale", {"ago": 1000}),
        ("malformed", {"body": f'{{"{CANARY}": 1}}'}),
        ("unknown_provider", {"provider": CANARY}),
        ("too_large", {"body": CANARY * 10_000}),
    ],
)
def test_outcome_is_one_line_with_one_metric(
    service: Deployed, capsys: pytest.CaptureFixture[str], outcome: str, changes: Json
) -> None:
    event = request(
        service,
        changes.get("body", provider_event()),
        changes.get("secret", SECRET),
        provider=changes.get("provider", "openai"),
        ago=changes.get("ago", 0),
    )
    capsys.readouterr()
    answer = post(service, event)
    printed = capsys.readouterr()
    assert printed.err == ""
    [line] = [json.loads(each) for each in printed.out.splitlines()]
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], [each["Name"] for each in directive["Metrics"]]) == (
        "Afterthought",
        ["ProviderEvents"],
    )
    [dimensions] = directive["Dimensions"]
    assert {name: line[name] for name in dimensions} == {"service": "provider_events", "outcome": outcome}
    assert line["ProviderEvents"] == [1.0]
    assert line["request_id"] == event["requestContext"]["requestId"]
    assert line.get("response_id") == (RESPONSE_ID if outcome == "received" else None)
    for text in (printed.out, json.dumps(answer.event)):
        assert CANARY not in text
        assert SECRET not in text
