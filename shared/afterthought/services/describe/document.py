"""The OpenAPI document, put together."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, get_args

from afterthought.domain.body import MAX_BODY_BYTES
from afterthought.domain.job import CONTENT_KEPT, DEADLINE, RECORD_KEPT, TERMINAL, Status
from afterthought.domain.schedule import MOST_DELIVERIES, delivery_seconds
from afterthought.services.describe import examples
from afterthought.services.describe.answers import answer_schemas
from afterthought.services.describe.refusals import REFUSALS, Row, refusals_of
from afterthought.services.describe.requests import request_schemas
from afterthought.services.describe.schema import of, ref

VERSION = "0.1.0"

_DAY = timedelta(days=1)
_ENDS = tuple(status for status in get_args(Status) if status in TERMINAL)
_ABOUT = f"""\
Ask a reasoning model over HTTP, get an id at once, and go on with your work. The model thinks for seconds or for an
hour; the answer, its tokens and its exact cost arrive by signed webhook or by GET.

The wire is OpenAI's Responses API: every OpenAI SDK is a client, given this service's base URL and one of its keys. All
that is this service's own is under one key, `afterthought`, in requests and in responses.

**Every POST answers at once**, with `queued`, whatever `background` says. Read the response until its status is one of
{", ".join(f"`{status}`" for status in _ENDS)}, or name a `webhook_url` and be told. A job that has not ended after
{DEADLINE // timedelta(hours=1)} hours fails with `deadline_exceeded`.

**What is kept.** The question and the answer for {CONTENT_KEPT // _DAY} days; then the response comes without them. Its
record (status, tokens, cost, times) for {RECORD_KEPT // _DAY} days; then there is no such response.

**Money is exact.** Dollars are decimal strings, by part, priced by the row that was in force when the model was called.

**Keys are sent** as `Authorization: Bearer at_…`. What belongs to another tenant does not exist: its id answers 404.
"""

_CREATE = f"""\
Checks the request, stores it, and answers with its id and the status `queued`. What is wrong gets a 4xx that names the
field and what is allowed, before anything is stored, queued or paid. The body may have {MAX_BODY_BYTES // 2**20} MiB.

With an `Idempotency-Key` the same request can be sent any number of times and makes one job: a repeat answers with the
job as it stands by then. The same key with another body is a 409.
"""

_EVENT = f"""\
Sent to the request's `afterthought.webhook_url` when the response has ended, signed by
[Standard Webhooks](https://www.standardwebhooks.com) with the tenant's secret, so that the `webhooks.unwrap()` of any
OpenAI SDK verifies it. Any 2xx accepts it; all else, redirects too, is tried again: {MOST_DELIVERIES} sends over about
{round(sum(map(delivery_seconds, range(1, MOST_DELIVERIES))) / 3600)} hours. It may come more than once: tell a repeat
by its `webhook-id`.
"""

_ERRORS = """\
A refusal is an `Error` with one of these codes; `param` names the field at fault. The header `x-should-retry` says
whether sending the same again can help. Too many requests at once are refused before they come here, with a 429 or 503
that has no such body: send again later.
"""

_REQUEST_ID = {
    "x-request-id": {"description": "Names the request in the service's logs.", "schema": {"type": "string"}}
}
_SHOULD_RETRY = {
    "x-should-retry": {
        "description": "Whether the same request may succeed later. OpenAI's SDKs obey it.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }
}


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterthought",
            "version": VERSION,
            "description": _text(_ABOUT),
            "x-example": examples.FIRST_PYTHON,
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in ("Responses", "Models", "Service")],
        "paths": _paths(),
        "webhooks": {f"response.{status}": {"post": _webhook(status)} for status in _ENDS},
        "x-errors": {
            "description": _text(_ERRORS),
            "codes": [
                {"status": row.status, "code": row.code, "when": row.when, "retryable": row.retryable}
                for row in REFUSALS
            ],
        },
        "components": {
            "schemas": {**request_schemas(), **answer_schemas()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key: `at_…`."}},
        },
    }


def _paths() -> dict[str, Any]:
    response, model = _parameter("path", "response_id", "`resp_…`"), _parameter("path", "model", "An id or a snapshot.")
    key = _parameter(
        "header",
        "Idempotency-Key",
        "1 to 255 visible ASCII characters of your choice. Names the job within your tenant, for as long as its record "
        "is kept.",
        required=False,
        schema=of("string", minLength=1, maxLength=255, pattern="^[!-~]+$"),
    )
    return {
        "/v1/responses": {
            "post": {
                **_operation("createResponse", "Responses", "Ask a model", _CREATE, parameters=[key]),
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": ref("CreateResponse"), "example": examples.REQUEST}},
                },
                "responses": _answers("createResponse", _json("Accepted.", "Response", examples.queued())),
                "x-codeSamples": _samples(examples.CREATE_CURL, examples.CREATE_PYTHON),
            }
        },
        "/v1/responses/{response_id}": {
            "get": {
                **_operation("retrieveResponse", "Responses", "See how it stands", "", parameters=[response]),
                "responses": _answers("retrieveResponse", _json("As it stands.", "Response", examples.completed())),
                "x-codeSamples": _samples(examples.RETRIEVE_CURL, examples.RETRIEVE_PYTHON),
            }
        },
        "/v1/models": {
            "get": {
                **_operation(
                    "listModels",
                    "Models",
                    "List the models",
                    "Every model that is or was served here, with its limits, "
                    "efforts, prices and end. A retired one says so and names its successor.",
                ),
                "responses": _answers("listModels", _json("All models.", "ModelList")),
                "x-codeSamples": _samples(examples.MODELS_CURL, examples.MODELS_PYTHON),
            }
        },
        "/v1/models/{model}": {
            "get": {
                **_operation("retrieveModel", "Models", "Look at one model", "", parameters=[model]),
                "responses": _answers("retrieveModel", _json("The model.", "Model")),
                "x-codeSamples": _samples(examples.MODEL_CURL, examples.MODEL_PYTHON),
            }
        },
        "/healthz": {
            "get": _open("healthz", "Whether the service runs", _json("It does.", "Health", {"status": "ok"}))
        },
        "/openapi.json": {
            "get": _open("openapi", "This document", _content("OpenAPI 3.1.", "application/json", {"type": "object"}))
        },
        "/docs": {"get": _open("docs", "The page you read", _content("HTML.", "text/html", {"type": "string"}))},
    }


def _operation(
    name: str, tag: str, summary: str, description: str, *, parameters: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"description": _text(description)} if description else {}),
        **({"parameters": list(parameters)} if parameters else {}),
    }


def _open(name: str, summary: str, success: dict[str, Any]) -> dict[str, Any]:
    """An operation that asks for no key."""
    return {**_operation(name, "Service", summary, ""), "security": [], "responses": {"200": success}}


def _webhook(status: str) -> dict[str, Any]:
    headers = (
        ("webhook-id", "The same at every send of this event to this endpoint."),
        ("webhook-timestamp", "When this send was signed, in seconds since 1970, UTC. Refuse what is old."),
        ("webhook-signature", "`v1,` and base64; while a secret is being rotated two, parted by a space."),
    )
    return {
        "operationId": f"on_response_{status}",
        "summary": f"The response is {status}",
        "description": _text(_EVENT),
        "security": [],
        "parameters": [_parameter("header", name, description) for name, description in headers],
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
        "x-codeSamples": [{"lang": "Python", "source": examples.WEBHOOK_PYTHON}],
    }


def _parameter(
    place: str, name: str, description: str, *, required: bool = True, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema or {"type": "string"},
    }


def _answers(operation: str, success: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": {**success, "headers": _REQUEST_ID},
        **{
            str(status): {
                **_json(_why(rows), "Error", examples.refusal() if status == 400 else None),
                "headers": {**_REQUEST_ID, **_SHOULD_RETRY},
            }
            for status, rows in refusals_of(operation).items()
        },
    }


def _why(rows: list[Row]) -> str:
    if len(rows) == 1:
        return f"`{rows[0].code}`: {rows[0].when}"
    return f"One of {', '.join(f'`{row.code}`' for row in rows)}."


def _json(description: str, schema: str, example: Any = None) -> dict[str, Any]:
    return _content(description, "application/json", ref(schema), example)


def _content(description: str, media: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    shown = {} if example is None else {"example": example}
    return {"description": description, "content": {media: {"schema": schema, **shown}}}


def _samples(curl: str, python: str) -> list[dict[str, str]]:
    return [
        {"lang": "Shell", "label": "curl", "source": curl},
        {"lang": "Python", "label": "openai SDK", "source": python},
    ]


def _text(text: str) -> str:
    """Paragraphs of one line each: CommonMark as it is meant to be read."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
