"""A webhook is sent again until its receiver accepts it."""

import pytest
from openai import OpenAI

from local.tenants import ACME
from tests.e2e.conftest import Deployment, wait_until_ended

pytestmark = pytest.mark.e2e


def test_refused_webhook_is_sent_again(deployment: Deployment, client: OpenAI) -> None:
    deployment.receiver.response_status = 503
    try:
        job = client.responses.create(
            model="gpt-5.4-mini",
            input="What is 9 * 9?",
            reasoning={"effort": "none"},
            background=True,
            extra_body={"afterthought": {"webhook_url": deployment.receiver.url(ACME.name)}},
        )
        wait_until_ended(client, job)
        refused = deployment.receiver.wait_for(job.id, 30, response_status=503)
    finally:
        deployment.receiver.response_status = 200
    accepted = deployment.receiver.wait_for(job.id, 30, response_status=200)

    assert refused is not None
    assert accepted is not None
    assert accepted.at > refused.at
    assert accepted.body == refused.body
    assert accepted.headers["webhook-id"] == refused.headers["webhook-id"]
