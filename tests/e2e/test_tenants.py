"""Tenants are strangers, and a stranger to all of them gets nowhere."""

import openai
import pytest

from local.tenants import GLOBEX, LocalTenant
from tests.e2e.conftest import Whole

pytestmark = pytest.mark.e2e


def test_another_tenants_job_cannot_be_told_from_one_that_never_was(whole: Whole, client: openai.OpenAI) -> None:
    job = client.responses.create(model="gpt-5.4-mini", input="What is 1 + 1?", background=True)
    never = f"resp_{'0' * 48}"

    with whole.client(GLOBEX) as stranger:
        with pytest.raises(openai.NotFoundError) as others:
            stranger.responses.retrieve(job.id)
        with pytest.raises(openai.NotFoundError) as nobodys:
            stranger.responses.retrieve(never)

    assert str(others.value).replace(job.id, never) == str(nobodys.value)
    assert client.responses.retrieve(job.id).id == job.id


def test_an_unknown_key_is_refused_before_anything_is_looked_at(whole: Whole) -> None:
    with (
        whole.client(LocalTenant("nobody", "no-such-key", "")) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.responses.create(model="no-such-model", input="", background=True)


def test_the_same_idempotency_key_means_another_job_to_another_tenant(whole: Whole, client: openai.OpenAI) -> None:
    headers = {"Idempotency-Key": "shared-by-chance"}
    with whole.client(GLOBEX) as stranger:
        ids = {
            caller.responses.create(
                model="gpt-5.4-mini", input="What is 2 + 2?", background=True, extra_headers=headers
            ).id
            for caller in (client, stranger)
        }

    assert len(ids) == 2
