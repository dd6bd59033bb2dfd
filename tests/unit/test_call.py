"""The request that the provider receives for a paid call."""

from typing import Any

from afterthought.domain.jobs.call import call_request
from afterthought.domain.jobs.job import Job
from tests.simulator.clock import START
from tests.simulator.examples import a_job

REQUEST = {"model": "gpt-oss-20b", "input": "Why?", "prompt_cache_key": "shared"}


def request_of(tenant: str, number: int = 0, **changes: Any) -> dict[str, Any]:
    job: Job = a_job(number, tenant=tenant, **changes)
    return call_request(job.start_call(token="5f" * 16, provider="vllm", now=START), REQUEST)


def test_direct_call_has_a_cache_salt_per_tenant() -> None:
    first, again, other = (
        request_of(tenant, number, mode="direct") for number, tenant in enumerate(["acme", "acme", "globex"])
    )
    assert first["cache_salt"] == again["cache_salt"] != other["cache_salt"]
    assert "acme" not in repr(first)
    assert "prompt_cache_key" not in first


def test_background_call_has_a_cache_key_per_tenant() -> None:
    background = request_of("acme")
    assert "cache_salt" not in background
    assert background["prompt_cache_key"] != request_of("globex")["prompt_cache_key"]
