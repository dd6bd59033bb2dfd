"""The HTTP API: read the request, call a service, shape the answer."""

import base64
import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.books import BookTable
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import InvalidRequest, NotFound, RequestRefused
from afterthought.domain.job import Job
from afterthought.domain.media_type import preferred
from afterthought.services.admit import Admit
from afterthought.services.authenticate import Authenticate
from afterthought.services.cancel import Cancel
from afterthought.services.describe import docs_page, openapi
from afterthought.services.dry_run import DryRun
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.models import Models
from afterthought.services.read import Read
from afterthought.services.submit import Submit
from afterthought.services.usage import ReadUsage

http = APIGatewayHttpResolver()


class Service:
    """The api's services, wired to AWS."""

    def __init__(self) -> None:
        account_table = settings.required("ACCOUNT_TABLE")
        accounts = AccountTable(aws.dynamodb(), account_table)
        books = BookTable(aws.dynamodb(), account_table)
        jobs = LedgerTable(aws.dynamodb(), settings.required("JOB_TABLE"), account_table)
        contents = Payloads(aws.dynamodb(), aws.s3, settings.required("JOB_TABLE"), settings.required("PAYLOAD_BUCKET"))
        providers = settings.listed("PROVIDERS")
        catalogue = default_catalogue()
        limit = RateLimiter(RateWindowTable(aws.dynamodb(), account_table), catalogue, clock.now)
        self.authenticate = Authenticate(accounts)
        self.admit = Admit(
            catalogue=catalogue,
            providers=providers,
            allowed_origins=frozenset(settings.listed("WEBHOOK_ALLOWED_ORIGINS")),
            clock=clock.now,
        )
        self.dry_run = DryRun(books, accounts, limit, clock.now)
        queue = SqsJobQueue(
            aws.sqs(),
            {"background": settings.required("JOB_QUEUE_URL"), "direct": settings.required("DIRECT_QUEUE_URL")},
        )
        self.submit = Submit(
            jobs=jobs,
            books=books,
            accounts=accounts,
            contents=contents,
            queue=queue,
            limit=limit,
            clock=clock.now,
            random_bytes=os.urandom,
        )
        self.cancel = Cancel(jobs, queue, clock.now)
        self.read = Read(jobs, contents, catalogue)
        self.usage = ReadUsage(books, accounts, clock.now)
        self.models = Models(catalogue, providers, clock.now)


@cache
def service() -> Service:
    return Service()


@http.post("/v1/responses")
def create_response() -> Response[str]:
    tenant = _tenant()
    admitted = service().admit(_body())
    if admitted.ours.dry_run:
        planned = service().models.lifecycle_headers(admitted.plan.model)
        return _json(200, service().dry_run(tenant, admitted), planned)
    submitted = service().submit(tenant, admitted, _header("idempotency-key"))
    log = telemetry.logger()
    if not submitted.enqueued:
        log.warning("the job's message was not sent; the sweeper will send it", job_id=submitted.job.id)
    new = () if submitted.repeated else (telemetry.counted("JobsSubmitted", model=submitted.job.model),)
    told = {"job_id": submitted.job.id, "tenant": tenant, **telemetry.figures_of(*new)}
    log.info("submitted", repeated=submitted.repeated or None, **told)
    rate = submitted.rate.headers() if submitted.rate else {}
    return _json(200, service().read.submitted(submitted), {**rate, **_lifecycle(submitted.job)})


@http.get("/v1/responses/<response_id>")
def retrieve_response(response_id: str) -> Response[str]:
    _no_query()
    job = service().read.job(_tenant(), response_id)
    return _json(200, service().read.show(job), _lifecycle(job))


@http.post("/v1/responses/<response_id>/cancel")
def cancel_response(response_id: str) -> Response[str]:
    _no_query()
    cancelled = service().cancel(_tenant(), response_id)
    job = cancelled.job
    if not cancelled.enqueued:
        telemetry.logger().warning("the cancel's message was not sent; the sweeper will send it", job_id=job.id)
    telemetry.logger().info("cancel asked for", job_id=job.id, status=job.status)
    return _json(200, service().read.show(job), _lifecycle(job))


@http.get("/v1/usage")
def read_usage() -> Response[str]:
    tenant = _tenant()
    asked = http.current_event.query_string_parameters
    if preferred(_header("accept"), ("application/json", "text/csv")) == "text/csv":
        return Response(200, "text/csv; charset=utf-8", service().usage.csv(tenant, asked), headers=_request_id())
    return _json(200, service().usage(tenant, asked))


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
    return _json(200, openapi())


@http.get("/docs")
def docs() -> Response[str]:
    return Response(200, "text/html; charset=utf-8", docs_page(), headers=_request_id())


def no_such_route(_: Exception) -> Response[str]:
    event = http.current_event
    return refuse(NotFound(f"There is no {event.http_method} {event.path[:80]}. See /docs.", code="unknown_url"))


def refuse(refused: RequestRefused) -> Response[str]:
    # OpenAI's SDKs retry a 409 and a 429 by themselves; this header tells them when that is of no use.
    headers = {**refused.headers, "x-should-retry": str(refused.retryable).lower()}
    # Not the field: where the caller got it wrong, its name can be a piece of a prompt.
    telemetry.logger().info("refused", status=refused.status, code=refused.code)
    return _json(refused.status, {"error": refused.wire()}, headers)


http.exception_handler(RequestRefused)(refuse)
http.exception_handler(NotFoundError)(no_such_route)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    log = telemetry.begin(context)
    log.append_keys(request_id=event.get("requestContext", {}).get("requestId"))
    try:
        return http.resolve(event, context)
    except Exception:
        # The border of a request: whatever it is, the caller gets an answer in our form, and may try again.
        log.exception("the request failed")
        failed = {"message": "Something went wrong here. Try again.", "type": "server_error", "param": None}
        return {
            "statusCode": 500,
            "headers": {
                "content-type": "application/json",
                "x-request-id": event.get("requestContext", {}).get("requestId") or "",
                "x-should-retry": "true",
            },
            "body": json.dumps({"error": {**failed, "code": "internal_error"}}),
        }


def _tenant() -> str:
    tenant = service().authenticate(_header("authorization"))
    telemetry.logger().append_keys(tenant=tenant)
    return tenant


def _no_query() -> None:
    """A parameter that would be ignored is refused: an SDK that asks for a stream would wait for events in vain."""
    for name, value in http.current_event.query_string_parameters.items():
        if (name, value) != ("stream", "false"):
            shown = name[:80]
            raise InvalidRequest(
                f"The query parameter '{shown}' is not supported here.", param=shown, code="unknown_parameter"
            )


def _lifecycle(job: Job) -> dict[str, str]:
    return service().models.lifecycle_headers(job.called_model)


def _header(name: str) -> str | None:
    return http.current_event.headers.get(name)


def _body() -> bytes:
    event = http.current_event.raw_event
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        # Half a surrogate pair passes here and is refused as invalid UTF-8 where the body is read.
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise InvalidRequest("The body is not valid base64.", code="invalid_json") from None


def _request_id() -> dict[str, str | list[str]]:
    return {"x-request-id": http.current_event.raw_event["requestContext"]["requestId"]}


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response[str]:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, "application/json", text, headers={**_request_id(), **(headers or {})})
