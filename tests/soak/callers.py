"""Those who ask: over HTTP, each request under a key of its own, so that what was not answered can be sent again."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from afterthought.domain.tenants.identity import idempotent_job_id
from local.standin import StandIn
from tests.soak.plan import Wanted

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Json = dict[str, Any]

RICH = "globex"
"""Who is asked to pay what another tenant's budget has no room for."""
TRIES = 20
PAUSE_SECONDS = 1.0


class Unanswered(Exception):
    """What a caller could do nothing about."""


@dataclass(frozen=True)
class Accepted:
    """A job that was answered 2xx, and for whom."""

    id: str
    tenant: str
    wanted: Wanted


@dataclass
class Callers:
    """`accepted` is what the service took on, `problems` what it should not have answered. `counts` has what the
    callers met and did, `scripted` how often the stand-in was told to misbehave, both by name."""

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
    _timers: list[threading.Timer] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, wanted: Wanted) -> None:
        """Has the job taken on, by whoever has money for it, and does to it what was drawn for it."""
        job = self._submitted(wanted, wanted.tenant) or self._submitted(wanted, RICH)
        if job is None:
            raise Unanswered(f"{wanted.key} was accepted for nobody")
        with self._lock:
            self.accepted[job.id] = job
        if wanted.twice:
            again = self._post(job.tenant, "/responses", self._body(wanted, job.tenant), key=wanted.key)[1]
            self._count("requests sent twice")
            if again.get("id") != job.id:
                self._blame(f"{wanted.key} sent twice made {job.id} and {again}")
        if wanted.doubled:
            self._later(2.0, lambda: self._double(job))
        if wanted.cancelled_after is not None:
            self._later(wanted.cancelled_after, lambda: self._cancel(job))

    def finish(self) -> None:
        """Waits for what was to be done later."""
        for timer in self._timers:
            timer.join()

    def misbehave(self, do: str, **fields: Any) -> None:
        """Has the stand-in do so."""
        with self._lock:
            self.scripted[named(do, fields.get("on", "create"))] += fields.get("times", 1)
        self.stand_in.script(do, **fields)

    def struck(self) -> Counter[str]:
        """How often it did: what was told and is still to come was for jobs that were never called, or not again."""
        left = Counter[str]()
        for rule in self.stand_in.state()["script"]:
            left[named(rule["do"], rule["on"])] += rule["times"]
        return self.scripted - left

    def bound(self, tenant: str, body: Mapping[str, Any]) -> Decimal:
        """Dollars that are held for such a request."""
        asked = {**body, "afterthought": {"dry_run": True}}
        status, told = self._post(tenant, "/responses", asked)
        if status != 200:
            raise Unanswered(f"a dry run was answered {status}: {told}")
        return Decimal(told["afterthought"]["bound"]["total_usd"])

    def show(self, job: Accepted) -> Json:
        return self._expected(200, "GET", job.tenant, f"/responses/{job.id}")

    def _submitted(self, wanted: Wanted, tenant: str) -> Accepted | None:
        """None where the tenant's budget has no room."""
        job_id = idempotent_job_id(tenant, wanted.key)
        for rule in wanted.rules:
            # By the id that it will have: the worker may be quicker than the answer.
            self.misbehave(contains=job_id, **rule)
        status, body = self._post(tenant, "/responses", self._body(wanted, tenant), key=wanted.key)
        if status == 402:
            self._count("refused for want of room in a budget")
            return None
        if status != 200 or body["id"] != job_id:
            raise Unanswered(f"{wanted.key} of {tenant} was answered {status}: {body}")
        return Accepted(job_id, tenant, wanted)

    def _body(self, wanted: Wanted, tenant: str) -> Json:
        ours = {**wanted.body["afterthought"], "webhook_url": self.webhook_url(tenant)}
        return {**wanted.body, "afterthought": ours}

    def _double(self, job: Accepted) -> None:
        """As a queue does that delivers at least once."""
        self._count("queue messages doubled")
        self.sqs.send_message(
            QueueUrl=self.queues[job.wanted.direct],
            MessageBody=json.dumps({"job_id": job.id}),
            MessageGroupId=job.tenant,
        )

    def _cancel(self, job: Accepted) -> None:
        self._count("cancels")
        status, body = self._post(job.tenant, f"/responses/{job.id}/cancel", {})
        if status != 200:
            self._blame(f"the cancel of {job.id} was answered {status}: {body}")

    def _expected(self, wanted: int, method: str, tenant: str, path: str) -> Json:
        status, body = self._exchange(method, tenant, path)
        if status != wanted:
            raise Unanswered(f"{method} {path} was answered {status}: {body}")
        return body

    def _post(self, tenant: str, path: str, body: Json, key: str | None = None) -> tuple[int, Json]:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._exchange("POST", tenant, path, json.dumps(body), headers)

    def _exchange(
        self, method: str, tenant: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """The answer, after as many tries as it takes: an api function that was killed gives a 5xx or nothing."""
        address = urlsplit(self.base_url)
        told = {"Authorization": f"Bearer {self.keys[tenant]}", "Content-Type": "application/json", **(headers or {})}
        status, text = 0, b""
        for _ in range(TRIES):
            connection = http.client.HTTPConnection(address.netloc, timeout=60)
            try:
                connection.request(method, address.path + path, body, told)
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

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        def done() -> None:
            try:
                do()
            except Exception as error:  # noqa: BLE001 - the end of a thread: what went wrong is told in the report
                self._blame(repr(error))

        timer = threading.Timer(seconds, done)
        timer.daemon = True
        with self._lock:
            self._timers.append(timer)
        timer.start()

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def _blame(self, what: str) -> None:
        with self._lock:
            self.problems.append(what)


def named(do: str, on: str) -> str:
    return f"{do} on {on}" if on == "retrieve" else do
