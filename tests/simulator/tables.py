"""JobTable: conditional writes, the index of overdue jobs, and the stream of changes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from afterthought.domain.errors import JobExists, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import NO_CAPS, Caps
from afterthought.domain.ledger.ledger import delta
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock
from tests.simulator.ledger import SimulatedLedger


@dataclass
class StreamRecord:
    """One change of a STATE item. `tries` counts the notifier's failed invocations for it."""

    before: Job | None
    after: Job
    tries: int = 0

    @property
    def job_id(self) -> str:
        return self.after.id

    def image(self) -> dict[str, Any]:
        """The record as Lambda's filter reads it."""
        record: dict[str, Any] = {
            "Keys": {"pk": {"S": f"JOB#{self.after.id}"}, "sk": {"S": "STATE"}},
            "NewImage": _image(self.after),
        }
        if self.before is not None:
            record["OldImage"] = _image(self.before)
        return {"eventName": "MODIFY" if self.before else "INSERT", "dynamodb": record}


def _image(job: Job) -> dict[str, Any]:
    return {"status": {"S": job.status}, "tenant": {"S": job.tenant}, "version": {"N": str(job.version)}}


@dataclass
class SimulatedJobs:
    """The port `JobStore`. `items` are the current versions, `history` all versions. The ledger changes in the same
    transaction."""

    calls: CallRecorder
    ledger: SimulatedLedger
    items: dict[str, Job] = field(default_factory=dict)
    history: dict[str, list[Job]] = field(default_factory=dict)
    stream: list[StreamRecord] = field(default_factory=list)

    def create(self, job: Job, caps: Caps) -> None:
        def put() -> None:
            if job.id in self.items:
                raise JobExists(job.id)
            self.ledger.apply(job.tenant, delta(None, job), caps)
            self._write(job)

        self.calls.call("jobs.create", put)

    def get(self, job_id: str) -> Job | None:
        return self.calls.call("jobs.get", lambda: self.items.get(job_id))

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        def put() -> None:
            stored = self.items.get(after.id)
            if stored is None or stored.version != before.version:
                raise VersionConflict(after.id)
            self.ledger.apply(after.tenant, change, caps)
            self._write(after)

        change = delta(before, after)
        self.calls.call("jobs.save", put, kind="jobs.save with money" if change else None)

    def mark_published(self, job_id: str) -> None:
        def update() -> None:
            stored = self.items.get(job_id)
            if stored is not None and stored.overdue_at is not None:
                self._write(stored.model_copy(update={"overdue_at": None, "version": stored.version + 1}))

        self.calls.call("jobs.mark_published", update)

    def overdue(self, now: datetime) -> Iterable[str]:
        return self.calls.call("jobs.overdue", lambda: self._overdue(now))

    def delete(self, job_id: str) -> None:
        """Deletion by the table's time to live."""
        del self.items[job_id]

    def _overdue(self, now: datetime) -> list[str]:
        overdue = [
            (job.overdue_at, job.id)
            for job in self.items.values()
            if job.overdue_at is not None and job.overdue_at < now
        ]
        return [job_id for _, job_id in sorted(overdue)]

    def _write(self, job: Job) -> None:
        self.stream.append(StreamRecord(self.items.get(job.id), job))
        self.items[job.id] = job
        self.history.setdefault(job.id, []).append(job)


@dataclass
class SimulatedContents:
    """The port `Contents`. An expired item is absent at once; DynamoDB deletes it later."""

    calls: CallRecorder
    clock: Clock
    items: dict[tuple[str, str], tuple[bytes, datetime]] = field(default_factory=dict)

    def put(self, job_id: str, name: str, content: bytes, *, expires_at: datetime) -> None:
        def write() -> None:
            self.items[job_id, name] = (content, expires_at)

        self.calls.call("contents.put", write)

    def get(self, job_id: str, name: str) -> bytes | None:
        def read() -> bytes | None:
            content, expires_at = self.items.get((job_id, name), (None, self.clock()))
            return content if expires_at > self.clock() else None

        return self.calls.call("contents.get", read)


@dataclass
class DeliveryRecord:
    delivered: bool = False
    sends: list[tuple[datetime, int | None, str | None]] = field(default_factory=list)


@dataclass
class SimulatedDeliveries:
    """The port `Deliveries`."""

    calls: CallRecorder
    items: dict[tuple[str, str], DeliveryRecord] = field(default_factory=dict)

    def delivered(self, job_id: str, endpoint: str) -> bool:
        return self.calls.call(
            "deliveries.delivered", lambda: self.items.get((job_id, endpoint), DeliveryRecord()).delivered
        )

    def record(self, job_id: str, endpoint: str, *, at: datetime, status: int | None, error: str | None) -> None:
        def update() -> None:
            item = self.items.setdefault((job_id, endpoint), DeliveryRecord())
            item.delivered = item.delivered or error is None
            item.sends.append((at, status, error))

        self.calls.call("deliveries.record", update)
