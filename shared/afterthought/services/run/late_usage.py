"""Replaces the estimated cost of an attempt by the real cost, once the provider reports the usage."""

from dataclasses import dataclass

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import ProviderError
from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.call import belongs
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.next_step import cancel_late_run
from afterthought.domain.jobs.settlement import correct
from afterthought.domain.jobs.step import Step
from afterthought.services.commit import always, commit
from afterthought.services.ports import Generations, JobStore


@dataclass(frozen=True)
class LateUsage:
    jobs: JobStore
    generations: Generations
    catalogue: Catalogue

    def fetch(self, job: Job) -> Step:
        """Asks the provider for the usage of an ended job's estimated attempts, without a retry: no write decides which
        process retries, so duplicate messages would multiply. A cancelled run is cancelled again."""
        step = Step("ignored", before=job)
        for attempt in job.awaiting_usage:
            generation = self._retrieve(job, attempt)
            if generation is not None:
                result = self.apply(step.after or job, attempt, generation)
                step = result if result.outcome == "corrected" else step
        return step

    def apply(self, job: Job, attempt: Attempt, generation: Generation) -> Step:
        """Corrects the cost of an attempt that is no longer open."""

        def change(current: Job) -> Job | None:
            entry = current.attempts[attempt.number - 1]
            if not entry.estimated:
                return None
            return correct(current, entry, generation, self.catalogue.find(entry.model or current.model))

        # The cost does not depend on other changes of the job.
        before, after = commit(self.jobs, job, change, rebase=always)
        return Step("ignored", before=job) if after is before else Step("corrected", before=before, after=after)

    def _retrieve(self, job: Job, attempt: Attempt) -> Generation | None:
        provider = self.catalogue.providers.get(attempt.provider or "")
        if provider is None or attempt.response_id is None:
            return None
        try:
            read = self.generations.cancel if cancel_late_run(job) else self.generations.retrieve
            generation = read(provider, attempt.response_id)
        except ProviderError:
            return None
        return generation if generation.ended and belongs(generation.metadata, job, attempt) else None
