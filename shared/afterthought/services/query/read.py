"""Reads a tenant's job as a response."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterthought.catalogue import Catalogue
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.pricing import Cost, cost
from afterthought.domain.tenants.identity import response_not_found, valid_job_id
from afterthought.domain.wire.response import render
from afterthought.services.contents import get_answer, get_request
from afterthought.services.intake.submit import Submission
from afterthought.services.ports import Contents, JobLookup

if TYPE_CHECKING:
    from afterthought.domain.wire import schemas


@dataclass(frozen=True)
class JobReader:
    jobs: JobLookup
    contents: Contents
    catalogue: Catalogue

    def read(self, tenant: str, job_id: str) -> "schemas.Response":
        """The response for a job id. Raises NotFound as `get` does."""
        return self.show(self.get(tenant, job_id))

    def get(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound, with the same message for an unknown job and for one of another tenant."""
        job = self.jobs.get(valid_job_id(job_id))
        if job is None or job.tenant != tenant:
            raise response_not_found(job_id)
        return job

    def show(self, job: Job) -> "schemas.Response":
        """The response for a job."""
        return self._render(job, get_request(self.contents, job) or {})

    def show_submission(self, submission: Submission) -> "schemas.Response":
        """The response to a submission; for a repeat, the current state of the job."""
        return self._render(submission.job, json.loads(submission.request))

    def _render(self, job: Job, request: dict[str, Any]) -> "schemas.Response":
        answer = get_answer(self.contents, job)
        return render(job, request, answer, self._cost(job), stand_in=self._stand_in(job))

    def _cost(self, job: Job) -> Cost | None:
        """The cost by part, from the usage and its price row. Available even after the answer has expired."""
        attempt = job.attempt
        row = self.catalogue.price_row(attempt.price_id) if attempt is not None and attempt.price_id else None
        if attempt is None or attempt.usage is None or row is None:
            return None
        parts = cost(attempt.usage, row)
        # If the row was edited afterwards, the parts no longer add up to the settled total.
        return parts if parts.total_usd == attempt.cost_usd else None

    def _stand_in(self, job: Job) -> bool:
        provider = self.catalogue.providers.get(job.attempt.provider or "") if job.attempt else None
        return provider is not None and provider.stand_in
