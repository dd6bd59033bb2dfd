"""A tenant learns nothing about another tenant, and a caller without a key is refused."""

import openai
import pytest

from local.tenants import GLOBEX, LocalTenant
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


def test_another_tenants_job_looks_missing(deployment: Deployment, client: openai.OpenAI) -> None:
    job = client.responses.create(model="gpt-5.4-mini", input="What is 1 + 1?", background=True)
    missing = f"resp_{'0' * 48}"

    with deployment.client(GLOBEX) as other:
        with pytest.raises(openai.NotFoundError) as existing_error:
            other.responses.retrieve(job.id)
        with pytest.raises(openai.NotFoundError) as missing_error:
            other.responses.retrieve(missing)

    assert str(existing_error.value).replace(job.id, missing) == str(missing_error.value)
    assert client.responses.retrieve(job.id).id == job.id


def test_unknown_api_key_is_401(deployment: Deployment) -> None:
    with (
        deployment.client(LocalTenant("unknown", "no-such-key", "")) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.responses.create(model="no-such-model", input="", background=True)


def test_idempotency_keys_are_per_tenant(deployment: Deployment, client: openai.OpenAI) -> None:
    headers = {"Idempotency-Key": "shared-by-two-tenants"}
    with deployment.client(GLOBEX) as other:
        ids = {
            caller.responses.create(
                model="gpt-5.4-mini", input="What is 2 + 2?", background=True, extra_headers=headers
            ).id
            for caller in (client, other)
        }

    assert len(ids) == 2
