"""`WebhookSender.send`: signed with the tenant's secrets, and the same id and body in every attempt."""

import json
from datetime import timedelta

import pytest

from afterthought.services.admin.tenants import TenantAdmin
from tests.simulator.laws import verifies
from tests.simulator.world import WEBHOOK_URL, World, a_request


@pytest.fixture
def world() -> World:
    """One ended job whose webhook is not sent."""
    world = World()
    world.down.webhooks = True
    world.submit()
    world.run_for(minutes=5)
    return world


def only_job(world: World) -> str:
    (job_id,) = world.jobs.items
    return job_id


def test_webhook_is_signed_with_tenant_secret(world: World) -> None:
    assert world.webhook_sender.send(only_job(world)).outcome == "delivered"
    (received,) = world.receiver.received
    assert received.url == WEBHOOK_URL
    assert received.body == world.topic.published[0].payload()
    assert verifies(received, world.secrets["acme"])
    assert not verifies(received, world.secrets["globex"])
    assert int(received.headers["webhook-timestamp"]) == int(received.at.timestamp())


def test_body_has_the_id_and_no_content(world: World) -> None:
    world.webhook_sender.send(only_job(world))
    assert json.loads(world.receiver.received[0].body)["data"] == {"id": only_job(world)}
    assert b"17 times 23" not in world.receiver.received[0].body


def test_delivered_webhook_is_skipped(world: World) -> None:
    world.webhook_sender.send(only_job(world))
    assert world.webhook_sender.send(only_job(world)).outcome == "skipped"
    assert len(world.receiver.received) == 1


@pytest.mark.parametrize("status", [199, 301, 400, 410, 500, None])
def test_only_2xx_is_delivered(world: World, status: int | None) -> None:
    world.receiver.status = status
    delivery = world.webhook_sender.send(only_job(world))
    assert (delivery.outcome, delivery.status) == ("failed", status)
    (record,) = world.deliveries.items.values()
    assert not record.delivered


def test_retry_has_same_id_and_body(world: World) -> None:
    """Only the timestamp differs."""
    world.receiver.status = 500
    world.webhook_sender.send(only_job(world))
    world.clock.pass_by(600)
    world.receiver.status = 204
    world.webhook_sender.send(only_job(world))
    first, second = world.receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert verifies(second, world.secrets["acme"])


def test_both_secrets_verify_during_rotation(world: World) -> None:
    tenants = TenantAdmin(world.accounts, world.cipher, world.clock, world.random.randbytes)
    new = tenants.rotate_secret("acme").webhook_secret
    world.webhook_sender.send(only_job(world))
    (received,) = world.receiver.received
    assert new is not None
    assert verifies(received, new)
    assert verifies(received, world.secrets["acme"])
    tenants.rotate_secret("acme")
    assert len(received.headers["webhook-signature"].split(" ")) == 2


def test_job_without_webhook_is_skipped() -> None:
    """A running and a missing job are skipped too."""
    world = World()
    running = world.submit(a_request("high")).job.id
    without_webhook = world.submit(a_request(webhook=False)).job.id
    world.run_until(lambda: world.job(without_webhook).terminal, timedelta(minutes=2))
    for job_id in (running, without_webhook, "resp_" + "0" * 48):
        assert world.webhook_sender.send(job_id).outcome == "skipped"
    assert world.receiver.received == []


def test_deleted_tenant_is_skipped(world: World) -> None:
    del world.accounts.by_name["acme"]
    assert world.webhook_sender.send(only_job(world)).outcome == "skipped"
    assert world.receiver.received == []


def test_secret_of_another_tenant_signs_nothing(world: World) -> None:
    acme, globex = world.accounts.by_name["acme"], world.accounts.by_name["globex"]
    world.accounts.by_name["acme"] = acme.model_copy(update={"webhook_secrets": globex.webhook_secrets})
    with pytest.raises(Exception, match="another tenant"):
        world.webhook_sender.send(only_job(world))
    assert world.receiver.received == []


def test_delivery_record_does_not_contain_the_url(world: World) -> None:
    world.webhook_sender.send(only_job(world))
    assert "example.com" not in repr(world.deliveries.items)
