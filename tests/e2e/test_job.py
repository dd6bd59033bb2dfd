"""A job through the whole service, called with the openai SDK in its strict mode."""

import random
import string
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openai import OpenAI

from afterthought.catalogue import default_catalogue
from local.tenants import ACME
from tests.e2e.conftest import ARRIVAL_SECONDS, Deployment, extension_of, wait_until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"


def test_job_completes_and_is_published(deployment: Deployment) -> None:
    with deployment.client(_strict_response_validation=True) as client:
        queued = client.responses.create(
            model=MODEL,
            input="What is 17 * 24?",
            reasoning={"effort": "low"},
            background=True,
            metadata={"purpose": "test"},
            extra_body={"afterthought": {"webhook_url": deployment.receiver.url(ACME.name)}},
        )
        assert (queued.status, queued.background, queued.usage) == ("queued", True, None)

        job = wait_until_ended(client, queued)

    assert job.status == "completed"
    assert "408" in job.output_text
    assert job.metadata == {"purpose": "test"}
    assert extension_of(job)["stand_in"] is True
    assert extension_of(job)["timeline"]["thinking_seconds"] > 0

    arrival = deployment.receiver.wait_for(job.id, ARRIVAL_SECONDS)
    assert arrival is not None, deployment.receiver.arrivals
    assert arrival.verified
    assert arrival.event == "response.completed"

    completions = deployment.announcements.wait_for(job.id, ARRIVAL_SECONDS)
    assert [each.type for each in completions] == ["response.completed"]
    assert completions[0].attributes == {
        "tenant": ACME.name,
        "status": "completed",
        "model": MODEL,
        "type": "response.completed",
        "webhook": "true",
    }


def test_cost_is_usage_times_price(client: OpenAI) -> None:
    queued = client.responses.create(
        model=MODEL, input="What is 2 ** 64?", reasoning={"effort": "high"}, background=True
    )
    job = wait_until_ended(client, queued)

    usage, model = job.usage, default_catalogue().find(MODEL)
    assert usage is not None
    assert model is not None
    price = model.price("standard", usage.input_tokens, datetime.now(UTC).date())
    details = usage.input_tokens_details
    cache_write = details.cache_write_tokens or 0
    fresh = usage.input_tokens - details.cached_tokens - cache_write
    millionths = (
        fresh * price.input
        + details.cached_tokens * price.cached_input_price
        + cache_write * price.cache_write_price
        + usage.output_tokens * price.output
    )
    cost = extension_of(job)["cost"]
    assert usage.output_tokens_details.reasoning_tokens > 0
    assert Decimal(cost["total_usd"]) == millionths / 1_000_000
    assert cost["price_id"] == price.id
    parts = ("input_usd", "cached_input_usd", "cache_write_usd", "output_usd")
    assert sum(Decimal(cost[part]) for part in parts) == Decimal(cost["total_usd"])


def test_long_prompt_is_stored_in_s3(deployment: Deployment, client: OpenAI) -> None:
    # Random letters, because contents are compressed before they are measured.
    prompt = "".join(random.Random(1).choices(string.ascii_letters, k=30_000)) + "\nWhat is 1000001 * 3?"
    job = wait_until_ended(
        client, client.responses.create(model=MODEL, input=prompt, reasoning={"effort": "none"}, background=True)
    )

    assert "3000003" in job.output_text
    stored = deployment.service.cloud.s3.list_objects_v2(Bucket=deployment.service.stack["PayloadBucketName"])
    assert any(job.id in each["Key"] for each in stored.get("Contents", []))


def test_ten_messages_pay_once(deployment: Deployment, client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 6 * 7?", background=True)
    for _ in range(10):
        deployment.service.cloud.sqs.send_message(
            QueueUrl=deployment.service.stack["JobQueueUrl"], MessageBody=f'{{"job_id": "{job.id}"}}'
        )

    assert wait_until_ended(client, job).status == "completed"
    assert len(deployment.generations_of(job.id)) == 1
