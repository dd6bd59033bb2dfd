"""The laws, checked on the simulator's world when it is idle."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta

from afterthought.domain.ledger.budget import NO_CAPS
from tests.laws import laws, money
from tests.laws.view import Balance, Generation, View, Webhook
from tests.simulator.provider import REFUSED_RUNS, Run, usage_of
from tests.simulator.receiver import Received
from tests.simulator.world import World

WITHIN = timedelta(hours=2)
"""The time that a job may take to end after its deadline or its cancel: a lease, a visibility timeout, some sweeps."""


def broken(world: World, *, within: timedelta = WITHIN) -> list[str]:
    """Every breach of a law; empty when all hold. A job ends `within` this time after its deadline or its cancel."""
    return laws.broken(view_of(world, within))


def view_of(world: World, grace: timedelta) -> View:
    return View(
        accepted=world.accepted,
        jobs=world.jobs.items,
        generations=[_generation(run) for run in world.provider.runs.values()],
        ledger=money.of_ledger(world.ledger),
        balances=list(_balances(world)),
        published=world.topic.published,
        webhooks=[_webhook(world, received) for received in world.receiver.received],
        webhook_jobs={job.id for job in world.jobs.items.values() if job.webhook},
        abandoned_webhooks={json.loads(message.body)["data"]["id"] for message in world.webhook_messages.dead_letters},
        cancels=world.cancel_requests,
        cancelled_at=world.cancelled_at,
        history=world.jobs.history,
        grace=grace,
    )


def _generation(run: Run) -> Generation:
    return Generation(
        response_id=run.response_id,
        job_id=run.job_id,
        token=run.token,
        ran=run.ending not in REFUSED_RUNS or run.cancelled,
        cancelled=run.cancelled,
        cancelled_by_provider=run.ending == "cancelled",
        attempt_recorded=run.attempt_recorded,
        starved=run.ending == "starved",
        usage=usage_of(run),
        ends_at=run.ends_at,
    )


def _webhook(world: World, received: Received) -> Webhook:
    event = json.loads(received.body)
    job_id = event["data"]["id"]
    # The endpoint of a tenant accepts what is signed with its secret.
    tenant = next((name for name, secret in world.secrets.items() if verifies(received, secret)), "unsigned")
    return Webhook(
        job_id=job_id,
        tenant=tenant,
        type=event["type"],
        message_id=received.headers["webhook-id"],
        body=received.body,
        signed=tenant in world.secrets,
        accepted=received.status < 300,
    )


def _balances(world: World) -> Iterator[Balance]:
    for (tenant, month), balance in world.ledger.history:
        caps = world.caps_by_tenant.get(tenant, NO_CAPS)
        yield Balance(tenant, f"{month:%Y-%m}", balance.total.held_usd, balance.total.spent_usd, caps.month_usd)
        for day, day_balance in balance.days.items():
            yield Balance(tenant, day.isoformat(), day_balance.held_usd, day_balance.spent_usd, caps.day_usd)


def verifies(received: Received, secret: str) -> bool:
    """Whether a receiver with this secret accepts the webhook. Does not use the service's code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    headers = received.headers
    signed_text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed_text, hashlib.sha256).digest()).decode()
    return expected in headers["webhook-signature"].split(" ")
