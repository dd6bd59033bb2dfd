"""The model endpoint says when it is done: a job is woken by that alone, and where nothing comes, the nets hold."""

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import OpenAI
from openai.types.responses import Response

from afterthought.domain.webhooks import signature
from local import endpoint, service
from local.endpoint import STAND_IN_WEBHOOK_SECRET
from local.logs import lines
from local.standin import StandIn
from local.tenants import ACME
from tests.e2e.conftest import STANDIN_SPEED, Whole, ours, until_ended

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"
ARRIVAL_SECONDS = 30.0
# Longer than an event would need to arrive and to be worked off.
QUIET_SECONDS = 6.0


@pytest.fixture
def others(whole: Whole) -> int:
    """Messages of other jobs, which wait for their time: late looks at what ended without its usage, say."""
    return waiting(whole.service, "JobQueue")


@pytest.fixture(autouse=True)
def _behaves(whole: Whole) -> Iterator[None]:
    yield
    whole.stand_in.clear()


def submitted(client: OpenAI, whole: Whole, question: str) -> Response:
    """A job that is thought about."""
    job = client.responses.create(model=MODEL, input=question, background=True)
    until(lambda: whole.generations_of(job.id) == 1)
    return job


def until(reached: Callable[[], bool], seconds: float = ARRIVAL_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def generation_of(stand_in: StandIn, job: Response) -> str:
    [found] = [made.id for made in stand_in.generations if made.metadata.get("afterthought_job") == job.id]
    return found


def counted(running: service.Service, outcome: str, **about: str) -> int:
    """How many events the functions have counted so."""
    wanted = {"outcome": outcome, **about}
    told = [json.loads(line) for line in lines(running) if "ProviderEvents" in line and line.startswith("{")]
    return sum(all(line.get(name) == value for name, value in wanted.items()) for line in told)


def waiting(running: service.Service, queue: str) -> int:
    names: Any = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    url = running.stack[f"{queue}Url"]
    told = running.cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in told.values())


def post(running: service.Service, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(running.base_url).netloc, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def send(
    running: service.Service,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    provider: str = "standin",
    ago: int = 0,
) -> tuple[int, dict[str, Any]]:
    at = int(time.time()) - ago
    signed = signature.headers((STAND_IN_WEBHOOK_SECRET,), message_id="evt_test", timestamp=at, body=body)
    path = f"/v1/provider_events/{provider}"
    return post(running, path, body, {"content-type": "application/json", **signed, **(headers or {})})


def make_overdue(running: service.Service, job: Response) -> None:
    """Time passes for the job, not for us."""
    running.cloud.dynamodb.update_item(
        TableName=running.stack["JobTableName"],
        Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET overdue_at = :past, next_step_at = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )


def test_a_job_is_woken_by_its_providers_event_and_by_nothing_else(whole: Whole, client: OpenAI, others: int) -> None:
    """While the model thinks, no message is under way: neither a check nor anything else could end this job."""
    whole.stand_in.script("slow_run", seconds=4.0)
    looked_before = whole.stand_in.requests.get("retrieve", 0)
    job = submitted(client, whole, "What is 17 * 24?")
    until(lambda: waiting(whole.service, "JobQueue") <= others)
    until(lambda: client.responses.retrieve(job.id).status == "in_progress")
    assert waiting(whole.service, "JobQueue") <= others

    ended = until_ended(client, job)

    assert ended.status == "completed"
    assert "408" in ended.output_text
    # It was asked for once: when it was there.
    assert whole.stand_in.requests["retrieve"] - looked_before == 1
    generation = generation_of(whole.stand_in, job)
    until(lambda: counted(whole.service, "received", response_id=generation, provider="standin") == 1)


def test_an_event_that_is_lost_costs_time_and_not_the_job(whole: Whole, client: OpenAI, others: int) -> None:
    whole.stand_in.script("webhook_dropped")
    job = submitted(client, whole, "What is 17 * 25?")
    time.sleep(QUIET_SECONDS)
    assert client.responses.retrieve(job.id).status == "in_progress"
    assert waiting(whole.service, "JobQueue") <= others

    make_overdue(whole.service, job)
    whole.service.cloud.functions.invoke(FunctionName=whole.service.stack["SweeperFunctionName"], Payload=b"{}")

    ended = until_ended(client, job)
    assert ended.status == "completed"
    assert "425" in ended.output_text


def test_a_forged_event_wakes_nobody(whole: Whole, client: OpenAI) -> None:
    refused_before = counted(whole.service, "bad_signature")
    whole.stand_in.script("webhook_forged", times=None)
    job = submitted(client, whole, "What is 17 * 26?")
    until(lambda: counted(whole.service, "bad_signature") > refused_before)
    time.sleep(1)
    assert client.responses.retrieve(job.id).status == "in_progress"

    # The true one, by hand.
    body = json.dumps({"type": "response.completed", "data": {"id": generation_of(whole.stand_in, job)}}).encode()
    assert send(whole.service, body) == (200, {"outcome": "received"})
    assert until_ended(client, job).status == "completed"


def test_an_event_that_comes_twice_and_late_pays_and_announces_once(whole: Whole, client: OpenAI, others: int) -> None:
    whole.stand_in.script("webhook_duplicated")
    job = submitted(client, whole, "What is 17 * 27?")
    ended = until_ended(client, job)
    body = json.dumps({"type": "response.completed", "data": {"id": generation_of(whole.stand_in, job)}}).encode()
    for _ in range(2):
        assert send(whole.service, body)[0] == 200
    until(lambda: waiting(whole.service, "JobQueue") <= others)
    assert len(whole.announcements.wait_for(job.id, ARRIVAL_SECONDS)) == 1
    assert ours(client.responses.retrieve(job.id))["cost"] == ours(ended)["cost"]
    assert whole.generations_of(job.id) == 1


def test_an_event_of_somebody_elses_response_is_dropped(whole: Whole, client: OpenAI, others: int) -> None:
    """The account at the provider may have other users; and an id may be made up by whoever knows the secret."""
    with OpenAI(base_url=whole.stand_in.base_url, api_key=endpoint.STAND_IN_KEY) as elsewhere:
        foreign = elsewhere.responses.create(model=MODEL, input="What is 1 + 1?", background=True, metadata={"a": "b"})
    for response_id in (foreign.id, "resp_never-heard-of"):
        body = json.dumps({"type": "response.completed", "data": {"id": response_id}}).encode()
        assert send(whole.service, body)[0] == 200
    until(lambda: counted(whole.service, "gone", service="worker") >= 1)
    until(lambda: counted(whole.service, "foreign", service="worker") >= 1)
    until(lambda: waiting(whole.service, "JobQueue") <= others)
    assert waiting(whole.service, "JobDeadLetterQueue") == 0


def test_the_door_takes_signed_bytes_and_nothing_else(whole: Whole) -> None:
    running = whole.service
    other = '{ "type": "batch.completed",\t"note": "Größe ☕" }\n'.encode()
    assert send(running, other) == (200, {"outcome": "ignored"})
    # What is no text to the gateway comes to the function in base64.
    assert send(running, other, {"content-type": "application/octet-stream"}) == (200, {"outcome": "ignored"})
    for (status, answer), wanted in (
        (send(running, other, {"webhook-signature": "v1,AAAA"}), (401, "bad_signature")),
        (send(running, other, ago=1000), (400, "stale")),
        (send(running, b"{"), (400, "malformed")),
        (send(running, other, provider="openai"), (404, "unknown_provider")),
        (post(running, "/v1/provider_events/standin", other, {}), (401, "unsigned")),
        # Not this door: the api says so.
        (post(running, "/v1/provider_events", other, {}), (404, "unknown_url")),
        (post(running, "/v1/provider_events/standin/more", other, {}), (404, "unknown_url")),
    ):
        assert (status, answer["error"]["code"]) == wanted


def test_no_secret_and_no_body_is_in_the_logs(whole: Whole) -> None:
    canary = "canary-in-an-event"
    assert send(whole.service, json.dumps({"type": "x", "note": canary}).encode())[0] == 200
    assert send(whole.service, canary.encode(), {"webhook-signature": f"v1,{canary}"})[0] == 401
    logged = "\n".join(lines(whole.service))
    assert canary not in logged
    assert STAND_IN_WEBHOOK_SECRET.removeprefix("whsec_") not in logged
    assert base64.b64encode(canary.encode()).decode() not in logged


def test_without_events_delayed_checks_carry_a_job_alone() -> None:
    with (
        endpoint.stand_in(speed=STANDIN_SPEED, events=False) as models,
        service.running("checked", models, enforce_policies=True) as running,
        OpenAI(base_url=running.base_url, api_key=ACME.api_key) as client,
    ):
        assert models.stand_in is not None
        job = until_ended(client, client.responses.create(model=MODEL, input="What is 17 * 28?", background=True))
        assert job.status == "completed"
        assert "476" in job.output_text
        assert models.stand_in.requests["retrieve"] >= 1
        assert [line for line in lines(running) if "ProviderEvents" in line] == []
