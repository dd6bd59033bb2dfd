"""The same key and body give the same job. Keys are per tenant."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterthought.adapters import aws
from tests.integration.deployed import Deployed, HttpAnswer, sample

ACME, GLOBEX = "local-key-acme", "local-key-globex"
QUESTION = {"model": "o3", "input": "What is 17 times 23?", "metadata": {"a": "1", "b": "2"}}


@pytest.fixture
def api(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=ACME)
    service.make_tenant("globex", api_key=GLOBEX)
    return service


def post(api: Deployed, body: Any, *, key: str = ACME, idempotency_key: str | None = "order-1841") -> HttpAnswer:
    headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
    return api.call("POST", "/v1/responses", body, key=key, headers=headers)


def states(api: Deployed) -> list[Any]:
    return [item for item in api.items() if item["sk"] == {"S": "STATE"}]


def test_sample_event_creates_the_sample_job(api: Deployed) -> None:
    answer = HttpAnswer(api.invoke("Api", sample("api")))
    assert answer.status == 200
    [message] = sample("worker")["Records"]
    assert json.loads(message["body"]) == {"job_id": answer.body["id"]}
    [sent] = api.receive("JobQueue")
    assert json.loads(sent["body"]) == {"job_id": answer.body["id"]}
    assert sent["attributes"]["MessageGroupId"] == message["attributes"]["MessageGroupId"] == "acme"


def test_same_key_and_body_is_one_job(api: Deployed) -> None:
    answers = [post(api, QUESTION) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.event["body"] for answer in answers}) == 1
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1


def test_body_is_compared_in_canonical_form(api: Deployed) -> None:
    first = post(api, QUESTION)
    turned = json.dumps(dict(reversed(QUESTION.items())), indent=3).replace("17", "\\u00317")
    assert post(api, turned).body["id"] == first.body["id"]


def test_same_key_other_body_is_409(api: Deployed) -> None:
    first = post(api, QUESTION)
    second = post(api, {**QUESTION, "input": "What is 17 times 24?"})
    assert (second.status, second.error["code"]) == (409, "idempotency_conflict")
    assert second.error["param"] == "Idempotency-Key"
    assert second.headers["x-should-retry"] == "false"
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1
    assert post(api, QUESTION).body == first.body


def test_keys_are_per_tenant(api: Deployed) -> None:
    acme, globex = post(api, QUESTION), post(api, {**QUESTION, "input": "Something else"}, key=GLOBEX)
    assert acme.body["id"] != globex.body["id"]
    assert len(states(api)) == 2
    assert api.call("GET", f"/v1/responses/{globex.body['id']}", key=ACME).status == 404


def test_without_key_every_post_is_a_job(api: Deployed) -> None:
    assert len({post(api, QUESTION, idempotency_key=None).body["id"] for _ in range(3)}) == 3
    assert api.waiting("JobQueue") == 3


def test_longest_key_is_accepted(api: Deployed) -> None:
    assert post(api, QUESTION, idempotency_key="k" * 255).status == 200


def test_repeat_returns_the_current_job(api: Deployed) -> None:
    first = post(api, QUESTION)
    state = states(api)[0]
    aws.dynamodb().put_item(TableName="JobTable", Item={**state, "status": {"S": "in_progress"}})
    assert post(api, QUESTION).body == {**first.body, "status": "in_progress"}


def test_fifty_concurrent_creates_make_one_job(api: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each create reads before any has written, so only the condition of the write decides."""
    with api.running("Api") as module:
        intake, admitter = module.service().intake, module.service().admitter
        jobs = type(intake.jobs)
        get, create = jobs.get, jobs.create
        written = False

        def record_create(self: Any, job: Any, caps: Any) -> None:
            nonlocal written
            written = True
            create(self, job, caps)

        def read_nothing_before_create(self: Any, job_id: str) -> Any:
            return get(self, job_id) if written else None

        monkeypatch.setattr(jobs, "create", record_create)
        monkeypatch.setattr(jobs, "get", read_nothing_before_create)
        body = json.dumps(QUESTION).encode()
        submissions = []
        # Sequential, because moto loses writes of concurrent transactions.
        for _ in range(50):
            written = False
            submissions.append(intake.submit("acme", admitter.admit(body), "order-1841"))
    assert len({one.job.id for one in submissions}) == 1
    assert sum(not one.repeated for one in submissions) == 1
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1


def test_unsent_message_is_sent_by_the_sweeper(api: Deployed) -> None:
    """The api stored the job and could not send its message. The sweeper sends it."""
    aws.sqs().delete_queue(QueueUrl=api.refs["JobQueue"])
    answer = post(api, QUESTION)
    assert (answer.status, answer.body["status"]) == (200, "queued")
    [state] = states(api)
    aws.sqs().create_queue(QueueName="JobQueue")
    api.clock.pass_seconds(191)
    assert api.invoke("Sweeper", sample("sweeper"))["requeued"] == 1
    [message] = api.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": answer.body["id"]}
    assert "overdue_at" in state


def test_failed_write_is_a_retryable_500(api: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    post(api, QUESTION, idempotency_key=None)
    aws.dynamodb().delete_table(TableName="JobTable")
    answer = post(api, QUESTION)
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert answer.error["type"] == "server_error"
    assert answer.headers["x-request-id"] == sample("api")["requestContext"]["requestId"]
    assert "ResourceNotFoundException" in capsys.readouterr().out
    with pytest.raises(ClientError):
        api.items()
