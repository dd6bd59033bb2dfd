"""Delivering: signed, by the same id and bytes at every send, to whom it belongs and nobody else."""

import json
from datetime import timedelta

import pytest

from afterthought.services.tenants import Tenants
from tests.simulator.laws import verifies
from tests.simulator.world import WEBHOOK_URL, World, a_request


@pytest.fixture
def world() -> World:
    """With a job that has ended, and whose webhook nobody has sent."""
    world = World()
    world.down.webhooks = True
    world.submit()
    world.run_for(minutes=5)
    return world


def only_job(world: World) -> str:
    (job_id,) = world.jobs.items
    return job_id


def test_the_endpoint_gets_the_event_signed_with_the_tenants_secret(world: World) -> None:
    assert world.deliver(only_job(world)).outcome == "delivered"
    (received,) = world.receiver.received
    assert received.url == WEBHOOK_URL
    assert received.body == world.topic.published[0].payload()
    assert verifies(received, world.secrets["acme"])
    assert not verifies(received, world.secrets["globex"])
    assert int(received.headers["webhook-timestamp"]) == int(received.at.timestamp())


def test_the_payload_names_the_job_and_holds_nothing_of_it(world: World) -> None:
    world.deliver(only_job(world))
    assert json.loads(world.receiver.received[0].body)["data"] == {"id": only_job(world)}
    assert b"17 times 23" not in world.receiver.received[0].body


def test_a_webhook_that_was_accepted_is_not_sent_again(world: World) -> None:
    world.deliver(only_job(world))
    assert world.deliver(only_job(world)).outcome == "dropped"
    assert len(world.receiver.received) == 1


@pytest.mark.parametrize("status", [199, 301, 400, 410, 500, None])
def test_only_a_2xx_is_success(world: World, status: int | None) -> None:
    world.receiver.status = status
    delivery = world.deliver(only_job(world))
    assert (delivery.outcome, delivery.status) == ("failed", status)
    (record,) = world.deliveries.items.values()
    assert not record.delivered


def test_a_repeat_has_the_same_id_and_bytes_and_a_time_of_its_own(world: World) -> None:
    world.receiver.status = 500
    world.deliver(only_job(world))
    world.clock.pass_by(600)
    world.receiver.status = 204
    world.deliver(only_job(world))
    first, second = world.receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert verifies(second, world.secrets["acme"])


def test_while_a_rotation_overlaps_both_secrets_verify(world: World) -> None:
    tenants = Tenants(world.accounts, world.cipher, world.clock, world.random.randbytes)
    new = tenants.rotate_secret("acme").webhook_secret
    world.deliver(only_job(world))
    (received,) = world.receiver.received
    assert new is not None
    assert verifies(received, new)
    assert verifies(received, world.secrets["acme"])
    tenants.rotate_secret("acme")
    assert len(received.headers["webhook-signature"].split(" ")) == 2


def test_a_job_that_is_gone_or_thinks_or_wants_none_has_no_webhook() -> None:
    world = World()
    thinking = world.submit(a_request("high")).job.id
    unasked = world.submit(a_request(webhook=False)).job.id
    world.run_until(lambda: world.job(unasked).terminal, timedelta(minutes=2))
    for job_id in (thinking, unasked, "resp_" + "0" * 48):
        assert world.deliver(job_id).outcome == "dropped"
    assert world.receiver.received == []


def test_a_webhook_of_a_tenant_that_is_gone_is_dropped(world: World) -> None:
    del world.accounts.by_name["acme"]
    assert world.deliver(only_job(world)).outcome == "dropped"
    assert world.receiver.received == []


def test_what_was_sealed_for_another_tenant_signs_nothing(world: World) -> None:
    acme, globex = world.accounts.by_name["acme"], world.accounts.by_name["globex"]
    world.accounts.by_name["acme"] = acme.model_copy(update={"webhook_secrets": globex.webhook_secrets})
    with pytest.raises(Exception, match="another tenant"):
        world.deliver(only_job(world))
    assert world.receiver.received == []


def test_the_record_of_a_send_does_not_show_the_url(world: World) -> None:
    world.deliver(only_job(world))
    assert "example.com" not in repr(world.deliveries.items)
