"""Examples: code to paste, and answers that are rendered by the service's own code from an invented job."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from afterthought.domain import job
from afterthought.domain.event import CompletionEvent
from afterthought.domain.job import Job
from afterthought.domain.pricing import Cost, Price, Usage, cost, price_id
from afterthought.domain.response import Answer, render

_ACCEPTED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_TAKEN = _ACCEPTED + timedelta(milliseconds=640)
_ENDED = _ACCEPTED + timedelta(seconds=14, milliseconds=205)

REQUEST: dict[str, Any] = {
    "model": "o3",
    "input": "What is 17 times 23?",
    "reasoning": {"effort": "high"},
    "metadata": {"order": "4711"},
    "afterthought": {"webhook_url": "https://example.com/hooks/afterthought"},
}
PRICE = Price(
    id=price_id("o3", "standard", date(2025, 6, 10)),
    model="o3",
    tier="standard",
    effective_from=date(2025, 6, 10),
    input=Decimal(2),
    cached_input=Decimal("0.5"),
    output=Decimal(8),
)
_USAGE = Usage(input_tokens=15, output_tokens=413, reasoning_tokens=384)


def queued() -> dict[str, Any]:
    """The answer to POST /v1/responses."""
    return render(_job(), REQUEST, None, stand_in=False)


def completed() -> dict[str, Any]:
    """The answer to GET /v1/responses/{id} once the model has thought."""
    bill = cost(_USAGE, PRICE)
    return render(_finished(bill), REQUEST, Answer(output=_OUTPUT, cost=bill), stand_in=False)


def event() -> str:
    """The body of a webhook."""
    return CompletionEvent.of(_finished(cost(_USAGE, PRICE))).payload().decode()


def refusal() -> dict[str, Any]:
    return {
        "error": {
            "message": "o3 does not take the effort 'max'; it takes low, medium, high.",
            "type": "invalid_request_error",
            "param": "reasoning.effort",
            "code": "unsupported_value",
        }
    }


_OUTPUT = (
    {"id": "rs_1", "type": "reasoning", "summary": []},
    {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "17 × 23 = 391.", "annotations": []}],
    },
)


def _job() -> Job:
    return job.accept(
        id="resp_" + "7d1f0c5a2b9e4836" * 3,
        tenant="acme",
        model="o3",
        effort="high",
        max_output_tokens=None,
        service_tier="default",
        body_hash="",
        webhook=True,
        hold_usd=Decimal("0.80115"),
        now=_ACCEPTED,
    )


def _finished(bill: Cost) -> Job:
    called = _job().begin(token="", provider="openai", now=_TAKEN - timedelta(milliseconds=210))
    taken = called.submitted(response_id="resp_at_the_provider", now=_TAKEN, check_seconds=5)
    return taken.settled(
        "completed",
        now=_ENDED,
        served_model="o3-2025-04-16",
        usage=_USAGE,
        price_id=bill.price_id,
        cost_usd=bill.total_usd,
    )


CREATE_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/responses" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: order-4711" \\
  -d '{
    "model": "o3",
    "input": "What is 17 times 23?",
    "reasoning": {"effort": "high"},
    "metadata": {"order": "4711"},
    "afterthought": {"webhook_url": "https://example.com/hooks/afterthought"}
  }'
"""

_CLIENT = """\
from openai import OpenAI

client = OpenAI(base_url=os.environ["AFTERTHOUGHT_URL"] + "/v1", api_key=os.environ["AFTERTHOUGHT_KEY"])
"""

CREATE_PYTHON = f"""\
import os

{_CLIENT}
response = client.responses.create(
    model="o3",
    input="What is 17 times 23?",
    reasoning={{"effort": "high"}},
    metadata={{"order": "4711"}},
    background=True,
    extra_headers={{"Idempotency-Key": "order-4711"}},
    extra_body={{"afterthought": {{"webhook_url": "https://example.com/hooks/afterthought"}}}},
)
print(response.id, response.status)  # resp_… queued
"""

RETRIEVE_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/responses/$RESPONSE_ID" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY"
"""

FIRST_PYTHON = f"""\
import os
import time

{_CLIENT}
response = client.responses.create(model="o3", input="What is 17 times 23?", background=True)
while response.status in ("queued", "in_progress"):
    time.sleep(2)
    response = client.responses.retrieve(response.id)
print(response.output_text)
print(response.afterthought["cost"]["total_usd"])  # 0.003334
"""

RETRIEVE_PYTHON = f"""\
import os

{_CLIENT}
response = client.responses.retrieve(os.environ["RESPONSE_ID"])
print(response.status, response.output_text)
print(response.usage)
print(response.afterthought["cost"], response.afterthought["timeline"])
"""

MODELS_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/models" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY"
"""

MODELS_PYTHON = f"""\
import os

{_CLIENT}
for model in client.models.list():
    print(model.id, model.afterthought["efforts"], model.shutdown_date)
"""

MODEL_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/models/o3" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY"
"""

MODEL_PYTHON = f"""\
import os

{_CLIENT}
print(client.models.retrieve("o3").afterthought["usd_per_million_tokens"])
"""

WEBHOOK_PYTHON = """\
import os

from openai import InvalidWebhookSignatureError, OpenAI

client = OpenAI(
    base_url=os.environ["AFTERTHOUGHT_URL"] + "/v1",
    api_key=os.environ["AFTERTHOUGHT_KEY"],
    webhook_secret=os.environ["AFTERTHOUGHT_WEBHOOK_SECRET"],
)


def receive(body: bytes, headers: dict[str, str]) -> int:
    try:
        event = client.webhooks.unwrap(body, headers)
    except InvalidWebhookSignatureError:
        return 400
    if event.type == "response.completed":
        print(client.responses.retrieve(event.data.id).output_text)
    return 200
"""
