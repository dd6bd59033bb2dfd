"""A job that its owner cancels, in every state."""

import time

import pytest
from openai import NotFoundError, OpenAI

from local.tenants import ACME, GLOBEX
from tests.e2e.conftest import ARRIVAL_SECONDS, Deployment, extension_of, wait_until, wait_until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"


def test_cancel_stops_a_running_job(deployment: Deployment) -> None:
    """The generation is cancelled at the provider, and the end is published and sent to the webhook."""
    deployment.stand_in.script("never_ends", contains=MODEL)
    with deployment.client(_strict_response_validation=True) as client:
        job = client.responses.create(
            model=MODEL,
            input="Think for ever.",
            background=True,
            extra_body={"afterthought": {"webhook_url": deployment.receiver.url(ACME.name)}},
        )
        wait_until(lambda: client.responses.retrieve(job.id).status == "in_progress", "the model was not called")
        answer = client.responses.cancel(job.id)
        assert answer.status in ("in_progress", "cancelled")
        ended = wait_until_ended(client, answer)
    assert ended.status == "cancelled"
    assert extension_of(ended)["cancel_requested_at"] is not None
    [generation] = deployment.generations_of(job.id)
    assert generation.status == "cancelled"
    # The stand-in does not report the usage of a cancelled run, so the cost is an estimate.
    assert extension_of(ended)["cost"]["estimated"] is True
    arrival = deployment.receiver.wait_for(job.id, ARRIVAL_SECONDS)
    assert arrival is not None
    assert (arrival.verified, arrival.event) == (True, "response.cancelled")


def test_cancel_of_a_waiting_job_is_free(deployment: Deployment, client: OpenAI) -> None:
    deployment.stand_in.script("rate_limited", contains="gpt-5.4-nano", retry_after=600)
    job = client.responses.create(model="gpt-5.4-nano", input="Wait.", background=True)
    wait_until(lambda: not deployment.stand_in.state()["script"], "the model was not called")
    # The worker still has to store the refusal.
    time.sleep(1)
    cancelled = client.responses.cancel(job.id)
    assert cancelled.status == "cancelled"
    cost = extension_of(cancelled)["cost"]
    assert cost["total_usd"] == cost["held_usd"] == "0"
    assert client.responses.cancel(job.id).status == "cancelled"


def test_cancel_does_not_change_an_end(client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 2 + 2?", reasoning={"effort": "none"}, background=True)
    ended = wait_until_ended(client, job)
    assert client.responses.cancel(job.id).to_dict() == ended.to_dict()


def test_cancel_of_another_tenants_job_is_404(deployment: Deployment, client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 2 + 2?", reasoning={"effort": "none"}, background=True)
    with deployment.client(GLOBEX) as other, pytest.raises(NotFoundError):
        other.responses.cancel(job.id)
    assert wait_until_ended(client, job).status == "completed"
