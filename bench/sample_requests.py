"""What the functions' requests in fresh processes are about, written by the service's own adapters."""

import json
import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import boto3

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.payloads import Payloads
from afterthought.domain import body, identity, job
from afterthought.domain.attempt import Plan
from afterthought.domain.budget import Caps
from afterthought.domain.call import ATTEMPT, JOB, TOKEN
from afterthought.domain.event import CompletionEvent
from afterthought.domain.job import Job
from afterthought.domain.pricing import Usage
from afterthought.domain.signature import new_secret
from afterthought.domain.tenant import ApiKey, Tenant
from afterthought.services.contents import put_request
from bench import texts
from bench.driver import MODELS
from bench.fake_provider import Provider
from bench.fixture import BACKGROUND
from bench.lambda_events import provider_event, queue_event, request_event, stream_event
from local.stack import read_template

API_KEY = "at_bench"
LARGEST_QUESTION_BYTES = 4 * 2**20 - 4096
"""The service takes bodies of 4 MiB."""
LARGEST_ANSWER_BYTES = 600_000
"""128,000 tokens are less."""

_TENANT = "bench"
_EARLIER = timedelta(minutes=5)


class Seeds:
    """`url` is where AWS is; the names of its parts are those of `settings`."""

    def __init__(self, url: str, provider: Provider, settings: dict[str, str]) -> None:
        login = {"region_name": "us-east-1", "aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
        client = boto3.client("dynamodb", endpoint_url=url, **login)  # type: ignore[call-overload]
        s3 = boto3.client("s3", endpoint_url=url, **login)  # type: ignore[call-overload]
        self._provider = provider
        self._hook_url = f"{url}/hook"
        self._table = settings["JOB_TABLE"]
        self._jobs = LedgerTable(client, self._table, settings["ACCOUNT_TABLE"])
        self._contents = Payloads(client, lambda: s3, self._table, settings["PAYLOAD_BUCKET"])
        accounts = AccountTable(client, settings["ACCOUNT_TABLE"])
        secret = new_secret(secrets.token_bytes(32)).encode()
        accounts.put_tenant(Tenant(name=_TENANT, created_at=clock.now(), webhook_secrets=(secret,), tier="tier5"))
        accounts.put_key(
            ApiKey(key_hash=identity.key_hash(API_KEY), tenant=_TENANT, hint=API_KEY, created_at=clock.now())
        )

    def events(self, name: str) -> Callable[[], dict[str, Any]]:
        """What makes one event of a usual job."""
        self._provider.answer = texts.answer()
        return {
            "floor": lambda: {"table": self._table},
            "api": lambda: request_event("POST", "/v1/responses", API_KEY, self._request("woken", texts.question())),
            "worker": lambda: _message(self._queued("woken", texts.question())),
            "direct": lambda: _message(self._queued("direct", texts.question())),
            "provider_events": self._event,
            "notifier": lambda: stream_event(self._finished().id),
            "webhooks": lambda: queue_event(CompletionEvent.of(self._finished()).payload().decode()),
            "sweeper": dict,
        }[name]

    def largest(self, name: str) -> list[dict[str, Any]]:
        """Events of jobs as large as the service takes them; where size means nothing, of usual ones."""
        if name not in ("api", "worker", "direct", "webhooks"):
            return [self.events(name)()]
        question = large_text(LARGEST_QUESTION_BYTES)
        self._provider.answer = large_text(LARGEST_ANSWER_BYTES)
        match name:
            case "api":
                return [request_event("POST", "/v1/responses", API_KEY, self._request("woken", question))]
            case "worker":
                return [_message(self._queued("woken", question)), _message(self._thinking(question))] * 2
            case "direct":
                messages = [_message(self._queued("direct", question))["Records"][0] for _ in range(_direct_batch())]
                return [{"Records": [{**each, "messageId": str(n)} for n, each in enumerate(messages)]}]
            case _:
                return [queue_event(CompletionEvent.of(self._finished(question)).payload().decode())]

    def _request(self, way: str, question: str) -> dict[str, Any]:
        return {
            "model": MODELS["direct" if way == "direct" else "woken"],
            "input": question,
            "reasoning": {"effort": "low"},
            "afterthought": {"webhook_url": self._hook_url},
        }

    def _queued(self, way: str, question: str) -> Job:
        request = self._request(way, question)
        canonical = body.canonical(body.read(json.dumps(request).encode()))
        made = job.accept(
            id=identity.random_job_id(secrets.token_bytes(24)),
            tenant=_TENANT,
            model=request["model"],
            effort="low",
            max_output_tokens=None,
            service_tier="default",
            body_hash=body.body_hash(canonical),
            webhook=True,
            plan=Plan(request["model"], "low", None, Decimal("0.801268")),
            mode="direct" if way == "direct" else "background",
            now=clock.now() - _EARLIER,
        )
        put_request(self._contents, made, canonical)
        self._jobs.create(made, Caps())
        return made

    def _thinking(self, question: str = "") -> Job:
        """Its model has ended, and nobody has looked yet."""
        queued = self._queued("woken", question or texts.question())
        begun = queued.begin(token=secrets.token_hex(16), provider=BACKGROUND, now=queued.created_at)
        metadata = {JOB: begun.id, ATTEMPT: "1", TOKEN: begun.opened.token}
        asked = {"model": begun.model, "background": True, "metadata": metadata}
        response_id = self._provider.post("/v1/responses", json.dumps(asked).encode())["id"]
        taken = begun.submitted(response_id=response_id, now=queued.created_at, check_seconds=5)
        return self._written(queued, taken)

    def _finished(self, question: str = "") -> Job:
        taken = self._thinking(question)
        ended = taken.settled(
            "completed",
            now=clock.now(),
            served_model=taken.model,
            usage=Usage(input_tokens=243, output_tokens=2391, reasoning_tokens=1920),
            price_id="bench",
            cost_usd=Decimal("0.003334"),
        )
        return self._written(taken, ended)

    def _event(self) -> dict[str, Any]:
        response_id = self._thinking().opened.response_id
        return provider_event(BACKGROUND, *self._provider.event(str(response_id)))

    def _written(self, before: Job, after: Job) -> Job:
        # As if it had come in one step.
        later = after.model_copy(update={"version": before.version + 1})
        self._jobs.save(before, later)
        return later


def large_text(size: int) -> str:
    """Long words that do not repeat themselves, so that the tokens fit a model. One letter of it is such that Python
    takes four bytes for each."""
    words = texts.answer().split()
    chance = random.Random(size)  # noqa: S311 - nothing secret: the same text each time
    made = " ".join("".join(chance.choices(words, k=3)) + str(chance.randrange(1000)) for _ in range(size // 8))
    return "\N{GRINNING FACE}" + made[: size - 4]


def _direct_batch() -> int:
    """So many calls are awaited at once."""
    mapping = read_template()["Resources"]["DirectFunction"]["Properties"]["Events"]["Jobs"]["Properties"]
    return int(mapping["BatchSize"])


def _message(of: Job) -> dict[str, Any]:
    return queue_event(json.dumps({"job_id": of.id}))
