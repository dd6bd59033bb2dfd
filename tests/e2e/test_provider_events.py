"""The model endpoint's events wake jobs. Where no event arrives, the sweeper wakes them."""

import base64
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import OpenAI
from openai.types.responses import Response

from afterthought.domain.webhooks import signature
from local import endpoint, service
from local.endpoint import STAND_IN_WEBHOOK_SECRET
from local.logs import lines
from tests.e2e.conftest import ARRIVAL_SECONDS, Deployment, extension_of, wait_until, wait_until_ended
from tests.e2e.control import expire, messages_in

pytestmark = pytest.mark.e2e

MODEL = "gpt-5.4-mini"
# Longer than the delivery and handling of an event take.
QUIET_SECONDS = 2.0


@pytest.fixture
def other_messages(deployment: Deployment) -> int:
    """Messages of other jobs that wait for their time, such as late usage checks."""
    return messages_in(deployment.service, "JobQueue")


@pytest.fixture(autouse=True)
def _clear_script(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.stand_in.clear()


def start_job(client: OpenAI, deployment: Deployment, question: str) -> Response:
    """A job whose generation has started."""
    job = client.responses.create(model=MODEL, input=question, background=True)
    wait_until(lambda: len(deployment.generations_of(job.id)) == 1, "the model was not called")
    return job


def completed_event(deployment: Deployment, job: Response) -> bytes:
    """The event of the end of a job's generation."""
    [generation] = deployment.generations_of(job.id)
    return json.dumps({"type": "response.completed", "data": {"id": generation.id}}).encode()


def counted(running: service.Service, outcome: str, **fields: str) -> int:
    """How many events the functions have logged with this outcome."""
    expected = {"outcome": outcome, **fields}
    logged = [json.loads(line) for line in lines(running) if "ProviderEvents" in line and line.startswith("{")]
    return sum(all(line.get(name) == value for name, value in expected.items()) for line in logged)


def wait_until_counted(deployment: Deployment, count: int, outcome: str, **fields: str) -> None:
    wait_until(lambda: counted(deployment.service, outcome, **fields) >= count, f"no event was {outcome}")


def wait_until_queue_has(deployment: Deployment, most: int) -> None:
    wait_until(lambda: messages_in(deployment.service, "JobQueue") <= most, "messages are left in the job queue")


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


def test_event_alone_wakes_a_job(deployment: Deployment, client: OpenAI, other_messages: int) -> None:
    """While the model thinks, the queue has no message of this job, so only the event can end it."""
    deployment.stand_in.script("slow_run", seconds=4.0)
    retrieves_before = deployment.stand_in.requests.get("retrieve", 0)
    job = start_job(client, deployment, "What is 17 * 24?")
    wait_until_queue_has(deployment, other_messages)
    wait_until(lambda: client.responses.retrieve(job.id).status == "in_progress", "it is not in progress")
    assert messages_in(deployment.service, "JobQueue") <= other_messages

    ended = wait_until_ended(client, job)

    assert ended.status == "completed"
    assert "408" in ended.output_text
    # Retrieved once, after its end.
    assert deployment.stand_in.requests["retrieve"] - retrieves_before == 1
    [generation] = deployment.generations_of(job.id)
    wait_until_counted(deployment, 1, "received", response_id=generation.id, provider="standin")
    assert counted(deployment.service, "received", response_id=generation.id, provider="standin") == 1


def test_lost_event_is_replaced_by_the_sweeper(deployment: Deployment, client: OpenAI, other_messages: int) -> None:
    deployment.stand_in.script("webhook_dropped")
    job = start_job(client, deployment, "What is 17 * 25?")
    wait_until(lambda: deployment.generations_of(job.id)[0].status == "completed", "its generation does not end")
    time.sleep(QUIET_SECONDS)
    assert client.responses.retrieve(job.id).status == "in_progress"
    assert messages_in(deployment.service, "JobQueue") <= other_messages

    expire(deployment.service, job.id)
    running = deployment.service
    running.cloud.functions.invoke(FunctionName=running.stack["SweeperFunctionName"], Payload=b"{}")

    ended = wait_until_ended(client, job)
    assert ended.status == "completed"
    assert "425" in ended.output_text


def test_forged_event_wakes_no_job(deployment: Deployment, client: OpenAI) -> None:
    refused_before = counted(deployment.service, "bad_signature")
    deployment.stand_in.script("webhook_forged", times=None)
    job = start_job(client, deployment, "What is 17 * 26?")
    wait_until_counted(deployment, refused_before + 1, "bad_signature")
    time.sleep(1)
    assert client.responses.retrieve(job.id).status == "in_progress"

    # The same event with a valid signature.
    assert send(deployment.service, completed_event(deployment, job)) == (200, {"outcome": "received"})
    assert wait_until_ended(client, job).status == "completed"


def test_repeated_event_pays_and_publishes_once(deployment: Deployment, client: OpenAI, other_messages: int) -> None:
    deployment.stand_in.script("webhook_duplicated")
    job = start_job(client, deployment, "What is 17 * 27?")
    ended = wait_until_ended(client, job)
    for _ in range(2):
        assert send(deployment.service, completed_event(deployment, job))[0] == 200
    wait_until_queue_has(deployment, other_messages)
    assert len(deployment.announcements.wait_for(job.id, ARRIVAL_SECONDS)) == 1
    assert extension_of(client.responses.retrieve(job.id))["cost"] == extension_of(ended)["cost"]
    assert len(deployment.generations_of(job.id)) == 1


def test_unrelated_event_is_dropped(deployment: Deployment, other_messages: int) -> None:
    """The provider account may have other users, and anyone with the secret may send an invented id."""
    with OpenAI(base_url=deployment.stand_in.base_url, api_key=endpoint.STAND_IN_KEY) as direct_client:
        unrelated = direct_client.responses.create(
            model=MODEL, input="What is 1 + 1?", background=True, metadata={"a": "b"}
        )
    for response_id in (unrelated.id, "resp_invented"):
        body = json.dumps({"type": "response.completed", "data": {"id": response_id}}).encode()
        assert send(deployment.service, body)[0] == 200
    wait_until_counted(deployment, 1, "missing", service="worker")
    wait_until_counted(deployment, 1, "unrelated", service="worker")
    wait_until_queue_has(deployment, other_messages)
    assert messages_in(deployment.service, "JobDeadLetterQueue") == 0


def test_only_signed_events_are_received(deployment: Deployment) -> None:
    running = deployment.service
    body = '{ "type": "batch.completed",\t"note": "Größe ☕" }\n'.encode()
    assert send(running, body) == (200, {"outcome": "ignored"})
    # The gateway passes a body that is not text to the function in base64.
    assert send(running, body, {"content-type": "application/octet-stream"}) == (200, {"outcome": "ignored"})
    for (status, answer), expected in (
        (send(running, body, {"webhook-signature": "v1,AAAA"}), (401, "bad_signature")),
        (send(running, body, ago=1000), (400, "stale")),
        (send(running, b"{"), (400, "malformed")),
        (send(running, body, provider="openai"), (404, "unknown_provider")),
        (post(running, "/v1/provider_events/standin", body, {}), (401, "unsigned")),
        # These paths go to the api function.
        (post(running, "/v1/provider_events", body, {}), (404, "unknown_url")),
        (post(running, "/v1/provider_events/standin/more", body, {}), (404, "unknown_url")),
    ):
        assert (status, answer["error"]["code"]) == expected


def test_event_bodies_and_secrets_are_not_logged(deployment: Deployment) -> None:
    canary = "canary-in-an-event"
    assert send(deployment.service, json.dumps({"type": "x", "note": canary}).encode())[0] == 200
    assert send(deployment.service, canary.encode(), {"webhook-signature": f"v1,{canary}"})[0] == 401
    logged = "\n".join(lines(deployment.service))
    assert canary not in logged
    assert STAND_IN_WEBHOOK_SECRET.removeprefix("whsec_") not in logged
    assert base64.b64encode(canary.encode()).decode() not in logged
