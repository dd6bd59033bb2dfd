"""The port `Deliveries`, on every backing."""

from datetime import timedelta

from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import JOB_ID, a_job

ENDPOINT, OTHER_ENDPOINT = "0123456789abcdef", "fedcba9876543210"


def test_new_job_is_not_delivered(backing: Backing) -> None:
    assert not backing.deliveries.delivered(JOB_ID, ENDPOINT)


def test_accepted_attempt_is_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=204, error=None)
    assert backing.deliveries.delivered(JOB_ID, ENDPOINT)


def test_failed_attempt_is_not_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=500, error="HTTP 500")
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=None, error="connection refused")
    assert not backing.deliveries.delivered(JOB_ID, ENDPOINT)


def test_success_after_failure_is_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=500, error="HTTP 500")
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START + timedelta(seconds=5), status=200, error=None)
    assert backing.deliveries.delivered(JOB_ID, ENDPOINT)


def test_later_failure_keeps_delivered(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=200, error=None)
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=500, error="HTTP 500")
    assert backing.deliveries.delivered(JOB_ID, ENDPOINT)


def test_deliveries_are_per_job_and_endpoint(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=200, error=None)
    assert not backing.deliveries.delivered(JOB_ID, OTHER_ENDPOINT)
    assert not backing.deliveries.delivered(a_job().id, ENDPOINT)


def test_delivery_does_not_create_a_job(backing: Backing) -> None:
    backing.deliveries.record(JOB_ID, ENDPOINT, at=START, status=200, error=None)
    assert backing.jobs.get(JOB_ID) is None


def test_item_counts_attempts_and_keeps_last_error(moto: AwsBacking) -> None:
    moto.deliveries.record(JOB_ID, ENDPOINT, at=START, status=500, error="HTTP 500")
    moto.deliveries.record(JOB_ID, ENDPOINT, at=START, status=None, error="connection refused")
    key = {"pk": {"S": f"JOB#{JOB_ID}"}, "sk": {"S": f"DELIVERY#{ENDPOINT}"}}
    item = moto.clients.dynamodb.get_item(TableName=moto.names.job_table, Key=key)["Item"]
    assert item["attempts"] == {"N": "2"}
    assert item["last_error"] == {"S": "connection refused"}
    assert int(item["expires_at"]["N"]) > START.timestamp()
