"""The callers: each request over HTTP with its own Idempotency-Key, so that it can be sent again."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from afterthought.adapters.clock import now
from afterthought.domain.tenants.identity import idempotent_job_id
from local.standin import StandIn
from tests.soak.plan import PlannedJob

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Json = dict[str, Any]

FALLBACK_TENANT = "globex"
"""Submits the jobs that do not fit another tenant's budget."""
TRIES = 20
PAUSE_SECONDS = 1.0


class Unanswered(Exception):
    """A request without a usable answer after all tries."""


@dataclass(frozen=True)
class Accepted:
    """A job whose request was answered 2xx."""

    id: str
    tenant: str
    plan: PlannedJob


@dataclass
class Callers:
    """`accepted` are the jobs by id, `problems` the wrong answers. `counts` has the callers' actions and retries, and
    `scripted` the faults scripted in the stand-in, both by name. `cancelled_at` has the times of answered cancels."""

    base_url: str
    keys: Mapping[str, str]
    webhook_url: Callable[[str], str]
    stand_in: StandIn
    sqs: "SQSClient"
    queues: Mapping[bool, str]
    accepted: dict[str, Accepted] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    scripted: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    cancels: set[str] = field(default_factory=set)
    cancelled_at: dict[str, datetime] = field(default_factory=dict)
    _timers: list[threading.Timer] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, plan: PlannedJob) -> None:
        """Submits the job for a tenant with enough budget, and schedules the planned actions."""
        job = self._submit(plan, plan.tenant) or self._submit(plan, FALLBACK_TENANT)
        if job is None:
            raise Unanswered(f"{plan.key} fits no budget")
        with self._lock:
            self.accepted[job.id] = job
        if plan.send_twice:
            again = self._post(job.tenant, "/responses", self._body(plan, job.tenant), key=plan.key)[1]
            self._count("requests sent twice")
            if again.get("id") != job.id:
                self._add_problem(f"{plan.key} sent twice created {job.id} and {again}")
        if plan.duplicate_message:
            self._later(2.0, lambda: self._duplicate_message(job))
        if plan.cancelled_after is not None:
            self._later(plan.cancelled_after, lambda: self._cancel(job))

    def finish(self) -> None:
        """Waits for the delayed actions."""
        for timer in self._timers:
            timer.join()

    def script_fault(self, do: str, **fields: Any) -> None:
        """Scripts a fault of the stand-in."""
        with self._lock:
            self.scripted[fault_name(do, fields.get("on", "create"))] += fields.get("times", 1)
        self.stand_in.script(do, **fields)

    def faults(self) -> Counter[str]:
        """The faults that occurred. The remaining rules are for calls that were not made."""
        remaining = Counter[str]()
        for rule in self.stand_in.state()["script"]:
            remaining[fault_name(rule["do"], rule["on"])] += rule["times"]
        return self.scripted - remaining

    def max_cost(self, tenant: str, body: Mapping[str, Any]) -> Decimal:
        """The dollars that such a request holds."""
        status, plan = self._post(tenant, "/responses", {**body, "afterthought": {"dry_run": True}})
        if status != 200:
            raise Unanswered(f"a dry run was answered {status}: {plan}")
        return Decimal(plan["afterthought"]["bound"]["total_usd"])

    def read(self, job: Accepted) -> Json:
        status, body = self._exchange("GET", job.tenant, f"/responses/{job.id}")
        if status != 200:
            raise Unanswered(f"GET of {job.id} was answered {status}: {body}")
        return body

    def _submit(self, plan: PlannedJob, tenant: str) -> Accepted | None:
        """None if the tenant's budget is full."""
        job_id = idempotent_job_id(tenant, plan.key)
        for rule in plan.rules:
            # Before the request, because the worker may be faster than the answer.
            self.script_fault(contains=job_id, **rule)
        status, body = self._post(tenant, "/responses", self._body(plan, tenant), key=plan.key)
        if status == 402:
            self._count("requests refused by a budget")
            return None
        if status != 200 or body["id"] != job_id:
            raise Unanswered(f"{plan.key} of {tenant} was answered {status}: {body}")
        return Accepted(job_id, tenant, plan)

    def _body(self, plan: PlannedJob, tenant: str) -> Json:
        options = {**plan.body["afterthought"], "webhook_url": self.webhook_url(tenant)}
        return {**plan.body, "afterthought": options}

    def _duplicate_message(self, job: Accepted) -> None:
        """Sends the job's message again, as at-least-once delivery may."""
        self._count("queue messages duplicated")
        self.sqs.send_message(
            QueueUrl=self.queues[job.plan.direct],
            MessageBody=json.dumps({"job_id": job.id}),
            MessageGroupId=job.tenant,
        )

    def _cancel(self, job: Accepted) -> None:
        self._count("cancels")
        with self._lock:
            self.cancels.add(job.id)
        status, body = self._post(job.tenant, f"/responses/{job.id}/cancel", {})
        if status == 200 and body["status"] not in ("completed", "failed", "incomplete"):
            with self._lock:
                self.cancelled_at[job.id] = now()
        if status != 200:
            self._add_problem(f"the cancel of {job.id} was answered {status}: {body}")

    def _post(self, tenant: str, path: str, body: Json, key: str | None = None) -> tuple[int, Json]:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._exchange("POST", tenant, path, json.dumps(body), headers)

    def _exchange(
        self, method: str, tenant: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """The answer. Tries again on a 5xx or no answer, which a killed api function gives."""
        address = urlsplit(self.base_url)
        all_headers = {
            "Authorization": f"Bearer {self.keys[tenant]}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        status, text = 0, b""
        for _ in range(TRIES):
            connection = http.client.HTTPConnection(address.netloc, timeout=60)
            try:
                connection.request(method, address.path + path, body, all_headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read()
                if status < 500 and status != 429:
                    return status, json.loads(text)
                self._count(f"requests answered {status} and sent again")
            except OSError:
                self._count("requests not answered and sent again")
            finally:
                connection.close()
            time.sleep(PAUSE_SECONDS)
        raise Unanswered(f"{method} {path} was answered {status} {TRIES} times: {text[:500]!r}")

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def run() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - an exception in this thread would be lost; it is reported
                self._add_problem(repr(error))

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        with self._lock:
            self._timers.append(timer)
        timer.start()

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def _add_problem(self, problem: str) -> None:
        with self._lock:
            self.problems.append(problem)


def fault_name(do: str, on: str) -> str:
    return f"{do} on {on}" if on == "retrieve" else do
