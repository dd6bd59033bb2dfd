"""The events for the measured processes, and the stored records that they refer to."""

import json
import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import boto3

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.payloads import Payloads
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.call import ATTEMPT, JOB, TOKEN
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.ledger.budget import Caps
from afterthought.domain.models.pricing import Usage
from afterthought.domain.request import body
from afterthought.domain.tenants import identity
from afterthought.domain.tenants.tenant import ApiKey, Tenant
from afterthought.domain.webhooks.event import CompletionEvent
from afterthought.domain.webhooks.signature import new_secret
from afterthought.services.contents import put_request
from bench import texts
from bench.driver import MODELS, WakeMode
from bench.fake_aws import FakeAws
from bench.fake_provider import FakeProvider
from bench.fixture import BACKGROUND_PROVIDER
from bench.lambda_events import provider_event, queue_event, request_event, stream_event
from bench.template import event_source

API_KEY = "at_bench"
LARGEST_QUESTION_BYTES = 4 * 2**20 - 4096
"""The service accepts bodies of up to 4 MiB."""
LARGEST_ANSWER_BYTES = 600_000
"""More than 128,000 tokens."""

_TENANT = "bench"
_AGE = timedelta(minutes=5)


class SampleRequests:
    """Writes the records with the service's own adapters. `settings` has the names of the resources."""

    def __init__(self, aws: FakeAws, provider: FakeProvider, settings: dict[str, str]) -> None:
        login = {"region_name": "us-east-1", "aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
        client = boto3.client("dynamodb", endpoint_url=aws.origin, **login)  # type: ignore[call-overload]
        s3 = boto3.client("s3", endpoint_url=aws.origin, **login)  # type: ignore[call-overload]
        self._provider = provider
        self._webhook_url = aws.webhook_url
        self._table = settings["JOB_TABLE"]
        self._jobs = JobTable(client, self._table, settings["ACCOUNT_TABLE"])
        self._contents = Payloads(client, lambda: s3, self._table, settings["PAYLOAD_BUCKET"])
        accounts = AccountTable(client, settings["ACCOUNT_TABLE"])
        secret = new_secret(secrets.token_bytes(32)).encode()
        accounts.put_tenant(Tenant(name=_TENANT, created_at=clock.now(), webhook_secrets=(secret,), tier="tier5"))
        accounts.put_key(
            ApiKey(key_hash=identity.hash_api_key(API_KEY), tenant=_TENANT, hint=API_KEY, created_at=clock.now())
        )

    def events(self, function: str) -> Callable[[], dict[str, Any]]:
        """A function that creates one event of a typical job per call."""
        self._provider.answer = texts.answer()
        return {
            "floor": lambda: {"table": self._table},
            "api": lambda: request_event("POST", "/v1/responses", API_KEY, self._request("woken", texts.question())),
            "worker": lambda: _job_messages(self._queued("woken", texts.question())),
            "direct": lambda: _job_messages(self._queued("direct", texts.question())),
            "provider_events": self._provider_event,
            "notifier": lambda: stream_event(self._settled().id),
            "webhooks": lambda: queue_event(CompletionEvent.of(self._settled()).payload().decode()),
            "sweeper": dict,
        }[function]

    def largest(self, function: str) -> list[dict[str, Any]]:
        """Events of jobs of the largest size; of a typical job for functions that read no content."""
        if function not in ("api", "worker", "direct", "webhooks"):
            return [self.events(function)()]
        question = large_text(LARGEST_QUESTION_BYTES)
        self._provider.answer = large_text(LARGEST_ANSWER_BYTES)
        match function:
            case "api":
                return [request_event("POST", "/v1/responses", API_KEY, self._request("woken", question))]
            case "worker":
                return [_job_messages(self._queued("woken", question)), _job_messages(self._running(question))] * 2
            case "direct":
                batch = event_source("DirectFunction", "Jobs")["BatchSize"]
                return [_job_messages(*(self._queued("direct", question) for _ in range(batch)))]
            case _:
                return [queue_event(CompletionEvent.of(self._settled(question)).payload().decode())]

    def _request(self, wake_mode: WakeMode, question: str) -> dict[str, Any]:
        return {
            "model": MODELS[wake_mode],
            "input": question,
            "reasoning": {"effort": "low"},
            "afterthought": {"webhook_url": self._webhook_url},
        }

    def _queued(self, wake_mode: WakeMode, question: str) -> Job:
        request = self._request(wake_mode, question)
        canonical = _canonical(json.dumps(request))
        queued = Job.create(
            JobSpec(
                id=identity.random_job_id(secrets.token_bytes(24)),
                tenant=_TENANT,
                model=request["model"],
                effort="low",
                max_output_tokens=None,
                service_tier="default",
                body_hash=body.body_hash(canonical),
                webhook=True,
                mode="direct" if wake_mode == "direct" else "background",
                created_at=clock.now() - _AGE,
                deadline_at=clock.now() - _AGE + timedelta(hours=24),
            ),
            CallSpec(request["model"], "low", None, Decimal("0.801268")),
        )
        put_request(self._contents, queued, canonical)
        self._jobs.create(queued, Caps())
        return queued

    def _running(self, question: str = "") -> Job:
        """A job whose response has completed at the provider, before the service has read it."""
        queued = self._queued("woken", question or texts.question())
        calling = queued.start_call(token=secrets.token_hex(16), provider=BACKGROUND_PROVIDER, now=queued.created_at)
        metadata = {JOB: calling.id, ATTEMPT: "1", TOKEN: calling.called_attempt.token}
        response = self._provider.create({"model": calling.model, "background": True, "metadata": metadata})
        running = calling.mark_running(response_id=response["id"], now=queued.created_at, poll_seconds=5)
        return self._save(queued, running)

    def _settled(self, question: str = "") -> Job:
        running = self._running(question)
        settled = running.settle(
            "completed",
            now=clock.now(),
            served_model=running.model,
            usage=Usage(input_tokens=243, output_tokens=2391, reasoning_tokens=1920),
            price_id="bench",
            cost_usd=Decimal("0.003334"),
        )
        return self._save(running, settled)

    def _provider_event(self) -> dict[str, Any]:
        response_id = self._running().called_attempt.response_id
        return provider_event(BACKGROUND_PROVIDER, *self._provider.event(str(response_id)))

    def _save(self, before: Job, after: Job) -> Job:
        """As one write, although `after` may be several versions later."""
        saved = after.model_copy(update={"version": before.version + 1})
        self._jobs.save(before, saved)
        return saved


@cache
def large_text(size: int) -> str:
    """Long words without repetition, so that the number of tokens fits a model. It contains one character for which
    Python stores the text with four bytes a character."""
    words = texts.answer().split()
    generator = random.Random(size)  # noqa: S311 - the same text each time
    text = " ".join("".join(generator.choices(words, k=3)) + str(generator.randrange(1000)) for _ in range(size // 8))
    return "\N{GRINNING FACE}" + text[: size - 4]


@lru_cache(maxsize=1)
def _canonical(request: str) -> bytes:
    """Cached: all jobs of a largest batch have the same request."""
    return body.canonical(body.parse(request.encode()))


def _job_messages(*jobs: Job) -> dict[str, Any]:
    return queue_event(*(json.dumps({"job_id": each.id}) for each in jobs))
