"""The sweeper with its sample event: overdue jobs are woken or published."""

import json
from typing import Any

import pytest

from afterthought.adapters import aws
from local.standin import StandIn
from tests.integration.deployed import Context, Deployed, HttpAnswer, sample

Json = dict[str, Any]


@pytest.fixture
def job(service: Deployed) -> Json:
    """The sample job, just accepted, with its message lost."""
    service.make_tenant("acme", api_key="local-key-acme")
    created = HttpAnswer(service.invoke("Api", sample("api"))).body
    aws.sqs().purge_queue(QueueUrl=service.refs["JobQueue"])
    return created


def sweep(service: Deployed, context: Context | None = None) -> Json:
    counts: Json = service.invoke("Sweeper", sample("sweeper"), context)
    return {name: count for name, count in counts.items() if count}


def test_empty_table_has_nothing_due(service: Deployed) -> None:
    assert sweep(service) == {}


def test_job_before_its_time_is_ignored(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(50)
    assert sweep(service) == {}
    assert service.waiting("JobQueue") == 0


def test_lost_message_is_sent_again(service: Deployed, job: Json, standin: StandIn) -> None:
    service.clock.pass_seconds(121)
    assert sweep(service) == {"woken": 1}
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": job["id"]}
    assert service.invoke("Worker", {"Records": [message]}) == {"batchItemFailures": []}
    assert len(standin.generations) == 1


def test_job_is_woken_once_a_minute(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(121)
    assert sweep(service) == {"woken": 1}
    assert sweep(service) == {}
    assert service.waiting("JobQueue") == 1


def test_lost_stream_record_is_published(service: Deployed, job: Json, standin: StandIn) -> None:
    for _ in range(2):
        service.invoke("Worker", sample("worker"))
        service.clock.pass_seconds(5)
    service.clock.pass_seconds(121)
    assert sweep(service) == {"announced": 1}
    [message] = service.receive("WebhookQueue")
    assert json.loads(message["body"])["data"] == {"id": job["id"]}
    service.clock.pass_seconds(3600)
    assert sweep(service) == {}


def test_killed_worker_pays_once(service: Deployed, job: Json, standin: StandIn) -> None:
    """The worker dies between the provider's answer and its write."""
    with pytest.MonkeyPatch.context() as patch, service.running("Worker") as module:
        advance = module.service().advance
        create = type(advance.generations).create

        def create_and_die(*arguments: Any) -> None:
            create(*arguments)
            raise SystemExit

        patch.setattr(type(advance.generations), "create", create_and_die)
        with pytest.raises(SystemExit):
            module.handler(sample("worker"), Context())
    assert standin.requests["create"] == 1
    for _ in range(5):
        service.clock.pass_seconds(61)
        sweep(service)
        for message in service.receive("JobQueue"):
            service.invoke("Worker", {"Records": [message]})
    shown = service.call("GET", f"/v1/responses/{job['id']}", key="local-key-acme").body
    assert (shown["status"], shown["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    assert standin.requests["create"] == 1


def test_sweep_stops_without_time(service: Deployed, job: Json) -> None:
    service.clock.pass_seconds(121)
    assert sweep(service, Context(remaining_milliseconds=5_000)) == {}
    assert sweep(service) == {"woken": 1}


def test_unreadable_job_fails_alone(service: Deployed, job: Json) -> None:
    [state] = [item for item in service.items() if item["sk"] == {"S": "STATE"}]
    broken = {**state, "pk": {"S": "JOB#resp_broken"}, "status": {"S": "no such status"}}
    for shard in range(8):
        item = {**broken, "pk": {"S": f"JOB#resp_broken{shard}"}, "due_shard": {"S": str(shard)}, "due_at": {"N": "1"}}
        aws.dynamodb().put_item(TableName="JobTable", Item=item)
    service.clock.pass_seconds(121)
    with pytest.raises(Exception, match="8 jobs could not be swept"):
        sweep(service)
    [message] = service.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": job["id"]}


def test_idle_job_is_woken_until_its_deadline(service: Deployed, job: Json) -> None:
    counts: list[Json] = []
    for _ in range(24):
        service.clock.pass_seconds(3601)
        counts.append(sweep(service))
    assert counts.count({"woken": 1}) == 23
    assert counts[-1] == {"given_up": 1}
    shown = service.call("GET", f"/v1/responses/{job['id']}", key="local-key-acme").body
    assert (shown["status"], shown["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")
    assert shown["afterthought"]["cost"]["total_usd"] == "0"
