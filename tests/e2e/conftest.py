"""The whole service, deployed once for all these tests: real processes, real HTTP, the stand-in as the model.

The functions' policies are enforced, so every test here is also one that their roles suffice; the demo and `make serve`
run without.
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
from local.announcements import TopicSubscription
from local.standin import StandIn
from local.tenants import ACME, TENANTS, LocalTenant

STANDIN_SPEED = 20.0
JOB_SECONDS = 60.0
T = TypeVar("T")

ENDED = frozenset(("completed", "failed", "incomplete", "cancelled"))


@dataclass(frozen=True)
class Whole:
    """The running service, with everything around it that a test looks at."""

    service: service.Service
    stand_in: StandIn
    receiver: receiver.Receiver
    announcements: TopicSubscription

    def client(self, tenant: LocalTenant = ACME, **options: Any) -> OpenAI:
        return OpenAI(base_url=self.service.base_url, api_key=tenant.api_key, **options)

    def generations_of(self, job_id: str) -> int:
        """How often the stand-in was paid, so to speak, for a job."""
        return sum(made.metadata.get("afterthought_job") == job_id for made in self.stand_in.generations)


@pytest.fixture(scope="session")
def whole() -> Iterator[Whole]:
    port = free_port()
    secrets = {tenant.name: tenant.webhook_secret for tenant in TENANTS}
    with (
        receiver.receiving(secrets, port) as hooks,
        endpoint.stand_in(speed=STANDIN_SPEED) as models,
        service.running("test", models, webhook_origins=[f"http://{HOST}:{port}"], enforce_policies=True) as running,
    ):
        assert models.stand_in is not None
        seen = TopicSubscription.create(running.cloud, running.stack["CompletionTopicArn"])
        yield Whole(running, models.stand_in, hooks, seen)


@pytest.fixture
def client(whole: Whole) -> Iterator[OpenAI]:
    with whole.client() as client:
        yield client


def until_ended(client: OpenAI, job: Response, seconds: float = JOB_SECONDS) -> Response:
    """The job as it ended. Fails the test when it does not end in time."""
    deadline = time.monotonic() + seconds
    while job.status not in ENDED:
        if time.monotonic() > deadline:
            pytest.fail(f"{job.id} is still {job.status} after {seconds:.0f} s")
        time.sleep(0.2)
        job = client.responses.retrieve(job.id)
    return job


def ours(job: Response) -> dict[str, Any]:
    """What the service adds to a response."""
    added: dict[str, Any] = (job.model_extra or {})["afterthought"]
    return added


def all_at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """The results of `count` calls that start at the same moment, each on a thread of its own."""
    gate = threading.Barrier(count)

    def one(number: int) -> T:
        gate.wait()
        return call(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))
