"""Take a request in: check it, keep it, and say so. After this answers, the job cannot be lost."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from afterthought.catalogue import Catalogue
from afterthought.domain import admission, body, identity, job
from afterthought.domain.endpoint import check_url
from afterthought.domain.errors import IdempotencyConflict, InvalidRequest, JobExists, QueueUnavailable
from afterthought.domain.job import Job
from afterthought.domain.model import Model
from afterthought.domain.request import CreateResponse
from afterthought.services.contents import put_request
from afterthought.services.ports import Contents, JobQueue, Jobs


@dataclass(frozen=True)
class Submitted:
    """`repeated` is true when the same Idempotency-Key and body had made the job before; `enqueued` is false when the
    message could not be sent: the sweeper then sends it."""

    job: Job
    request: bytes
    repeated: bool
    enqueued: bool


@dataclass(frozen=True)
class Submit:
    jobs: Jobs
    contents: Contents
    queue: JobQueue
    catalogue: Catalogue
    providers: tuple[str, ...]
    allowed_origins: AbstractSet[str]
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]

    def __call__(self, tenant: str, raw_body: bytes, idempotency_key: str | None) -> Submitted:
        """The job that the request made, or had made before. Raises RequestRefused before anything is stored."""
        now = self.clock()
        request = body.read(raw_body)
        model = self._model(request.model, now)
        admission.check(request, model, on=now.date())
        webhook_url = request.afterthought.webhook_url if request.afterthought else None
        if webhook_url is not None:
            check_url(webhook_url, allowed_origins=self.allowed_origins)
        canonical = body.canonical(request)
        if idempotency_key is None:
            job_id = identity.random_job_id(self.random_bytes(24))
        else:
            job_id = identity.keyed_job_id(tenant, idempotency_key)
            # Looking first spares the repeat its writes; the condition on the write below is what decides.
            if (known := self.jobs.get(job_id)) is not None:
                return _repeat(known, canonical)
        new = _job(job_id, tenant, request, model, canonical, now)
        put_request(self.contents, new, canonical)
        try:
            self.jobs.create(new)
        except JobExists:
            known = self.jobs.get(job_id)
            if known is None:
                raise
            if known == new:
                # A write whose answer was lost, repeated by its transport: it was ours, and has no message yet.
                return Submitted(new, canonical, repeated=False, enqueued=self._enqueue(new))
            return _repeat(known, canonical)
        return Submitted(new, canonical, repeated=False, enqueued=self._enqueue(new))

    def _enqueue(self, new: Job) -> bool:
        try:
            self.queue.send(new.id, tenant=new.tenant)
        except QueueUnavailable:
            # The job stands in the table and is due: the sweeper sends the message. Refusing now would be a lie.
            return False
        return True

    def _model(self, name: str, now: datetime) -> Model:
        model = self.catalogue.find(name)
        if model is None:
            raise InvalidRequest(
                f"The model '{name[:80]}' does not exist. Models: {', '.join(sorted(self.catalogue.models))}.",
                param="model",
                code="model_not_found",
            )
        provider = self.catalogue.provider_for(model.id, self.providers, now.date())
        if provider is None:
            raise InvalidRequest(self._gone(model, now), param="model", code="model_not_found")
        if provider.mode_for(model.id) != "background":
            raise InvalidRequest(
                f"The model '{model.id}' is served without a background mode, which is not supported.",
                param="model",
                code="unsupported_model",
            )
        return model

    def _gone(self, model: Model, now: datetime) -> str:
        live = self.catalogue.live_successor_of(model.id, self.providers, now.date())
        if not self.catalogue.retired_everywhere(model.id, self.providers, now.date()):
            return f"The model '{model.id}' is not served here. See GET /v1/models for what is."
        told = f"The model '{model.id}' has been retired by its provider"
        if model.successor is None:
            return f"{told}. See GET /v1/models for what is served."
        if live is None or live.id == model.successor:
            return f"{told}; its successor is {model.successor}."
        return f"{told}; its successor is {model.successor}, itself retired: use {live.id}."


def _job(job_id: str, tenant: str, request: CreateResponse, model: Model, canonical: bytes, now: datetime) -> Job:
    return job.accept(
        id=job_id,
        tenant=tenant,
        model=request.model,
        effort=admission.effort(request, model),
        max_output_tokens=request.max_output_tokens,
        service_tier=admission.service_tier(request),
        body_hash=body.body_hash(canonical),
        webhook=request.afterthought is not None and request.afterthought.webhook_url is not None,
        now=now,
    )


def _repeat(known: Job, canonical: bytes) -> Submitted:
    if known.body_hash != body.body_hash(canonical):
        raise IdempotencyConflict(
            "This Idempotency-Key was used with another request. Send the same body, or another key.",
            param="Idempotency-Key",
        )
    return Submitted(known, canonical, repeated=True, enqueued=True)
