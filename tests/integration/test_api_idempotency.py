"""The same key and body are the same job; each tenant's keys are its own."""

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


def test_the_sample_event_makes_the_job_that_the_other_samples_speak_of(api: Deployed) -> None:
    answer = HttpAnswer(api.invoke("Api", sample("api")))
    assert answer.status == 200
    [message] = sample("worker")["Records"]
    assert json.loads(message["body"]) == {"job_id": answer.body["id"]}
    [sent] = api.receive("JobQueue")
    assert json.loads(sent["body"]) == {"job_id": answer.body["id"]}
    assert sent["attributes"]["MessageGroupId"] == message["attributes"]["MessageGroupId"] == "acme"


def test_the_same_key_and_body_are_one_job_and_one_message(api: Deployed) -> None:
    answers = [post(api, QUESTION) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.event["body"] for answer in answers}) == 1
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1


def test_the_same_body_in_another_order_and_spacing_is_the_same_body(api: Deployed) -> None:
    first = post(api, QUESTION)
    turned = json.dumps(dict(reversed(QUESTION.items())), indent=3).replace("17", "\\u00317")
    assert post(api, turned).body["id"] == first.body["id"]


def test_the_same_key_with_another_body_is_a_conflict_that_no_retry_helps(api: Deployed) -> None:
    first = post(api, QUESTION)
    second = post(api, {**QUESTION, "input": "What is 17 times 24?"})
    assert (second.status, second.error["code"]) == (409, "idempotency_conflict")
    assert second.error["param"] == "Idempotency-Key"
    assert second.headers["x-should-retry"] == "false"
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1
    assert post(api, QUESTION).body == first.body


def test_two_tenants_with_one_key_have_two_jobs(api: Deployed) -> None:
    ours, theirs = post(api, QUESTION), post(api, {**QUESTION, "input": "Something else"}, key=GLOBEX)
    assert ours.body["id"] != theirs.body["id"]
    assert len(states(api)) == 2
    assert api.call("GET", f"/v1/responses/{theirs.body['id']}", key=ACME).status == 404


def test_without_a_key_every_post_is_a_job_of_its_own(api: Deployed) -> None:
    assert len({post(api, QUESTION, idempotency_key=None).body["id"] for _ in range(3)}) == 3
    assert api.waiting("JobQueue") == 3


def test_the_longest_key_is_taken(api: Deployed) -> None:
    assert post(api, QUESTION, idempotency_key="k" * 255).status == 200


def test_a_repeat_shows_the_job_as_it_stands_by_now(api: Deployed) -> None:
    first = post(api, QUESTION)
    state = states(api)[0]
    aws.dynamodb().put_item(TableName="JobTable", Item={**state, "status": {"S": "in_progress"}})
    assert post(api, QUESTION).body == {**first.body, "status": "in_progress"}


def test_fifty_creates_that_all_saw_nothing_make_one_job(api: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them looks before any has written: the condition on the write decides, not the look."""
    with api.running("Api") as module:
        intake, admitter = module.service().intake, module.service().admitter
        jobs = type(intake.jobs)
        get, create = jobs.get, jobs.create
        written = False

        def create_and_note(self: Any, job: Any, caps: Any) -> None:
            nonlocal written
            written = True
            create(self, job, caps)

        def see_nothing_at_first(self: Any, job_id: str) -> Any:
            return get(self, job_id) if written else None

        monkeypatch.setattr(jobs, "create", create_and_note)
        monkeypatch.setattr(jobs, "get", see_nothing_at_first)
        body = json.dumps(QUESTION).encode()
        made = []
        # One after the other: moto loses writes of transactions that run side by side.
        for _ in range(50):
            written = False
            made.append(intake.submit("acme", admitter.admit(body), "order-1841"))
    assert len({one.job.id for one in made}) == 1
    assert sum(not one.repeated for one in made) == 1
    assert len(states(api)) == 1
    assert api.waiting("JobQueue") == 1


def test_a_create_whose_message_cannot_be_sent_is_taken_and_is_due(api: Deployed) -> None:
    """The crash between the api's write and its message: the sweeper sends it."""
    aws.sqs().delete_queue(QueueUrl=api.refs["JobQueue"])
    answer = post(api, QUESTION)
    assert (answer.status, answer.body["status"]) == (200, "queued")
    [state] = states(api)
    aws.sqs().create_queue(QueueName="JobQueue")
    api.clock.pass_seconds(191)
    assert api.invoke("Sweeper", sample("sweeper"))["woken"] == 1
    [message] = api.receive("JobQueue")
    assert json.loads(message["body"]) == {"job_id": answer.body["id"]}
    assert "overdue_at" in state


def test_a_create_that_could_not_be_written_is_a_5xx_that_may_be_tried_again(
    api: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    post(api, QUESTION, idempotency_key=None)
    aws.dynamodb().delete_table(TableName="JobTable")
    answer = post(api, QUESTION)
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert answer.error["type"] == "server_error"
    assert answer.headers["x-request-id"] == sample("api")["requestContext"]["requestId"]
    assert "ResourceNotFoundException" in capsys.readouterr().out
    with pytest.raises(ClientError):
        api.items()
