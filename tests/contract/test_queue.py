"""The port `JobQueue`, on every backing."""

import json

import pytest

from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.domain.errors import QueueUnavailable
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.examples import a_job


def test_a_message_names_the_job_and_no_more(backing: Backing) -> None:
    backing.queue.send(a_job())
    assert [json.loads(body) for body in backing.job_messages()] == [{"job_id": a_job().id}]


def test_the_same_job_can_have_two_messages(backing: Backing) -> None:
    for _ in range(2):
        backing.queue.send(a_job())
    assert len(backing.job_messages()) == 2


@pytest.mark.parametrize("delay_seconds", [1, 540, 900])
def test_a_delayed_message_does_not_show_at_once(backing: Backing, delay_seconds: int) -> None:
    backing.queue.send(a_job(), delay_seconds=delay_seconds)
    assert backing.job_messages() == []


def test_a_delay_that_the_queue_does_not_take_raises(backing: Backing) -> None:
    with pytest.raises(QueueUnavailable):
        backing.queue.send(a_job(), delay_seconds=901)
    assert backing.job_messages() == []


def test_a_queue_that_is_gone_raises(moto: AwsBacking) -> None:
    gone = SqsJobQueue(moto.clients.sqs, {"background": moto.names.job_queue_url + "-gone"})
    with pytest.raises(QueueUnavailable):
        gone.send(a_job())


def test_a_message_belongs_to_its_tenants_group(moto: AwsBacking) -> None:
    """A standard queue with groups is a fair queue: no tenant waits behind another's thousands."""
    moto.queue.send(a_job())
    received = moto.clients.sqs.receive_message(QueueUrl=moto.names.job_queue_url, MessageSystemAttributeNames=["All"])
    assert received["Messages"][0]["Attributes"]["MessageGroupId"] == "acme"


def test_a_job_that_is_awaited_on_the_line_has_a_queue_of_its_own(backing: Backing) -> None:
    backing.queue.send(a_job(mode="direct"))
    assert backing.job_messages() == []
    assert [json.loads(body) for body in backing.job_messages("direct")] == [{"job_id": a_job().id}]
