"""The whole service, deployed once for all end-to-end tests: real processes, real HTTP, the stand-in as the model.

The functions' policies are enforced, so every test also shows that the roles suffice. `make demo` and `make serve` run
without enforcement.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from openai import OpenAI
from openai.types.responses import Response

from local import endpoint, receiver, service
from local.address import HOST, free_port
from local.standin import Generation, StandIn
from local.tenants import ACME, TENANTS, LocalTenant
from local.topic import TopicSubscription
from tests.e2e.control import limit_concurrency

STANDIN_SPEED = 20.0
JOB_SECONDS = 60.0
ARRIVAL_SECONDS = 30.0
POLL_SECONDS = 0.1
PROCESSES = 2
T = TypeVar("T")

TERMINAL = frozenset(("completed", "failed", "incomplete", "cancelled"))


@dataclass(frozen=True)
class Deployment:
    """The running service, the model endpoint, the webhook receiver and a subscriber of the completion topic."""

    service: service.Service
    stand_in: StandIn
    receiver: receiver.Receiver
    announcements: TopicSubscription

    def client(self, tenant: LocalTenant = ACME, **options: Any) -> OpenAI:
        return OpenAI(base_url=self.service.base_url, api_key=tenant.api_key, **options)

    def generations_of(self, job_id: str) -> list[Generation]:
        """The generations that the stand-in ran for a job."""
        return [each for each in self.stand_in.generations if each.metadata.get("afterthought_job") == job_id]


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    port = free_port()
    secrets = {tenant.name: tenant.webhook_secret for tenant in TENANTS}
    with (
        receiver.receiving(secrets, port) as hooks,
        endpoint.stand_in(speed=STANDIN_SPEED) as models,
        service.running("test", models, webhook_origins=[f"http://{HOST}:{port}"], enforce_policies=True) as running,
    ):
        assert models.stand_in is not None
        for function in ("Worker", "Direct", "Webhooks"):
            limit_concurrency(running, function, PROCESSES)
        subscriber = TopicSubscription.create(running.cloud, running.stack["CompletionTopicArn"])
        yield Deployment(running, models.stand_in, hooks, subscriber)


@pytest.fixture
def client(deployment: Deployment) -> Iterator[OpenAI]:
    with deployment.client() as client:
        yield client


def wait_until(condition: Callable[[], bool], reason: str, seconds: float = ARRIVAL_SECONDS) -> None:
    """Polls a condition. Fails the test with the reason if it is not met in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{reason}, after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def wait_until_ended(client: OpenAI, job: Response, seconds: float = JOB_SECONDS) -> Response:
    """The job after its end. Fails the test when it does not end in time."""
    deadline = time.monotonic() + seconds
    while job.status not in TERMINAL:
        if time.monotonic() > deadline:
            pytest.fail(f"{job.id} is still {job.status} after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
        job = client.responses.retrieve(job.id)
    return job


def extension_of(job: Response) -> dict[str, Any]:
    """What the service adds to a response."""
    extension: dict[str, Any] = (job.model_extra or {})["afterthought"]
    return extension


def run_concurrently(count: int, call: Callable[[int], T]) -> list[T]:
    """The results of `count` calls that start at the same moment, each on its own thread."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))
