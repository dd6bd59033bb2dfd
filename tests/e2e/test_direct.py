"""A model without a background mode, as a caller sees it: like any other."""

import time

import pytest
from openai import OpenAI

from tests.e2e.conftest import Whole, all_at_once, ours, until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-oss-20b"


def test_a_job_of_a_server_of_ones_own_completes_and_is_paid_once(whole: Whole) -> None:
    with whole.client(_strict_response_validation=True) as client:
        queued = client.responses.create(model=MODEL, input="What is 17 * 24?", background=True)
        assert queued.status == "queued"
        job = until_ended(client, queued)
    assert job.status == "completed"
    assert "408" in job.output_text
    assert ours(job)["mode"] == "direct"
    assert ours(job)["cost"]["total_usd"] == "0"
    assert whole.generations_of(job.id) == 1
    [run] = [made for made in whole.stand_in.generations if made.metadata.get("afterthought_job") == job.id]
    assert not run.background


def test_many_of_them_think_at_once(whole: Whole, client: OpenAI) -> None:
    jobs = all_at_once(8, lambda n: client.responses.create(model=MODEL, input=f"What is 17 * {n}?", background=True))
    ended = [until_ended(client, job) for job in jobs]
    assert {job.status for job in ended} == {"completed"}
    assert [whole.generations_of(job.id) for job in ended] == [1] * 8


def test_a_cancel_reaches_a_call_that_is_awaited(whole: Whole, client: OpenAI) -> None:
    whole.stand_in.script("slow_run", seconds=120, contains="qwen3-32b")
    job = client.responses.create(model="qwen3-32b", input="Think.", background=True)
    until = time.monotonic() + 30
    while not whole.generations_of(job.id):
        assert time.monotonic() < until, "it was never called"
        time.sleep(0.1)
    client.responses.cancel(job.id)
    ended = until_ended(client, client.responses.retrieve(job.id))
    assert ended.status == "cancelled"
    assert whole.generations_of(job.id) == 1
