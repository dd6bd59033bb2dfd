"""What a provider sees of a paid call."""

from typing import Any

from afterthought.domain.jobs.call import call_request
from afterthought.domain.jobs.job import Job
from tests.simulator.clock import START
from tests.simulator.examples import a_job

REQUEST = {"model": "gpt-oss-20b", "input": "Why?", "prompt_cache_key": "shared"}


def called(tenant: str, number: int = 0, **changes: Any) -> dict[str, Any]:
    job: Job = a_job(number, tenant=tenant, **changes)
    return call_request(job.start_call(token="5f" * 16, provider="vllm", now=START), REQUEST)


def test_an_awaited_call_is_salted_by_its_tenant_and_names_nobody() -> None:
    first, again, other = (
        called(tenant, number, mode="direct") for number, tenant in enumerate(["acme", "acme", "globex"])
    )
    assert first["cache_salt"] == again["cache_salt"] != other["cache_salt"]
    assert "acme" not in repr(first)
    assert "prompt_cache_key" not in first


def test_a_call_in_the_background_has_a_cache_key_and_no_salt() -> None:
    background = called("acme")
    assert "cache_salt" not in background
    assert background["prompt_cache_key"] != called("globex")["prompt_cache_key"]
