"""The port `JobQueue`, on every backing."""

import json

import pytest

from afterthought.adapters.sqs import SqsJobQueue
from afterthought.domain.errors import QueueUnavailable
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.examples import a_job


def test_message_has_only_the_job_id(backing: Backing) -> None:
    backing.queue.send(a_job())
    assert [json.loads(body) for body in backing.job_messages()] == [{"job_id": a_job().id}]


def test_job_can_have_two_messages(backing: Backing) -> None:
    for _ in range(2):
        backing.queue.send(a_job())
    assert len(backing.job_messages()) == 2


@pytest.mark.parametrize("delay_seconds", [1, 540, 900])
def test_delayed_message_is_not_visible(backing: Backing, delay_seconds: int) -> None:
    backing.queue.send(a_job(), delay_seconds=delay_seconds)
    assert backing.job_messages() == []


def test_too_long_delay_raises(backing: Backing) -> None:
    with pytest.raises(QueueUnavailable):
        backing.queue.send(a_job(), delay_seconds=901)
    assert backing.job_messages() == []


def test_missing_queue_raises(moto: AwsBacking) -> None:
    missing = SqsJobQueue(moto.clients.sqs, {"background": moto.names.job_queue_url + "-missing"})
    with pytest.raises(QueueUnavailable):
        missing.send(a_job())


def test_message_group_is_the_tenant(moto: AwsBacking) -> None:
    """A standard queue with groups is a fair queue: one tenant's backlog does not delay another."""
    moto.queue.send(a_job())
    received = moto.clients.sqs.receive_message(QueueUrl=moto.names.job_queue_url, MessageSystemAttributeNames=["All"])
    assert received["Messages"][0]["Attributes"]["MessageGroupId"] == "acme"


def test_direct_job_has_its_own_queue(backing: Backing) -> None:
    backing.queue.send(a_job(mode="direct"))
    assert backing.job_messages() == []
    assert [json.loads(body) for body in backing.job_messages("direct")] == [{"job_id": a_job().id}]
