"""The real functions, driven as AWS would drive them, in virtual time: whatever comes next happens at once."""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Literal

import boto3

from afterthought.domain.record import TERMINAL
from afterthought.services.direct import LOOK_SECONDS
from bench import texts
from bench.child import Context, check
from bench.fixture import ACCOUNT_TABLE, BACKGROUND, JOB_TABLE, Stage, staged
from bench.lambda_events import provider_event, queue_event, request_event, stream_event
from bench.meter import Meter, Tally
from bench.units import item_bytes

Json = dict[str, Any]
WakeMode = Literal["woken", "checked", "direct"]
"""How the service comes to know that a model has ended: the provider's event, its own delayed looks, or it waits."""

MODELS: Mapping[WakeMode, str] = {"woken": "gpt-6-sol", "checked": "gpt-6-sol", "direct": "gpt-oss-120b"}

_FUNCTIONS = ("api", "worker", "direct", "provider_events", "notifier", "webhooks", "sweeper")
_TAKEN_BY = {"JobQueue": "worker", "DirectQueue": "direct"}
_MOST_STEPS = 100
_BUDGETS = {"month_cap_usd": 10_000, "day_cap_usd": 1_000}


@dataclass(frozen=True)
class Message:
    """What is in a queue, and from when on it can be seen."""

    queue: str
    body: str
    seen_at: datetime
    grouped: bool


class Driver:
    """Hands each function its events."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.key = stage.tenant("bench", **_BUDGETS)
        # The functions' clients come from the default session: this one, which is heard.
        boto3.setup_default_session()
        heard = boto3._get_default_session().events  # noqa: SLF001 - boto3 has no public name for it
        heard.register("provide-client-params.sqs.SendMessage", self._sent)
        self._meter = Meter(heard, stage.dynamodb, stage.logs, stage.provider.calls)
        self._modules = {name: _load(name) for name in _FUNCTIONS}
        self._messages: list[Message] = []
        self.announce(events=False)

    def announce(self, *, events: bool) -> None:
        """Whether the provider's events are set up, for processes that begin now."""
        self.stage.announce(events=events)
        for name in ("worker", "direct", "provider_events"):
            self._modules[name].service.cache_clear()

    def run(
        self, wake_mode: WakeMode, thinking: timedelta, effort: str, question: str, answer: str
    ) -> tuple[Tally, str]:
        """One job from its request to its webhook, and its id."""
        self._messages.clear()
        self.stage.provider.unannounced.clear()
        tally = self._meter.start()
        self.stage.provider.thinking, self.stage.provider.answer = thinking, answer
        asked = {"model": MODELS[wake_mode], "input": question, "reasoning": {"effort": effort}}
        job_id = self._post(self.key, asked)
        for _ in range(_MOST_STEPS):
            if self._state(job_id)["status"]["S"] in TERMINAL:
                break
            self._step(job_id, announced=wake_mode == "woken")
        else:
            raise RuntimeError("the job does not end")
        if wake_mode == "direct":
            # Its time was let pass at once; all the while it is looked whether the call is still wanted.
            self._look_during(job_id, int(thinking.total_seconds() / LOOK_SECONDS))
        self._invoke("notifier", stream_event(job_id))
        self._deliver()
        return tally, job_id

    def read(self, job_id: str) -> Tally:
        """The GET of a job."""
        tally = self._meter.start()
        self._invoke("api", request_event("GET", f"/v1/responses/{job_id}", self.key), over_http=True)
        return tally

    def admit(self, api_key: str, *, idempotency_key: str | None = None) -> tuple[Tally, str]:
        """What the POST of a job asks for, and the job's id."""
        tally = self._meter.start()
        asked = {"model": MODELS["checked"], "input": texts.question(), "reasoning": {"effort": "low"}}
        return tally, self._post(api_key, asked, idempotency_key=idempotency_key)

    def settle(self, job_id: str, *, thinking: timedelta) -> Tally:
        """What the last look at a job asks for, which sees its end."""
        self._meter.start()
        self.stage.provider.thinking, self.stage.provider.answer = thinking, texts.answer()
        self._consume(self._messages.pop())
        self._messages.clear()
        self.stage.calendar.forward(thinking)
        tally = self._meter.start()
        self._consume(Message("JobQueue", json.dumps({"job_id": job_id}), self.stage.calendar.now(), grouped=True))
        if self._state(job_id)["status"]["S"] not in TERMINAL:
            raise RuntimeError("the job does not end")
        return tally

    def left(self, job_id: str) -> dict[str, int]:
        """The sizes of what stands in the table."""
        items = self._items(JOB_TABLE, f"JOB#{job_id}")
        return {item["sk"]["S"].partition("#")[0]: item_bytes(item) for item in items}

    def book_bytes(self, tenant: str) -> dict[str, list[int]]:
        """The sizes of a tenant's budget items and usage rows."""
        return {
            kind: [item_bytes(item) for item in self._items(ACCOUNT_TABLE, f"{kind}#{tenant}")]
            for kind in ("BUDGET", "USAGE")
        }

    def left_in_bucket(self, job_id: str) -> int:
        """Bytes."""
        found = self.stage.s3.list_objects_v2(Bucket="payloads", Prefix=f"{job_id}/")
        return sum(each["Size"] for each in found.get("Contents", ()))

    def _post(self, api_key: str, asked: Json, *, idempotency_key: str | None = None) -> str:
        asked |= {"afterthought": {"webhook_url": self.stage.provider.hook_url}}
        event = request_event("POST", "/v1/responses", api_key, asked)
        if idempotency_key is not None:
            event["headers"]["idempotency-key"] = idempotency_key
        return str(json.loads(self._invoke("api", event, over_http=True)["body"])["id"])

    def _step(self, job_id: str, *, announced: bool) -> None:
        """Whatever comes first: a message, the provider's event, or the sweeper that finds the job overdue."""
        unannounced = self.stage.provider.unannounced
        message = min(self._messages, key=lambda each: each.seen_at, default=None)
        ended = min(unannounced, key=lambda each: unannounced[each], default=None) if announced else None
        moments = {
            "message": message.seen_at if message else None,
            "event": unannounced[ended] if ended else None,
            "sweep": self._sweep_at(job_id),
        }
        what, moment = min(((name, at) for name, at in moments.items() if at is not None), key=lambda each: each[1])
        if moment > self.stage.calendar.now():
            self.stage.calendar.set(moment)
        if what == "message" and message is not None:
            self._messages.remove(message)
            self._consume(message)
        elif what == "event" and ended is not None:
            headers, body = self.stage.provider.event(ended)
            del unannounced[ended]
            self._invoke("provider_events", provider_event(BACKGROUND, headers, body), over_http=True)
        else:
            # It runs every minute: only what it does for the job is the job's.
            self._invoke("sweeper", {}, invoked=False)

    def _sweep_at(self, job_id: str) -> datetime | None:
        """The first full minute at which the job is overdue."""
        due_at = self._state(job_id).get("due_at")
        if due_at is None:
            return None
        return datetime.fromtimestamp((float(due_at["N"]) // 60 + 1) * 60, UTC)

    def _look_during(self, job_id: str, times: int) -> None:
        jobs = self._modules["direct"].service().jobs
        for _ in range(times):
            with self._meter.running("direct", invoked=False):
                jobs.get(job_id)

    def _consume(self, message: Message) -> None:
        name = _TAKEN_BY[message.queue]
        self._meter.by_aws("Lambda", name, "ReceiveMessage", grouped=message.grouped)
        self._invoke(name, queue_event(message.body))
        self._meter.by_aws("Lambda", name, "DeleteMessage", grouped=message.grouped)

    def _deliver(self) -> None:
        url = self.stage.queue_urls["WebhookQueue"]
        found = self.stage.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)
        if not found.get("Messages"):
            raise RuntimeError("no message came to the WebhookQueue")
        message = found["Messages"][0]
        # SNS hands the group on.
        self._meter.by_aws("SNS", "webhooks", "SendMessage", grouped=True)
        self._meter.by_aws("Lambda", "webhooks", "ReceiveMessage", grouped=True)
        self._invoke("webhooks", queue_event(message["Body"]))
        self.stage.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        self._meter.by_aws("Lambda", "webhooks", "DeleteMessage", grouped=True)

    def _sent(self, params: Json, **_: Any) -> None:
        queue = next(name for name, url in self.stage.queue_urls.items() if url == params["QueueUrl"])
        seen_at = self.stage.calendar.now() + timedelta(seconds=params.get("DelaySeconds", 0))
        self._messages.append(Message(queue, params["MessageBody"], seen_at, "MessageGroupId" in params))

    def _invoke(self, name: str, event: Json, *, over_http: bool = False, invoked: bool = True) -> Any:
        with self._meter.running(name, over_http=over_http, invoked=invoked):
            answer = self._modules[name].handler(event, Context())
        check(answer)
        return answer

    def _state(self, job_id: str) -> Mapping[str, Any]:
        key = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
        found = self.stage.dynamodb.get_item(TableName=JOB_TABLE, Key=key, ConsistentRead=True)
        return found["Item"]

    def _items(self, table: str, key: str) -> list[Mapping[str, Any]]:
        found = self.stage.dynamodb.query(
            TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": key}}
        )
        return list(found["Items"])


@contextmanager
def driving(start: datetime) -> Iterator[Driver]:
    """On a new stack whose clock stands at `start`. Once in a process."""
    with staged(start) as stage:
        yield Driver(stage)


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"functions.{name}.app")
