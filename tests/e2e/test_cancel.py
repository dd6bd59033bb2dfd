"""A job that its owner wants no more, in every state, as a caller sees it."""

import time

import pytest
from openai import OpenAI

from local.tenants import ACME, GLOBEX
from tests.e2e.conftest import Whole, ours, until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"
ARRIVAL_SECONDS = 30.0


def test_a_thinking_job_is_cancelled_at_the_provider_and_announced(whole: Whole) -> None:
    whole.stand_in.script("never_ends", contains="gpt-5.4-mini")
    with whole.client(_strict_response_validation=True) as client:
        job = client.responses.create(
            model=MODEL,
            input="Think for ever.",
            background=True,
            extra_body={"afterthought": {"webhook_url": whole.receiver.url(ACME.name)}},
        )
        until = time.monotonic() + 30
        while client.responses.retrieve(job.id).status != "in_progress":
            assert time.monotonic() < until, "it was never called"
            time.sleep(0.1)
        asked = client.responses.cancel(job.id)
        assert asked.status in ("in_progress", "cancelled")
        ended = until_ended(client, asked)
    assert ended.status == "cancelled"
    assert ours(ended)["cancel_requested_at"] is not None
    [made] = [made for made in whole.stand_in.generations if made.metadata.get("afterthought_job") == job.id]
    assert made.status == "cancelled"
    # What it used nobody says: its bound is booked, until somebody does.
    assert ours(ended)["cost"]["estimated"] is True
    arrival = whole.receiver.wait_for(job.id, ARRIVAL_SECONDS)
    assert arrival is not None
    assert (arrival.verified, arrival.event) == (True, "response.cancelled")


def test_a_job_that_waits_ends_at_once_and_costs_nothing(whole: Whole, client: OpenAI) -> None:
    whole.stand_in.script("rate_limited", contains="gpt-5.4-nano", retry_after=600)
    job = client.responses.create(model="gpt-5.4-nano", input="Wait.", background=True)
    until = time.monotonic() + 30
    while whole.stand_in.state()["script"]:
        assert time.monotonic() < until, "it was never called"
        time.sleep(0.1)
    time.sleep(1)
    cancelled = client.responses.cancel(job.id)
    assert cancelled.status == "cancelled"
    assert ours(cancelled)["cost"]["total_usd"] == ours(cancelled)["cost"]["held_usd"] == "0"
    assert client.responses.cancel(job.id).status == "cancelled"


def test_what_has_ended_stays_as_it_ended(client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 2 + 2?", reasoning={"effort": "none"}, background=True)
    ended = until_ended(client, job)
    assert client.responses.cancel(job.id).to_dict() == ended.to_dict()


def test_another_tenants_job_is_not_there(whole: Whole, client: OpenAI) -> None:
    job = client.responses.create(model=MODEL, input="What is 2 + 2?", reasoning={"effort": "none"}, background=True)
    with whole.client(GLOBEX) as stranger, pytest.raises(Exception, match=r"404"):
        stranger.responses.cancel(job.id)
    assert until_ended(client, job).status == "completed"
