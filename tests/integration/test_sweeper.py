"""The sweeper function with its sample event: overdue jobs are requeued or published."""

import json
from typing import Any

import pytest

from afterthought.adapters import aws
from local.standin import StandIn
from tests.integration.deployed import Context, Deployed, HttpAnswer, sample

Json = dict[str, Any]


@pytest.fixture
def job(service: Deployed) -> Json:
    """The sample job, just submitted; its message is lost."""
    service.make_tenant("acme", api_key="local-key-acme")
    created = HttpAnswer(service.invoke("Api", sample("api"))).body
    aws.sqs().purge_queue(QueueUrl=service.refs["JobQueue"])
    return created


def sweep(service: Deployed, context: Context | None = None) -> Json:
    counts: Json = service.invoke("Sweeper", sample("sweeper"), context)
    return {name: count for name, count in counts.items() if count}


def test_empty_table_has_nothing_overdue(service: Deployed) -> None:
    assert sweep(service) == {}


def test_job_not_overdue_is_unchanged(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(50)
    assert sweep(service) == {}
    assert service.waiting("JobQueue") == 0


def test_job_with_lost_message_is_requeued(service: Deployed, job: Json, standin: StandIn) -> None:
    service.clock.pass_seconds(191)
    assert sweep(service) == {"requeued": 1}
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": job["id"]}
    assert service.invoke("Worker", {"Records": [message]}) == {"batchItemFailures": []}
    assert len(standin.generations) == 1


def test_job_is_requeued_once_a_minute(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(191)
    assert sweep(service) == {"requeued": 1}
    assert sweep(service) == {}
    assert service.waiting("JobQueue") == 1


def test_unpublished_job_is_published(service: Deployed, job: Json, standin: StandIn) -> None:
    for _ in range(2):
        service.invoke("Worker", sample("worker"))
        service.clock.pass_seconds(5)
    service.clock.pass_seconds(191)
    assert sweep(service) == {"published": 1}
    [message] = service.receive("WebhookQueue")
    assert json.loads(message["body"])["data"] == {"id": job["id"]}
    service.clock.pass_seconds(3600)
    assert sweep(service) == {}


def test_worker_killed_during_call_ends_as_unknown(service: Deployed, job: Json, standin: StandIn) -> None:
    """The call was made, but its result was not written. The job is paid for once."""
    with pytest.MonkeyPatch.context() as patch, service.running("Worker") as module:
        generations = type(module.service().runner.generations)
        create = generations.create

        def create_and_die(*arguments: Any) -> None:
            create(*arguments)
            raise SystemExit

        patch.setattr(generations, "create", create_and_die)
        with pytest.raises(SystemExit):
            module.handler(sample("worker"), Context())
    assert standin.requests["create"] == 1
    for _ in range(5):
        service.clock.pass_seconds(61)
        sweep(service)
        for message in service.receive("JobQueue"):
            service.invoke("Worker", {"Records": [message]})
    response = service.call("GET", f"/v1/responses/{job['id']}", key="local-key-acme").body
    assert (response["status"], response["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    assert standin.requests["create"] == 1


def test_too_little_time_left_stops_the_sweep(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(191)
    assert sweep(service, Context(remaining_milliseconds=5_000)) == {}
    assert sweep(service) == {"requeued": 1}


def test_unreadable_job_does_not_stop_the_sweep(service: Deployed, job: Json) -> None:
    [state] = [item for item in service.items() if item["sk"] == {"S": "STATE"}]
    broken = {**state, "pk": {"S": "JOB#resp_broken"}, "status": {"S": "no such status"}}
    for shard in range(8):
        item = {
            **broken,
            "pk": {"S": f"JOB#resp_broken{shard}"},
            "overdue_shard": {"S": str(shard)},
            "overdue_at": {"N": "1"},
        }
        aws.dynamodb().put_item(TableName="JobTable", Item=item)
    service.clock.pass_seconds(191)
    with pytest.raises(Exception, match="8 jobs could not be swept"):
        sweep(service)
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": job["id"]}


def test_job_is_requeued_until_its_deadline(service: Deployed, job: Json) -> None:
    counts: list[Json] = []
    for _ in range(24):
        service.clock.pass_seconds(3601)
        counts.append(sweep(service))
    assert counts.count({"requeued": 1}) == 23
    assert counts[-1] == {"given_up": 1}
    response = service.call("GET", f"/v1/responses/{job['id']}", key="local-key-acme").body
    assert (response["status"], response["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")
    assert response["afterthought"]["cost"]["total_usd"] == "0"
