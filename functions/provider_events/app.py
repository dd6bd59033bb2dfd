"""The provider_events function: verifies a model provider's webhook and queues the id of the response that ended."""

import base64
import json
from functools import cache
from typing import Any

from afterthought.adapters import telemetry
from afterthought.composition import provider_events as composition
from afterthought.services.run.receive_event import Outcome, ProviderEventReceiver, ReceivedEvent

# A provider retries an event that gets no 2xx, with a new signature. So an event is refused if a retry may succeed
# (`stale`, `unavailable`, a secret that is not configured yet), and an event of another type is accepted.
RESPONSES: dict[Outcome, tuple[int, str]] = {
    "received": (200, ""),
    "ignored": (200, ""),
    "unknown_provider": (404, "No webhook is configured for a provider of this name."),
    "unsigned": (401, "The headers webhook-id, webhook-timestamp and webhook-signature are required."),
    "bad_signature": (401, "The signature does not match any configured secret."),
    "stale": (400, "The timestamp differs from the current time by more than five minutes."),
    "malformed": (400, "The body is not an event."),
    "too_large": (413, "The body is too large for an event."),
    "unavailable": (503, "The event could not be queued. Send it again."),
}


@cache
def service() -> ProviderEventReceiver:
    return composition.from_environment()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    log = telemetry.init_invocation(context)
    provider = str((event.get("pathParameters") or {}).get("provider"))
    request_id = str(event.get("requestContext", {}).get("requestId"))
    try:
        received = service().receive(provider, _headers(event), _body(event))
    except Exception:
        # The provider sends the event again after a 503, and polling finds the job without it.
        log.warning("provider event failed", request_id=request_id, exc_info=True)
        received = ReceivedEvent("unavailable")
    log.info(
        "provider event received",
        # The name in an unverified request can be any text.
        provider=None if received.outcome == "unknown_provider" else provider,
        response_id=received.response_id,
        reason=received.reason,
        request_id=request_id,
        **telemetry.emf_fields(telemetry.count("ProviderEvents", outcome=received.outcome)),
    )
    return _response(received.outcome, request_id)


def _headers(event: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}


def _body(event: dict[str, Any]) -> bytes:
    """The raw bytes that were signed. For invalid base64 it is empty, which no signature matches."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return b""


def _response(outcome: Outcome, request_id: str) -> dict[str, Any]:
    status, message = RESPONSES[outcome]
    error_type = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": error_type, "param": None, "code": outcome}
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "x-request-id": request_id},
        "body": json.dumps({"outcome": outcome} if status < 300 else {"error": error}),
    }
