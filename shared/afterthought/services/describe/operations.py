"""The API's operations: what is asked for, and what is answered."""

import json
from collections.abc import Iterable
from typing import Any

from afterthought.domain.usage_report import GROUPS, MAX_DAYS, STATUSES
from afterthought.services.describe import examples, headers, snippets, texts
from afterthought.services.describe.refusals import Row, refusals_of
from afterthought.services.describe.schema import array, of, one_line, one_of, ref

Wire = dict[str, Any]

# What every answer has: shown once, in the words about refusals.
COMMON_HEADERS = {
    "x-request-id": {"description": "Names the request in the service's logs.", "schema": {"type": "string"}},
    "x-should-retry": {
        "description": "Whether the same request may succeed later. OpenAI's SDKs obey it.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
}
_REQUEST_ID = {"x-request-id": COMMON_HEADERS["x-request-id"]}


def paths() -> Wire:
    """The operations by path and verb."""
    document = _content("OpenAPI 3.1.", "application/json", {"type": "object"})
    return {
        "/v1/responses": {"post": _create()},
        "/v1/responses/{response_id}": {"get": _retrieve()},
        "/v1/responses/{response_id}/cancel": {"post": _cancel()},
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
                    "successor": {"summary": "A dry run, of a retired model", "value": examples.substitution()},
                },
            }
        },
        "headers": {**headers.RATE_LIMITS, **headers.LIFECYCLE},
    }
    operation = _operation(
        "createResponse",
        "Responses",
        "Ask a model",
        texts.CREATE,
        parameters=[key],
        success=success,
        samples=(snippets.CREATE_CURL, snippets.CREATE_PYTHON),
    )
    operation["x-codeSamples"].append(
        {"lang": "Python", "label": "openai SDK: what would it cost?", "source": snippets.DRY_RUN_PYTHON}
    )
    operation["responses"]["429"]["headers"] |= {**headers.RETRY_AFTER, **headers.RATE_LIMITS}
    body = {"schema": ref("CreateResponse"), "example": examples.REQUEST}
    return {**operation, "requestBody": {"required": True, "content": {"application/json": body}}}


def _retrieve() -> Wire:
    return _operation(
        "retrieveResponse",
        "Responses",
        "See how it stands",
        parameters=[_parameter("path", "response_id", "`resp_…`")],
        success={**_json("As it stands.", "Response", examples.completed()), "headers": headers.LIFECYCLE},
        samples=(snippets.RETRIEVE_CURL, snippets.RETRIEVE_PYTHON),
    )


def _cancel() -> Wire:
    success = _json("As it stands afterwards.", "Response", examples.cancelled())
    return _operation(
        "cancelResponse",
        "Responses",
        "Do without the answer",
        texts.CANCEL,
        parameters=[_parameter("path", "response_id", "`resp_…`")],
        success={**success, "headers": headers.LIFECYCLE},
        samples=(snippets.CANCEL_CURL, snippets.CANCEL_PYTHON),
    )


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
        _parameter("query", "end", f"The last day, included. Without it, today. At most {MAX_DAYS} days.", schema=day),
        {
            **_parameter("query", "group_by", "Parted by commas. Without it, by all four.", schema=groups),
            "style": "form",
            "explode": False,
        },
        _parameter("query", "model", "Only jobs that called this model, named as in `model` of the rows."),
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
        texts.USAGE,
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
        "description": one_line(texts.EVENT),
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
