"""Handles a provider event: a response has ended; finds its job and records the result.

An event names only the provider's response. The response is retrieved, and its metadata names the job. This also finds
a job whose worker stopped before it recorded the response id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import GenerationGone, NotFound
from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.call import ATTEMPT, JOB, belongs
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.domain.tenants.identity import valid_job_id
from afterthought.services.ports import Generations, JobLookup
from afterthought.services.run.run_job import JobRunner


@dataclass(frozen=True)
class HandledEvent:
    """`unrelated`: the response belongs to no job; `missing`: the provider has no such response; `duplicate`: the job
    already has the result; `applied`: see `step`."""

    outcome: Literal["applied", "duplicate", "unrelated", "missing"]
    step: Step = field(default_factory=lambda: Step("ignored"))


@dataclass(frozen=True)
class ProviderEventHandler:
    jobs: JobLookup
    generations: Generations
    catalogue: Catalogue
    providers: tuple[str, ...]
    runner: JobRunner

    def handle(self, provider_name: str, response_id: str) -> HandledEvent:
        """Raises ProviderError when the response could not be retrieved. The event must then be handled again: it may
        be the only way to find a call whose response id was not recorded."""
        provider = self.catalogue.providers.get(provider_name) if provider_name in self.providers else None
        if provider is None:
            return HandledEvent("unrelated")
        try:
            generation = self.generations.retrieve(provider, response_id)
        except GenerationGone:
            return HandledEvent("missing")
        job = self._job(generation.metadata)
        attempt = _attempt(job, generation.metadata, provider.name) if job is not None else None
        if job is None or attempt is None:
            return HandledEvent("unrelated")
        step = self.runner.handle_event(job, attempt, generation)
        return HandledEvent("duplicate" if step.outcome == "ignored" else "applied", step)

    def _job(self, metadata: Mapping[str, str]) -> Job | None:
        try:
            return self.jobs.get(valid_job_id(metadata.get(JOB, "")))
        except NotFound:
            return None


def _attempt(job: Job, metadata: Mapping[str, str], provider: str) -> Attempt | None:
    for attempt in job.attempts:
        if str(attempt.number) == metadata.get(ATTEMPT) and attempt.provider == provider:
            return attempt if belongs(metadata, job, attempt) else None
    return None
