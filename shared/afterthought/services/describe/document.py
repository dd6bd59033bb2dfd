"""The OpenAPI document, put together."""

from datetime import timedelta
from typing import Any, get_args

from afterthought.domain.job import CONTENT_KEPT
from afterthought.domain.record import RECORD_KEPT, TERMINAL, Status
from afterthought.domain.request.options import MAX_DEADLINE_SECONDS
from afterthought.services.describe import snippets
from afterthought.services.describe.answers import answer_schemas
from afterthought.services.describe.operations import paths, webhook
from afterthought.services.describe.refusals import REFUSALS
from afterthought.services.describe.requests import request_schemas
from afterthought.services.describe.schema import one_line

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
{MAX_DEADLINE_SECONDS // 3600} hours, or the `deadline_seconds` that you give it, fails with `deadline_exceeded`.

**What is kept.** The question and the answer for {CONTENT_KEPT // _DAY} days; then the response comes without them. Its
record (status, tokens, cost, times) for {RECORD_KEPT // _DAY} days; then there is no such response.

**Money is exact.** Dollars are decimal strings, by part, priced by the row that was in force when the model was called.

**Money cannot be overspent.** What a job can cost at most is held of its tenant's budgets before it runs, and refused
with a 402 where it does not fit; `afterthought.max_cost_usd` bounds a single job. `GET /v1/usage` adds it all up.

**Keys are sent** as `Authorization: Bearer at_…`. What belongs to another tenant does not exist: its id answers 404.
"""

_ERRORS = """\
A refusal is an `Error` with one of these codes; `param` names the field at fault, and the figures of a refusal that has
any are in `error.afterthought`. The header `x-should-retry` says whether sending the same again can help;
`x-request-id`, on every answer, names it in the service's logs. Too many requests at once, of all tenants together, are
refused before they come here, with a 429 or 503 that has no such body: send again later.
"""


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterthought",
            "version": VERSION,
            "description": one_line(_ABOUT),
            "x-example": snippets.FIRST_PYTHON,
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in ("Responses", "Money", "Models", "Service")],
        "paths": paths(),
        "webhooks": {f"response.{status}": {"post": webhook(status)} for status in _ENDS},
        "x-errors": {
            "description": one_line(_ERRORS),
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
