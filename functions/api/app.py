"""The api function: reads an HTTP request, calls a service, builds the HTTP response."""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from afterthought.adapters import telemetry
from afterthought.composition import api as composition
from afterthought.composition.api import ApiServices
from afterthought.domain.errors import InvalidRequest, NotFound, RequestRefused
from afterthought.domain.jobs.job import Job
from afterthought.domain.wire.media_type import preferred_media_type

http = APIGatewayHttpResolver()


@cache
def service() -> ApiServices:
    return composition.from_environment()


@http.post("/v1/responses")
def create_response() -> Response[str]:
    tenant = _tenant()
    admitted = service().admitter.admit(_body())
    if admitted.options.dry_run:
        lifecycle = service().models.deprecation_headers(admitted.call_spec.model)
        return _json(200, service().dry_runner.run(tenant, admitted), lifecycle)
    submitted = service().intake.submit(tenant, admitted, _header("idempotency-key"))
    log = telemetry.logger()
    if not submitted.enqueued:
        log.warning("job message not sent; the sweeper will send it unless the job has ended", job_id=submitted.job.id)
    metrics = () if submitted.repeated else (telemetry.count("JobsSubmitted", model=submitted.job.model),)
    fields = {"job_id": submitted.job.id, "tenant": tenant, **telemetry.emf_fields(*metrics)}
    log.info("job submitted", repeated=submitted.repeated or None, **fields)
    rate = submitted.rate.headers() if submitted.rate else {}
    return _json(200, service().reader.show_submission(submitted), {**rate, **_lifecycle(submitted.job)})


@http.get("/v1/responses/<response_id>")
def retrieve_response(response_id: str) -> Response[str]:
    _no_query()
    job = service().reader.get(_tenant(), response_id)
    return _json(200, service().reader.show(job), _lifecycle(job))


@http.post("/v1/responses/<response_id>/cancel")
def cancel_response(response_id: str) -> Response[str]:
    _no_query()
    cancelled = service().canceller.cancel(_tenant(), response_id)
    job, log = cancelled.job, telemetry.logger()
    if not cancelled.enqueued:
        log.warning("job message not sent; the sweeper will send it unless the job has ended", job_id=job.id)
    log.info("cancel requested", job_id=job.id, status=job.status)
    return _json(200, service().reader.show(job), _lifecycle(job))


@http.get("/v1/usage")
def read_usage() -> Response[str]:
    tenant = _tenant()
    query = http.current_event.query_string_parameters
    if preferred_media_type(_header("accept"), ("application/json", "text/csv")) == "text/csv":
        return Response(200, "text/csv; charset=utf-8", service().usage.csv(tenant, query), headers=_request_id())
    return _json(200, service().usage.report(tenant, query))


@http.get("/v1/models")
def list_models() -> Response[str]:
    _tenant()
    return _json(200, service().models.list())


@http.get("/v1/models/<model>")
def retrieve_model(model: str) -> Response[str]:
    _tenant()
    return _json(200, service().models.get(model))


@http.get("/healthz")
def healthz() -> Response[str]:
    return _json(200, {"status": "ok"})


@http.get("/openapi.json")
def openapi_document() -> Response[str]:
    return _generated("openapi.json", "application/json")


@http.get("/docs")
def docs() -> Response[str]:
    return _generated("docs.html", "text/html; charset=utf-8")


def no_such_route(_: Exception) -> Response[str]:
    event = http.current_event
    return refuse(NotFound(f"There is no {event.http_method} {event.path[:80]}. See /docs.", code="unknown_url"))


def refuse(error: RequestRefused) -> Response[str]:
    # OpenAI's SDKs retry a 409 and a 429 unless this header is "false".
    headers = {**error.headers, "x-should-retry": str(error.retryable).lower()}
    # Without the field's name: in a malformed request it can be a part of a prompt.
    telemetry.logger().info("request refused", http_status=error.status, code=error.code)
    return _json(error.status, {"error": error.wire()}, headers)


http.exception_handler(RequestRefused)(refuse)
http.exception_handler(NotFoundError)(no_such_route)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    log = telemetry.init_invocation(context)
    log.append_keys(request_id=event.get("requestContext", {}).get("requestId"))
    try:
        return http.resolve(event, context)
    except Exception:
        # Any unexpected error becomes a 500 in the service's error format, which the caller may retry.
        log.exception("request failed")
        error = {"message": "Something went wrong here. Try again.", "type": "server_error", "param": None}
        return {
            "statusCode": 500,
            "headers": {
                "content-type": "application/json",
                "x-request-id": event.get("requestContext", {}).get("requestId") or "",
                "x-should-retry": "true",
            },
            "body": json.dumps({"error": {**error, "code": "internal_error"}}),
        }


def _tenant() -> str:
    tenant = service().authenticator.authenticate(_header("authorization"))
    telemetry.logger().append_keys(tenant=tenant)
    return tenant


def _no_query() -> None:
    """Refuses query parameters instead of ignoring them: an SDK that asks for a stream would wait for events."""
    for name, value in http.current_event.query_string_parameters.items():
        if (name, value) != ("stream", "false"):
            param = name[:80]
            raise InvalidRequest(
                f"The query parameter '{param}' is not supported here.", param=param, code="unknown_parameter"
            )


def _lifecycle(job: Job) -> dict[str, str]:
    return service().models.deprecation_headers(job.called_model)


def _header(name: str) -> str | None:
    return http.current_event.headers.get(name)


def _body() -> bytes:
    event = http.current_event.raw_event
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        # A lone surrogate passes here; parsing then refuses it as invalid UTF-8.
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise InvalidRequest("The body is not valid base64.", code="invalid_json") from None


def _generated(name: str, content_type: str) -> Response[str]:
    """A file that `make docs` generates next to this module."""
    content = (Path(__file__).parent / name).read_text(encoding="utf-8")
    headers = {**_request_id(), "cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}
    return Response(200, content_type, content, headers=headers)


def _request_id() -> dict[str, str | list[str]]:
    return {"x-request-id": http.current_event.raw_event["requestContext"]["requestId"]}


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response[str]:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, "application/json", text, headers={**_request_id(), **(headers or {})})
