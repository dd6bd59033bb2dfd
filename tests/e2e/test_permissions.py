"""The functions' policies are enforced here: what they list is enough, and a worker with less does no harm."""

import time

import pytest
from openai import OpenAI

from local import endpoint, service
from local.logs import lines
from local.stack import Template
from local.tenants import ACME
from tests.e2e.conftest import STANDIN_SPEED, Whole, until_ended

pytestmark = pytest.mark.e2e

DENIED_SECONDS = 60.0


def test_no_function_is_refused_anything_on_the_way_of_a_job(whole: Whole, client: OpenAI) -> None:
    job = client.responses.create(
        model="gpt-5.4-mini",
        input="What is 12 * 12?",
        background=True,
        extra_body={"afterthought": {"webhook_url": whole.receiver.url(ACME.name)}, "reasoning": {"effort": "none"}},
    )
    assert until_ended(client, job).status == "completed"
    assert whole.receiver.wait_for(job.id, 30) is not None

    logged = list(lines(whole.service))

    assert any(job.id in line for line in logged)
    assert [line for line in logged if "AccessDenied" in line] == []


def without_put_item(template: Template) -> None:
    """The worker's role without the right to write the ledger."""
    (policy,) = template["Resources"]["WorkerRole"]["Properties"]["Policies"]
    able = [stated for stated in policy["PolicyDocument"]["Statement"] if "dynamodb:PutItem" in stated["Action"]]
    assert len(able) == 1
    able[0]["Action"] = [action for action in able[0]["Action"] if action != "dynamodb:PutItem"]


def test_a_worker_that_may_not_write_the_ledger_makes_no_paid_call() -> None:
    with (
        endpoint.stand_in(speed=STANDIN_SPEED) as models,
        service.running("denied", models, enforce_policies=True, change=without_put_item) as running,
        OpenAI(base_url=running.base_url, api_key=ACME.api_key) as client,
    ):
        job = client.responses.create(model="gpt-5.4-mini", input="What is 12 * 12?", background=True)

        deadline = time.monotonic() + DENIED_SECONDS
        while not any("AccessDenied" in line and "dynamodb:PutItem" in line for line in lines(running)):
            assert time.monotonic() < deadline, "the worker was not refused"
            time.sleep(0.3)

        assert client.responses.retrieve(job.id).status == "queued"
        assert models.stand_in is not None
        assert models.stand_in.generations == []
