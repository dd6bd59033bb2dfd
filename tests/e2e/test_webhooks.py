"""A receiver that is down gets its webhook when it is up again."""

import pytest
from openai import OpenAI

from local.tenants import ACME
from tests.e2e.conftest import Whole, until_ended

pytestmark = pytest.mark.e2e


def test_a_receiver_that_fails_at_first_gets_the_same_webhook_later(whole: Whole, client: OpenAI) -> None:
    whole.receiver.response_status = 503
    try:
        job = client.responses.create(
            model="gpt-5.4-mini",
            input="What is 9 * 9?",
            reasoning={"effort": "none"},
            background=True,
            extra_body={"afterthought": {"webhook_url": whole.receiver.url(ACME.name)}},
        )
        until_ended(client, job)
        refused = whole.receiver.wait_for(job.id, 30, response_status=503)
    finally:
        whole.receiver.response_status = 200
    accepted = whole.receiver.wait_for(job.id, 30, response_status=200)

    assert refused is not None
    assert accepted is not None
    assert accepted.at > refused.at
    assert accepted.body == refused.body
    assert accepted.headers["webhook-id"] == refused.headers["webhook-id"]
