"""With the functions' policies enforced: what they list is enough, and it is not more than enough."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from openai import OpenAI
from openai.types.responses import Response

from local import endpoint, receiver, service
from local.address import HOST, free_port
from local.announcements import Announcements
from local.logs import lines
from local.stack import Template
from local.standin import StandIn
from local.tenants import ACME
from tests.e2e.conftest import STANDIN_SPEED, until_ended

pytestmark = pytest.mark.e2e

DENIED_SECONDS = 60.0


@contextmanager
def enforced(
    change: Callable[[Template], None] = lambda _template: None,
) -> Iterator[tuple[service.Service, StandIn, receiver.Receiver]]:
    port = free_port()
    with (
        receiver.receiving({ACME.name: ACME.webhook_secret}, port) as hooks,
        endpoint.stand_in(speed=STANDIN_SPEED) as models,
        service.running(
            "enforced", models, webhook_origins=[f"http://{HOST}:{port}"], enforce_policies=True, change=change
        ) as running,
    ):
        assert models.stand_in is not None
        yield running, models.stand_in, hooks


def submit(client: OpenAI, webhook_url: str) -> Response:
    return client.responses.create(
        model="gpt-5.4-mini",
        input="What is 12 * 12?",
        background=True,
        extra_body={"afterthought": {"webhook_url": webhook_url}, "reasoning": {"effort": "none"}},
    )


def test_with_their_own_permissions_and_no_others_the_functions_bring_a_job_to_its_end() -> None:
    with (
        enforced() as (running, _, hooks),
        OpenAI(base_url=running.base_url, api_key=ACME.api_key) as client,
    ):
        seen = Announcements.subscribed(running.cloud, running.stack["CompletionTopicArn"])

        job = until_ended(client, submit(client, hooks.url(ACME.name)))

        assert job.status == "completed"
        assert hooks.wait_for(job.id, 30) is not None
        assert seen.wait_for(job.id, 30)
        denied = [line for line in lines(running) if "AccessDenied" in line]
        assert denied == []


def without_put_item(template: Template) -> None:
    """The worker's role without the right to write the ledger."""
    (policy,) = template["Resources"]["WorkerRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    taken = 0
    for statement in statements:
        if "dynamodb:PutItem" in statement["Action"]:
            statement["Action"] = [action for action in statement["Action"] if action != "dynamodb:PutItem"]
            taken += 1
    assert taken == 1


def test_a_worker_that_may_not_write_the_ledger_makes_no_paid_call() -> None:
    with (
        enforced(without_put_item) as (running, stand_in, hooks),
        OpenAI(base_url=running.base_url, api_key=ACME.api_key) as client,
    ):
        job = submit(client, hooks.url(ACME.name))

        deadline = time.monotonic() + DENIED_SECONDS
        while not any("AccessDenied" in line and "dynamodb:PutItem" in line for line in lines(running)):
            assert time.monotonic() < deadline, "the worker was not refused"
            time.sleep(0.3)

        assert client.responses.retrieve(job.id).status == "queued"
        assert stand_in.generations == []
