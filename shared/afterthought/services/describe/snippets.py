"""Code to paste. The tests run it as it stands."""

CREATE_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/responses" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: order-4711" \\
  -d '{
    "model": "o3",
    "input": "What is 17 times 23?",
    "reasoning": {"effort": "high"},
    "max_output_tokens": 4000,
    "metadata": {"order": "4711"},
    "afterthought": {
      "webhook_url": "https://example.com/hooks/afterthought",
      "max_cost_usd": "0.05",
      "tags": ["checkout", "team/blue"]
    }
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
    max_output_tokens=4000,
    metadata={{"order": "4711"}},
    background=True,
    extra_headers={{"Idempotency-Key": "order-4711"}},
    extra_body={{
        "afterthought": {{
            "webhook_url": "https://example.com/hooks/afterthought",
            "max_cost_usd": "0.05",
            "tags": ["checkout", "team/blue"],
        }}
    }},
)
print(response.id, response.status)  # resp_… queued
"""

DRY_RUN_PYTHON = f"""\
import os

{_CLIENT}
answer = client.responses.create(
    model="o3",
    input="What is 17 times 23?",
    max_output_tokens=4000,
    extra_body={{"afterthought": {{"dry_run": True, "max_cost_usd": "0.02"}}}},
)
print("up to", answer.afterthought["bound"]["total_usd"])
for refusal in answer.afterthought["would_refuse"]:
    print(refusal["status"], refusal["code"], refusal["message"])
"""

USAGE_CURL = """\
curl "$AFTERTHOUGHT_URL/v1/usage?start=2026-11-01&group_by=tag,status" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY"

# As a table:
curl "$AFTERTHOUGHT_URL/v1/usage?start=2026-11-01" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY" \\
  -H "Accept: text/csv" > usage.csv
"""

USAGE_PYTHON = f"""\
import os

{_CLIENT}
usage = client.get("/usage", cast_to=object, options={{"params": {{"group_by": "tag,status"}}}})
for row in usage["data"]:
    print(row["tag"], row["status"], row["jobs"], row["spent_usd"])
for budget in usage["budgets"]:
    print(budget["name"], budget["left_usd"], "left of", budget["cap_usd"])
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

CANCEL_CURL = """\
curl -X POST "$AFTERTHOUGHT_URL/v1/responses/$RESPONSE_ID/cancel" \\
  -H "Authorization: Bearer $AFTERTHOUGHT_KEY"
"""

CANCEL_PYTHON = f"""\
import os

{_CLIENT}
response = client.responses.cancel(os.environ["RESPONSE_ID"])
print(response.status, response.afterthought["cancel_requested_at"])
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
