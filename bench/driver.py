"""Runs the real functions as AWS would, in virtual time: the clock jumps to the next event."""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Literal

import boto3

from afterthought.domain.jobs.status import TERMINAL
from afterthought.services.run.await_call import CHECK_SECONDS
from bench import texts
from bench.child import Context, check
from bench.fixture import BACKGROUND_PROVIDER, Fixture, fixture
from bench.lambda_events import provider_event, queue_event, request_event, stream_event
from bench.meter import Meter, Tally
from bench.moto_stack import BUCKET
from bench.units import item_bytes

Json = dict[str, Any]
WakeMode = Literal["woken", "checked", "direct"]
"""How the service learns that a call has ended: by the provider's event, by polling, or by waiting for it."""

MODELS: Mapping[WakeMode, str] = {"woken": "gpt-6-sol", "checked": "gpt-6-sol", "direct": "gpt-oss-120b"}

_FUNCTIONS = ("api", "worker", "direct", "provider_events", "notifier", "webhooks", "sweeper")
_CONSUMERS = {"JobQueue": "worker", "DirectQueue": "direct"}
_MAX_STEPS = 100
_BUDGETS = {"month_cap_usd": 10_000, "day_cap_usd": 1_000}


@dataclass(frozen=True)
class Message:
    """A message in a queue. `grouped`: it has a message group."""

    queue: str
    body: str
    visible_at: datetime
    grouped: bool


class Driver:
    """Calls the functions with their events and counts what they do."""

    def __init__(self, environment: Fixture) -> None:
        self.fixture = environment
        self.api_key = environment.create_tenant("bench", **_BUDGETS)
        # The functions create their clients in the default session, so the meter listens to that session.
        boto3.setup_default_session()
        hooks = boto3._get_default_session().events  # noqa: SLF001 - boto3 has no public accessor
        hooks.register("provide-client-params.sqs.SendMessage", self._record_message)
        self._dynamodb = environment.stack.clients.dynamodb
        self._meter = Meter(hooks, self._dynamodb, environment.logs, environment.provider.calls)
        self._modules = {name: _load(name) for name in _FUNCTIONS}
        self._messages: list[Message] = []
        self.configure_events(enabled=False)

    def configure_events(self, *, enabled: bool) -> None:
        """Whether the provider sends events. The functions read the secret again."""
        self.fixture.configure_events(enabled=enabled)
        for name in ("worker", "direct", "provider_events"):
            self._modules[name].service.cache_clear()

    def run_job(
        self, wake_mode: WakeMode, thinking: timedelta, effort: str, question: str, answer: str
    ) -> tuple[Tally, str]:
        """Runs a job from its request to its webhook. Returns what was counted, and the job's id."""
        provider = self.fixture.provider
        self._messages.clear()
        provider.pending_events.clear()
        tally = self._meter.start()
        provider.thinking, provider.answer = thinking, answer
        request = {"model": MODELS[wake_mode], "input": question, "reasoning": {"effort": effort}}
        job_id = self._post(self.api_key, request)
        for _ in range(_MAX_STEPS):
            if self._state(job_id)["status"]["S"] in TERMINAL:
                break
            self._step(job_id, events=wake_mode == "woken")
        else:
            raise RuntimeError("the job does not end")
        if wake_mode == "direct":
            # The call returned at once. In real time the function reads the job at intervals.
            self._read_during_call(job_id, int(thinking.total_seconds() / CHECK_SECONDS))
        self._invoke("notifier", stream_event(job_id))
        self._deliver_webhook()
        return tally, job_id

    def read_job(self, job_id: str) -> Tally:
        """GET of a job."""
        tally = self._meter.start()
        self._invoke("api", request_event("GET", f"/v1/responses/{job_id}", self.api_key), over_http=True)
        return tally

    def admit(self, api_key: str, *, idempotency_key: str | None = None) -> tuple[Tally, str]:
        """POST of a job that will be polled. Returns what was counted, and the job's id."""
        tally = self._meter.start()
        request = {"model": MODELS["checked"], "input": texts.question(), "reasoning": {"effort": "low"}}
        return tally, self._post(api_key, request, idempotency_key=idempotency_key)

    def settle(self, job_id: str, *, thinking: timedelta) -> Tally:
        """Runs an admitted job to its end. Counts only the last poll, which settles it."""
        provider, clock = self.fixture.provider, self.fixture.clock
        self._meter.start()
        provider.thinking, provider.answer = thinking, texts.answer()
        self._consume(self._messages.pop())
        self._messages.clear()
        clock.forward(thinking)
        tally = self._meter.start()
        self._consume(Message("JobQueue", json.dumps({"job_id": job_id}), clock.now(), grouped=True))
        if self._state(job_id)["status"]["S"] not in TERMINAL:
            raise RuntimeError("the job does not end")
        return tally

    def item_sizes(self, job_id: str) -> dict[str, int]:
        """The bytes of a job's items, by kind."""
        items = self._items("JobTable", f"JOB#{job_id}")
        return {item["sk"]["S"].partition("#")[0]: item_bytes(item) for item in items}

    def ledger_sizes(self, tenant: str) -> dict[str, list[int]]:
        """The bytes of a tenant's budget items and usage rows."""
        return {
            kind: [item_bytes(item) for item in self._items("AccountTable", f"{kind}#{tenant}")]
            for kind in ("BUDGET", "USAGE")
        }

    def object_bytes(self, job_id: str) -> int:
        """The bytes of a job's objects in the bucket."""
        listed = self.fixture.stack.clients.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{job_id}/")
        return sum(each["Size"] for each in listed.get("Contents", ()))

    def _post(self, api_key: str, request: Json, *, idempotency_key: str | None = None) -> str:
        body = {**request, "afterthought": {"webhook_url": self.fixture.provider.webhook_url}}
        event = request_event("POST", "/v1/responses", api_key, body)
        if idempotency_key is not None:
            event["headers"]["idempotency-key"] = idempotency_key
        return str(json.loads(self._invoke("api", event, over_http=True)["body"])["id"])

    def _step(self, job_id: str, *, events: bool) -> None:
        """Delivers what is due next: a message, the provider's event, or the sweeper's run that finds the overdue
        job."""
        clock, provider = self.fixture.clock, self.fixture.provider
        pending = provider.pending_events
        message = min(self._messages, key=lambda each: each.visible_at, default=None)
        ended = min(pending, key=lambda each: pending[each], default=None) if events else None
        due = {
            "message": message.visible_at if message else None,
            "event": pending[ended] if ended else None,
            "sweep": self._sweep_at(job_id),
        }
        first, at = min(((kind, at) for kind, at in due.items() if at is not None), key=lambda each: each[1])
        if at > clock.now():
            clock.set(at)
        if first == "message" and message is not None:
            self._messages.remove(message)
            self._consume(message)
        elif first == "event" and ended is not None:
            headers, body = provider.event(ended)
            del pending[ended]
            self._invoke("provider_events", provider_event(BACKGROUND_PROVIDER, headers, body), over_http=True)
        else:
            # The sweeper runs every minute anyway: only its requests are counted, not its invocation.
            self._invoke("sweeper", {}, invoked=False)

    def _sweep_at(self, job_id: str) -> datetime | None:
        """The first full minute at which the job is overdue."""
        overdue_at = self._state(job_id).get("overdue_at")
        if overdue_at is None:
            return None
        return datetime.fromtimestamp((float(overdue_at["N"]) // 60 + 1) * 60, UTC)

    def _read_during_call(self, job_id: str, times: int) -> None:
        jobs = self._modules["direct"].service().jobs
        for _ in range(times):
            with self._meter.running("direct", invoked=False):
                jobs.get(job_id)

    def _consume(self, message: Message) -> None:
        function = _CONSUMERS[message.queue]
        self._meter.by_aws("Lambda", function, "ReceiveMessage", grouped=message.grouped)
        self._invoke(function, queue_event(message.body))
        self._meter.by_aws("Lambda", function, "DeleteMessage", grouped=message.grouped)

    def _deliver_webhook(self) -> None:
        sqs, url = self.fixture.stack.clients.sqs, self.fixture.stack.refs["WebhookQueue"]
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages")
        if not messages:
            raise RuntimeError("the WebhookQueue has no message")
        [message] = messages
        # SNS passes the message group on.
        self._meter.by_aws("SNS", "webhooks", "SendMessage", grouped=True)
        self._meter.by_aws("Lambda", "webhooks", "ReceiveMessage", grouped=True)
        self._invoke("webhooks", queue_event(message["Body"]))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        self._meter.by_aws("Lambda", "webhooks", "DeleteMessage", grouped=True)

    def _record_message(self, params: Json, **_: Any) -> None:
        refs = self.fixture.stack.refs
        queue = next(name for name in _CONSUMERS if refs[name] == params["QueueUrl"])
        visible_at = self.fixture.clock.now() + timedelta(seconds=params.get("DelaySeconds", 0))
        self._messages.append(Message(queue, params["MessageBody"], visible_at, "MessageGroupId" in params))

    def _invoke(self, name: str, event: Json, *, over_http: bool = False, invoked: bool = True) -> Any:
        with self._meter.running(name, over_http=over_http, invoked=invoked):
            result = self._modules[name].handler(event, Context())
        check(result)
        return result

    def _state(self, job_id: str) -> Mapping[str, Any]:
        key = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
        return self._dynamodb.get_item(TableName="JobTable", Key=key, ConsistentRead=True)["Item"]

    def _items(self, table: str, key: str) -> list[Mapping[str, Any]]:
        page = self._dynamodb.query(
            TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": key}}
        )
        return list(page["Items"])


@contextmanager
def driver(start: datetime) -> Iterator[Driver]:
    """On a new stack whose clock shows `start`. Once per process."""
    with fixture(start) as environment:
        yield Driver(environment)


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"functions.{name}.app")
