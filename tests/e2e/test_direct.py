"""A model without a background mode. Its callers see no difference."""

import pytest
from openai import OpenAI

from tests.e2e.conftest import Deployment, extension_of, run_concurrently, wait_until, wait_until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-oss-20b"


def test_direct_job_completes_with_one_call(deployment: Deployment) -> None:
    with deployment.client(_strict_response_validation=True) as client:
        queued = client.responses.create(model=MODEL, input="What is 17 * 24?", background=True)
        assert queued.status == "queued"
        job = wait_until_ended(client, queued)
    assert job.status == "completed"
    assert "408" in job.output_text
    assert extension_of(job)["mode"] == "direct"
    assert extension_of(job)["cost"]["total_usd"] == "0"
    [generation] = deployment.generations_of(job.id)
    assert not generation.background


def test_direct_jobs_run_concurrently(deployment: Deployment, client: OpenAI) -> None:
    def create(number: int) -> str:
        return client.responses.create(model=MODEL, input=f"What is 17 * {number}?", background=True).id

    jobs = [wait_until_ended(client, client.responses.retrieve(job_id)) for job_id in run_concurrently(8, create)]
    assert {job.status for job in jobs} == {"completed"}
    assert [len(deployment.generations_of(job.id)) for job in jobs] == [1] * 8


@pytest.mark.slow_proof
def test_cancel_reaches_a_direct_call(deployment: Deployment, client: OpenAI) -> None:
    """Waits until the function checks its jobs again, which takes up to 20 real seconds."""
    deployment.stand_in.script("slow_run", seconds=120, contains="qwen3-32b")
    job = client.responses.create(model="qwen3-32b", input="Think.", background=True)
    wait_until(lambda: bool(deployment.generations_of(job.id)), "the model was not called")
    client.responses.cancel(job.id)
    ended = wait_until_ended(client, client.responses.retrieve(job.id))
    assert ended.status == "cancelled"
    assert len(deployment.generations_of(job.id)) == 1
