"""Show a job to the tenant it belongs to."""

import json
from dataclasses import dataclass
from typing import Any

from afterthought.catalogue import Catalogue
from afterthought.domain.identity import known_form, no_such_response
from afterthought.domain.job import Job
from afterthought.domain.pricing import Cost, cost
from afterthought.domain.response import render
from afterthought.services.contents import get_answer, get_request
from afterthought.services.ports import Contents, JobLookup
from afterthought.services.submit import Submitted


@dataclass(frozen=True)
class Read:
    jobs: JobLookup
    contents: Contents
    catalogue: Catalogue

    def __call__(self, tenant: str, job_id: str) -> dict[str, Any]:
        """The response on the wire. Raises as `job` does."""
        return self.show(self.job(tenant, job_id))

    def job(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound, the same for an unknown job and for another tenant's."""
        job = self.jobs.get(known_form(job_id))
        if job is None or job.tenant != tenant:
            raise no_such_response(job_id)
        return job

    def show(self, job: Job) -> dict[str, Any]:
        """A job on the wire."""
        return self._render(job, get_request(self.contents, job) or {})

    def submitted(self, submitted: Submitted) -> dict[str, Any]:
        """The answer to a submission: a repeat shows the job as it stands by now."""
        return self._render(submitted.job, json.loads(submitted.request))

    def _render(self, job: Job, request: dict[str, Any]) -> dict[str, Any]:
        answer = get_answer(self.contents, job)
        return render(job, request, answer, self._bill(job), stand_in=self._stand_in(job))

    def _bill(self, job: Job) -> Cost | None:
        """The cost by part, worked out from what was used and the row it was priced by: it outlives the answer."""
        attempt = job.attempt
        row = self.catalogue.price_row(attempt.price_id) if attempt is not None and attempt.price_id else None
        if attempt is None or attempt.usage is None or row is None:
            return None
        bill = cost(attempt.usage, row)
        # A row that was changed after the fact would tell parts that are not those of the total that was booked.
        return bill if bill.total_usd == attempt.cost_usd else None

    def _stand_in(self, job: Job) -> bool:
        provider = self.catalogue.providers.get(job.attempt.provider or "") if job.attempt else None
        return provider is not None and provider.stand_in
