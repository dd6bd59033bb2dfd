"""The provider events: a model provider's webhook says that a response has ended; verify it, and queue its name."""

import base64
import json
from functools import cache
from typing import Any

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.event_queue import SqsEventQueue
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.services.run.receive_event import Outcome, Received, ReceiveEvent

# Providers send again what is not answered 2xx, each time signed anew. So what may help then is refused (`stale`,
# `unavailable`, a secret that is not here yet), and what nobody here waits for is not.
ANSWERS: dict[Outcome, tuple[int, str]] = {
    "received": (200, ""),
    "ignored": (200, ""),
    "unknown_provider": (404, "No webhook of a provider of this name is set up here."),
    "unsigned": (401, "The message is not signed: webhook-id, webhook-timestamp and webhook-signature are needed."),
    "bad_signature": (401, "The signature matches none of the secrets that are set up here."),
    "stale": (400, "The message was signed more than five minutes from now."),
    "malformed": (400, "The body is not an event."),
    "too_large": (413, "The body is too large for an event."),
    "unavailable": (503, "The event could not be taken. Send it again."),
}


@cache
def service() -> ReceiveEvent:
    return ReceiveEvent(
        secrets=ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN")),
        queue=SqsEventQueue(aws.sqs(), settings.required("JOB_QUEUE_URL")),
        clock=clock.now,
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    log = telemetry.begin(context)
    provider = str((event.get("pathParameters") or {}).get("provider"))
    request_id = str(event.get("requestContext", {}).get("requestId"))
    try:
        received = service()(provider, _headers(event), _body(event))
    except Exception:
        # The border of a request: the provider will send it again, and the sweeper finds the job without it.
        log.warning("an event could not be taken", request_id=request_id, exc_info=True)
        received = Received("unavailable")
    log.info(
        "an event",
        # What was not verified may have been called anything.
        provider=None if received.outcome == "unknown_provider" else provider,
        response_id=received.response_id,
        reason=received.reason,
        request_id=request_id,
        **telemetry.figures_of(telemetry.counted("ProviderEvents", outcome=received.outcome)),
    )
    return _answer(received.outcome, request_id)


def _headers(event: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}


def _body(event: dict[str, Any]) -> bytes:
    """The bytes that were signed. What is not what the gateway says it is, no signature will match."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return b""


def _answer(outcome: Outcome, request_id: str) -> dict[str, Any]:
    status, message = ANSWERS[outcome]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    refused = {"error": {"message": message, "type": kind, "param": None, "code": outcome}}
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "x-request-id": request_id},
        "body": json.dumps({"outcome": outcome} if status < 300 else refused),
    }
