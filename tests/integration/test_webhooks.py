"""The webhooks function on the topic's messages: it signs webhooks and sends them again until they are accepted."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest

from afterthought.adapters import aws
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.domain.schedule import delivery_seconds
from afterthought.services.tenants import Tenants
from local.standin import StandIn
from tests.integration.conftest import deploy
from tests.integration.deployed import PROVIDER_KEY, Deployed, sample

Json = dict[str, Any]

KEY = "local-key-acme"


class Receiver(ThreadingHTTPServer):
    """A caller's endpoint that answers with `status` and keeps its requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@pytest.fixture
def service(receiver: Receiver) -> Iterator[Deployed]:
    """A local stack, which allows its own receiver."""
    yield from deploy(WebhookAllowedOrigins=receiver.origin)


def finish(service: Deployed, standin: StandIn, url: str | None) -> Json:
    """Runs a job to its end and publishes it. Returns the message for the webhooks function, in flight."""
    service.provide(standin={"api_key": PROVIDER_KEY, "base_url": standin.base_url})
    request: Json = {"model": "gpt-4o", "input": "What is 17 times 23?"}
    if url is not None:
        request["afterthought"] = {"webhook_url": url}
    answer = service.call("POST", "/v1/responses", request, key=KEY)
    assert answer.status == 200, answer.event
    [record] = sample("worker")["Records"]
    for _ in range(2):
        service.invoke("Worker", {"Records": [{**record, "body": json.dumps({"job_id": answer.body["id"]})}]})
        service.clock.pass_seconds(5)
    service.invoke("Notifier", {"Records": service.stream_records()[-1:]})
    [message] = service.receive("WebhookQueue")
    return message


def deliver(service: Deployed, *records: Json) -> list[str]:
    """The ids of the messages that were not handled."""
    answer = service.invoke("Webhooks", {"Records": list(records)})
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def received_again(message: Json, receives: int) -> Json:
    return {**message, "attributes": {**message["attributes"], "ApproximateReceiveCount": str(receives)}}


def test_sdk_accepts_the_webhook(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    secret = service.make_tenant("acme", api_key=KEY).webhook_secret
    message = finish(service, standin, f"{receiver.origin}/hook?token=t")
    assert deliver(service, message) == []
    [(headers, body)] = receiver.received
    # The test moved the service's clock, not the SDK's.
    with openai.OpenAI(api_key="unused") as client:
        event = client.webhooks.unwrap(body.decode(), headers, secret=secret)
    assert event.type == "response.completed"
    assert service.call("GET", f"/v1/responses/{event.data.id}", key=KEY).body["status"] == "completed"
    assert body.decode() == message["body"]


def test_both_secrets_of_a_rotation_verify(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    old = service.make_tenant("acme", api_key=KEY).webhook_secret
    accounts = AccountTable(aws.dynamodb(), "AccountTable")
    cipher = KmsCipher(aws.kms(), service.refs["SecretsKey"])
    new = Tenants(accounts, cipher, service.clock.now, lambda size: b"r" * size).rotate_secret("acme").webhook_secret
    assert deliver(service, finish(service, standin, receiver.origin)) == []
    [(headers, body)] = receiver.received
    for secret in (old, new):
        with openai.OpenAI(api_key="unused") as client:
            assert client.webhooks.unwrap(body.decode(), headers, secret=secret).type == "response.completed"


def test_delivered_webhook_is_not_repeated(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    service.make_tenant("acme", api_key=KEY)
    message = finish(service, standin, receiver.origin)
    assert deliver(service, message, message) == []
    assert deliver(service, message) == []
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [301, 400, 410, 500])
def test_refused_webhook_is_repeated(service: Deployed, standin: StandIn, receiver: Receiver, status: int) -> None:
    service.make_tenant("acme", api_key=KEY)
    message = finish(service, standin, receiver.origin)
    receiver.status = status
    assert deliver(service, message) == [message["messageId"]]
    receiver.status = 200
    service.clock.pass_seconds(30)
    assert deliver(service, received_again(message, 2)) == []
    (first, first_body), (second, second_body) = receiver.received
    assert first["webhook-id"] == second["webhook-id"]
    assert first_body == second_body
    assert first["webhook-timestamp"] < second["webhook-timestamp"]
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("receives", [1, 2, 5, 9, 10])
def test_failed_webhook_backs_off(service: Deployed, standin: StandIn, receiver: Receiver, receives: int) -> None:
    service.make_tenant("acme", api_key=KEY)
    message = finish(service, standin, receiver.origin)
    receiver.status = 503
    changes: list[Json] = []

    def note(params: Json, **_: Any) -> None:
        changes.append(params)

    events = aws.sqs().meta.events
    events.register("provide-client-params.sqs.ChangeMessageVisibility", note)
    try:
        assert deliver(service, received_again(message, receives)) == [message["messageId"]]
    finally:
        events.unregister("provide-client-params.sqs.ChangeMessageVisibility", note)
    [change] = changes
    assert change["VisibilityTimeout"] == delivery_seconds(receives) < 43_200
    assert change["ReceiptHandle"] == message["receiptHandle"]
    assert change["QueueUrl"] == service.refs["WebhookQueue"]
    assert service.receive("WebhookQueue") == []


def test_invalid_message_fails_alone(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    service.make_tenant("acme", api_key=KEY)
    message = finish(service, standin, receiver.origin)
    bad = [{**message, "messageId": f"bad-{n}", "body": body} for n, body in enumerate(["", "{", "{}", "[]", "null"])]
    assert deliver(service, *bad[:2], message, *bad[2:]) == [f"bad-{n}" for n in range(5)]
    assert len(receiver.received) == 1


def test_message_of_missing_job_is_dropped(service: Deployed, receiver: Receiver) -> None:
    assert service.invoke("Webhooks", sample("webhooks")) == {"batchItemFailures": []}
    assert receiver.received == []


def test_copied_secret_signs_nothing(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    service.make_tenant("acme", api_key=KEY)
    service.make_tenant("globex", api_key="other")
    message = finish(service, standin, receiver.origin)
    items = {item["pk"]["S"]: item for item in service.items("AccountTable") if item["sk"] == {"S": "TENANT"}}
    stolen = {**items["TENANT#acme"], "webhook_secrets": items["TENANT#globex"]["webhook_secrets"]}
    aws.dynamodb().put_item(TableName="AccountTable", Item=stolen)
    assert deliver(service, message) == [message["messageId"]]
    assert receiver.received == []


def test_removed_origin_is_not_called(service: Deployed, standin: StandIn, receiver: Receiver) -> None:
    service.make_tenant("acme", api_key=KEY)
    message = finish(service, standin, receiver.origin)
    service._environments["Webhooks"]["WEBHOOK_ALLOWED_ORIGINS"] = ""
    assert deliver(service, message) == [message["messageId"]]
    assert receiver.received == []
