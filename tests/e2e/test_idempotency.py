"""One Idempotency-Key gives one job, however many requests use it at once."""

import openai
import pytest

from tests.e2e.conftest import Deployment, run_concurrently, wait_until_ended

pytestmark = pytest.mark.e2e

HEADERS = {"Idempotency-Key": "fifty-at-once"}


def test_fifty_requests_with_one_key_pay_once(deployment: Deployment, client: openai.OpenAI) -> None:
    def create(_number: int) -> str:
        return client.responses.create(
            model="gpt-5.4-mini", input="What is 3 * 5?", background=True, extra_headers=HEADERS
        ).id

    ids = run_concurrently(50, create)

    assert len(set(ids)) == 1
    wait_until_ended(client, client.responses.retrieve(ids[0]))
    assert len(deployment.generations_of(ids[0])) == 1

    with pytest.raises(openai.ConflictError):
        client.responses.create(model="gpt-5.4-mini", input="Another?", background=True, extra_headers=HEADERS)
