"""A job through the whole service, as a caller sees it: by the openai SDK, strict about the types of every answer."""

import random
import string
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openai import OpenAI

from afterthought.catalogue import default_catalogue
from local.tenants import ACME
from tests.e2e.conftest import Whole, ours, until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"
ARRIVAL_SECONDS = 30.0


def test_a_job_is_queued_at_once_and_completes_with_answer_cost_webhook_and_announcement(whole: Whole) -> None:
    with whole.client(_strict_response_validation=True) as client:
        queued = client.responses.create(
            model=MODEL,
            input="What is 17 * 24?",
            reasoning={"effort": "low"},
            background=True,
            metadata={"purpose": "test"},
            extra_body={"afterthought": {"webhook_url": whole.receiver.url(ACME.name)}},
        )
        assert (queued.status, queued.background, queued.usage) == ("queued", True, None)

        job = until_ended(client, queued)

    assert job.status == "completed"
    assert "408" in job.output_text
    assert job.metadata == {"purpose": "test"}
    assert ours(job)["stand_in"] is True
    assert ours(job)["timeline"]["thinking_seconds"] > 0

    arrival = whole.receiver.wait_for(job.id, ARRIVAL_SECONDS)
    assert arrival is not None, whole.receiver.arrivals
    assert arrival.verified
    assert arrival.event == "response.completed"

    announced = whole.announcements.wait_for(job.id, ARRIVAL_SECONDS)
    assert [one.type for one in announced] == ["response.completed"]
    assert announced[0].attributes == {
        "tenant": ACME.name,
        "status": "completed",
        "model": MODEL,
        "type": "response.completed",
        "webhook": "true",
    }


def test_the_cost_is_the_usage_times_the_price_in_force_to_the_last_digit(client: OpenAI) -> None:
    queued = client.responses.create(
        model=MODEL, input="What is 2 ** 64?", reasoning={"effort": "high"}, background=True
    )
    job = until_ended(client, queued)

    usage, model = job.usage, default_catalogue().find(MODEL)
    assert usage is not None
    assert model is not None
    price = model.price("standard", usage.input_tokens, datetime.now(UTC).date())
    details = usage.input_tokens_details
    written = details.cache_write_tokens or 0
    fresh = usage.input_tokens - details.cached_tokens - written
    millionths = (
        fresh * price.input
        + details.cached_tokens * price.cached_input_price
        + written * price.cache_write_price
        + usage.output_tokens * price.output
    )
    cost = ours(job)["cost"]
    assert usage.output_tokens_details.reasoning_tokens > 0
    assert Decimal(cost["total_usd"]) == millionths / 1_000_000
    assert cost["price_id"] == price.id
    parts = ("input_usd", "cached_input_usd", "cache_write_usd", "output_usd")
    assert sum(Decimal(cost[part]) for part in parts) == Decimal(cost["total_usd"])


def test_a_prompt_above_eight_kilobytes_reaches_the_model_whole(whole: Whole, client: OpenAI) -> None:
    # Random letters: contents are compressed before they are measured.
    prompt = "".join(random.Random(1).choices(string.ascii_letters, k=30_000)) + "\nWhat is 1000001 * 3?"
    job = until_ended(
        client, client.responses.create(model=MODEL, input=prompt, reasoning={"effort": "none"}, background=True)
    )

    assert "3000003" in job.output_text
    stored = whole.service.cloud.s3.list_objects_v2(Bucket=whole.service.stack["PayloadBucketName"])
    assert any(job.id in found["Key"] for found in stored.get("Contents", []))


def test_the_same_message_ten_times_leads_to_one_paid_call(whole: Whole, client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 6 * 7?", background=True)
    for _ in range(10):
        whole.service.cloud.sqs.send_message(
            QueueUrl=whole.service.stack["JobQueueUrl"], MessageBody=f'{{"job_id": "{job.id}"}}'
        )

    assert until_ended(client, job).status == "completed"
    assert whole.generations_of(job.id) == 1
