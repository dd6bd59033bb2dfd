"""The API's operations: what is asked for, and what is answered."""

import json
from collections.abc import Iterable
from typing import Any

from afterthought.domain.body import MAX_BODY_BYTES
from afterthought.domain.schedule import MOST_DELIVERIES, delivery_seconds
from afterthought.domain.usage import GROUPS, MOST_DAYS, STATUSES
from afterthought.services.describe import examples, snippets
from afterthought.services.describe.refusals import Row, refusals_of
from afterthought.services.describe.schema import array, of, one_line, one_of, ref

Wire = dict[str, Any]

_CREATE = f"""\
Checks the request, stores it, and answers with its id and the status `queued`. What is wrong gets a 4xx that names the
field and what is allowed, before anything is stored, queued or paid. The body may have {MAX_BODY_BYTES // 2**20} MiB.

With an `Idempotency-Key` the same request can be sent any number of times and makes one job: a repeat answers with the
job as it stands by then. The same key with another body is a 409.

**It cannot cost more than you allow.** The most that a job can cost is known before it runs: its bound, a true one and
no estimate. It is held, of the budgets of the month and the day, from the moment the job is accepted; when it ends, the
hold goes back and the cost comes on. What is above `afterthought.max_cost_usd`, or above what is left of a budget, is a
402. Without `max_output_tokens` the bound is that of the model's longest answer: set it, and more jobs fit.

**A dry run** (`afterthought.dry_run`) answers with the bound by part, the price row, the budgets, and every refusal
that the request would meet if it were new: it knows nothing of `Idempotency-Key`. Nothing is stored, held or counted.

**Rate limits** are requests and tokens of a minute of the clock, by tenant and model. Tokens are estimated (the input's
length, and `max_output_tokens` or what is typical of the model) and put right when the job ends within its minute. What
is left is in the `x-ratelimit-…` headers; a repeat and a dry run take nothing of it, and come without them. What a
budget refuses has taken its place in the minute all the same.
"""

_USAGE = """\
What your jobs used and cost from `start` to `end`, added up by `group_by`, and how your budgets stand now. The sums are
exact: they agree with the sum of the jobs to the last digit. (While jobs move, rows and budgets are read a moment
apart.) Money and tokens count on the day (UTC) on which a job's money was held, which is the day it was accepted,
however much later it ends.

**A job with several tags counts under each of them** when the rows are grouped by tag, so the rows may add up to more
than `total`, in which each job counts once.

With `Accept: text/csv` the rows come as a table (RFC 4180): a header line, the groups first, empty where the tag is
null; without the total and the budgets.
"""

_EVENT = f"""\
Sent to the request's `afterthought.webhook_url` when the response has ended, signed by
[Standard Webhooks](https://www.standardwebhooks.com) with the tenant's secret, so that the `webhooks.unwrap()` of any
OpenAI SDK verifies it. Any 2xx accepts it; all else, redirects too, is tried again: {MOST_DELIVERIES} sends over about
{round(sum(map(delivery_seconds, range(1, MOST_DELIVERIES))) / 3600)} hours. It may come more than once: tell a repeat
by its `webhook-id`.
"""

# What every answer has: shown once, in the words about refusals.
COMMON_HEADERS = {
    "x-request-id": {"description": "Names the request in the service's logs.", "schema": {"type": "string"}},
    "x-should-retry": {
        "description": "Whether the same request may succeed later. OpenAI's SDKs obey it.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
}
_REQUEST_ID = {"x-request-id": COMMON_HEADERS["x-request-id"]}
_RATE_LIMITS = {
    f"x-ratelimit-{what}-{kind}": {"description": words.format(kind), "schema": schema}
    for what, words, schema in (
        ("limit", "How many {} the tenant may send to this model in a minute.", of("string", pattern="^[0-9]+$")),
        ("remaining", "How many {} are left of this minute.", of("string", pattern="^[0-9]+$")),
        ("reset", "The time until the minute ends, and the {} are counted anew: `37s`, `1m0s`.", of("string")),
    )
    for kind in ("requests", "tokens")
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until the next minute begins.", "schema": of("string", pattern="^[0-9]+$")}
}


def paths() -> Wire:
    """The operations by path and verb."""
    document = _content("OpenAPI 3.1.", "application/json", {"type": "object"})
    return {
        "/v1/responses": {"post": _create()},
        "/v1/responses/{response_id}": {
            "get": _operation(
                "retrieveResponse",
                "Responses",
                "See how it stands",
                parameters=[_parameter("path", "response_id", "`resp_…`")],
                success=_json("As it stands.", "Response", examples.completed()),
                samples=(snippets.RETRIEVE_CURL, snippets.RETRIEVE_PYTHON),
            )
        },
        "/v1/usage": {"get": _usage()},
        "/v1/models": {
            "get": _operation(
                "listModels",
                "Models",
                "List the models",
                "Every model that is or was served here, with its limits, efforts, prices and end. A retired one says "
                "so and names its successor.",
                success=_json("All models.", "ModelList"),
                samples=(snippets.MODELS_CURL, snippets.MODELS_PYTHON),
            )
        },
        "/v1/models/{model}": {
            "get": _operation(
                "retrieveModel",
                "Models",
                "Look at one model",
                parameters=[_parameter("path", "model", "An id or a snapshot.")],
                success=_json("The model.", "Model"),
                samples=(snippets.MODEL_CURL, snippets.MODEL_PYTHON),
            )
        },
        "/healthz": {
            "get": _open("healthz", "Whether the service runs", _json("It does.", "Health", {"status": "ok"}))
        },
        "/openapi.json": {"get": _open("openapi", "This document", document)},
        "/docs": {"get": _open("docs", "The page you read", _content("HTML.", "text/html", {"type": "string"}))},
    }


def _create() -> Wire:
    key = _parameter(
        "header",
        "Idempotency-Key",
        "1 to 255 visible ASCII characters of your choice. Names the job within your tenant, for as long as its record "
        "is kept.",
        schema=of("string", minLength=1, maxLength=255, pattern="^[!-~]+$"),
    )
    success = {
        "description": "Accepted; or, of a dry run, what would come of it.",
        "content": {
            "application/json": {
                "schema": {"oneOf": [ref("Response"), ref("DryRun")]},
                "examples": {
                    "accepted": {"summary": "Accepted", "value": examples.queued()},
                    "dry run": {"summary": "A dry run", "value": examples.dry_run()},
                },
            }
        },
        "headers": _RATE_LIMITS,
    }
    operation = _operation(
        "createResponse",
        "Responses",
        "Ask a model",
        _CREATE,
        parameters=[key],
        success=success,
        samples=(snippets.CREATE_CURL, snippets.CREATE_PYTHON),
    )
    operation["x-codeSamples"].append(
        {"lang": "Python", "label": "openai SDK: what would it cost?", "source": snippets.DRY_RUN_PYTHON}
    )
    operation["responses"]["429"]["headers"] |= {**_RETRY_AFTER, **_RATE_LIMITS}
    body = {"schema": ref("CreateResponse"), "example": examples.REQUEST}
    return {**operation, "requestBody": {"required": True, "content": {"application/json": body}}}


def _usage() -> Wire:
    day = of("string", format="date")
    groups = {**array(one_of(GROUPS)), "minItems": 1, "uniqueItems": True}
    parameters = [
        _parameter(
            "query",
            "start",
            "The first day (UTC), such as `2026-11-01`. Without it, the first of the month of `end`.",
            schema=day,
        ),
        _parameter("query", "end", f"The last day, included. Without it, today. At most {MOST_DAYS} days.", schema=day),
        {
            **_parameter("query", "group_by", "Parted by commas. Without it, by all four.", schema=groups),
            "style": "form",
            "explode": False,
        },
        _parameter("query", "model", "Only jobs of this model, named as it was asked for."),
        _parameter("query", "tag", "Only jobs with this tag."),
        _parameter(
            "query", "status", "Only jobs that stand so; `open` is `queued` or `in_progress`.", schema=one_of(STATUSES)
        ),
    ]
    success = _json("What was used and spent.", "UsageReport", examples.usage())
    success["content"]["text/csv"] = {"schema": {"type": "string"}, "example": examples.usage_table()}
    return _operation(
        "readUsage",
        "Money",
        "See what was used and spent",
        _USAGE,
        parameters=parameters,
        success=success,
        samples=(snippets.USAGE_CURL, snippets.USAGE_PYTHON),
    )


def _operation(
    name: str,
    tag: str,
    summary: str,
    description: str = "",
    *,
    parameters: Iterable[Wire] = (),
    success: Wire,
    samples: tuple[str, str],
) -> Wire:
    curl, python = samples
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"description": one_line(description)} if description else {}),
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {
            "200": {**success, "headers": {**_REQUEST_ID, **success.get("headers", {})}},
            **{str(status): _refusal(status, rows) for status, rows in refusals_of(name).items()},
        },
        "x-codeSamples": [
            {"lang": "Shell", "label": "curl", "source": curl},
            {"lang": "Python", "label": "openai SDK", "source": python},
        ],
    }


def _open(name: str, summary: str, success: Wire) -> Wire:
    """An operation that asks for no key."""
    return {
        "operationId": name,
        "tags": ["Service"],
        "summary": summary,
        "security": [],
        "responses": {"200": success},
    }


def webhook(status: str) -> Wire:
    headers = (
        ("webhook-id", "The same at every send of this event to this endpoint."),
        ("webhook-timestamp", "When this send was signed, in seconds since 1970, UTC. Refuse what is old."),
        ("webhook-signature", "`v1,` and base64; while a secret is being rotated two, parted by a space."),
    )
    return {
        "operationId": f"on_response_{status}",
        "summary": f"The response is {status}",
        "description": one_line(_EVENT),
        "security": [],
        "parameters": [{**_parameter("header", name, words), "required": True} for name, words in headers],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": ref("Event"),
                    "example": {**json.loads(examples.event()), "type": f"response.{status}"},
                }
            },
        },
        "responses": {"2XX": {"description": "Received."}},
        "x-codeSamples": [{"lang": "Python", "source": snippets.WEBHOOK_PYTHON}],
    }


def _parameter(place: str, name: str, description: str, *, schema: Wire | None = None) -> Wire:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
    }


def _refusal(status: int, rows: list[Row]) -> Wire:
    codes = {row.code for row in rows}
    shown = {
        code: {"summary": code, "value": value} for code, value in examples.refusals(status).items() if code in codes
    }
    content = {"schema": ref("Error"), **({"examples": shown} if shown else {})}
    return {
        "description": _why(rows),
        "content": {"application/json": content},
        "headers": dict(COMMON_HEADERS),
    }


def _why(rows: list[Row]) -> str:
    if len(rows) == 1:
        return f"`{rows[0].code}`: {rows[0].when}"
    return f"One of {', '.join(f'`{row.code}`' for row in rows)}."


def _json(description: str, schema: str, example: Any = None) -> Wire:
    return _content(description, "application/json", ref(schema), example)


def _content(description: str, media: str, schema: Wire, example: Any = None) -> Wire:
    shown = {} if example is None else {"example": example}
    return {"description": description, "content": {media: {"schema": schema, **shown}}}
