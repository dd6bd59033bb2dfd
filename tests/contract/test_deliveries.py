"""The port `Deliveries`, on every backing."""

from datetime import timedelta

from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import JOB_ID, a_job

HERE, THERE = "0123456789abcdef", "fedcba9876543210"


def test_nothing_is_delivered_before_it_is_sent(backing: Backing) -> None:
    assert not backing.deliveries.delivered(JOB_ID, HERE)


def test_an_accepted_send_is_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=204, error=None)
    assert backing.deliveries.delivered(JOB_ID, HERE)


def test_a_refused_send_is_not_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=500, error="it answered 500")
    backing.deliveries.record(JOB_ID, HERE, at=START, status=None, error="nobody listens")
    assert not backing.deliveries.delivered(JOB_ID, HERE)


def test_a_send_accepted_after_refusals_is_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=500, error="it answered 500")
    backing.deliveries.record(JOB_ID, HERE, at=START + timedelta(seconds=5), status=200, error=None)
    assert backing.deliveries.delivered(JOB_ID, HERE)


def test_a_refusal_of_a_repeat_takes_no_delivery_back(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=200, error=None)
    backing.deliveries.record(JOB_ID, HERE, at=START, status=500, error="it answered 500")
    assert backing.deliveries.delivered(JOB_ID, HERE)


def test_endpoints_and_jobs_are_told_apart(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=200, error=None)
    assert not backing.deliveries.delivered(JOB_ID, THERE)
    assert not backing.deliveries.delivered(a_job().id, HERE)


def test_a_delivery_is_no_state_of_a_job(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, HERE, at=START, status=200, error=None)
    assert backing.jobs.get(JOB_ID) is None


def test_sends_are_counted_and_the_last_refusal_is_kept(moto: AwsBacking) -> None:
    moto.deliveries.record(JOB_ID, HERE, at=START, status=500, error="it answered 500")
    moto.deliveries.record(JOB_ID, HERE, at=START, status=None, error="nobody listens")
    key = {"pk": {"S": f"JOB#{JOB_ID}"}, "sk": {"S": f"DELIVERY#{HERE}"}}
    item = moto.clients.dynamodb.get_item(TableName=moto.names.job_table, Key=key)["Item"]
    assert item["sends"] == {"N": "2"}
    assert item["last_error"] == {"S": "nobody listens"}
    assert int(item["expires_at"]["N"]) > START.timestamp()
