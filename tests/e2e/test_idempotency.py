"""One Idempotency-Key, one job, however many ask at once."""

import openai
import pytest

from tests.e2e.conftest import Whole, all_at_once, until_ended

pytestmark = pytest.mark.e2e

HEADERS = {"Idempotency-Key": "fifty-at-once"}


def test_fifty_at_once_with_one_key_get_one_job_and_one_paid_call(whole: Whole, client: openai.OpenAI) -> None:
    def create(_number: int) -> str:
        return client.responses.create(
            model="gpt-5.4-mini", input="What is 3 * 5?", background=True, extra_headers=HEADERS
        ).id

    ids = all_at_once(50, create)

    assert len(set(ids)) == 1
    until_ended(client, client.responses.retrieve(ids[0]))
    assert whole.generations_of(ids[0]) == 1

    with pytest.raises(openai.ConflictError):
        client.responses.create(model="gpt-5.4-mini", input="Another?", background=True, extra_headers=HEADERS)
