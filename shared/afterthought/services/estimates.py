"""Put what an attempt really used in the place of its estimate, once the provider says it."""

from dataclasses import dataclass

from afterthought.catalogue import Catalogue
from afterthought.domain.attempt import Attempt
from afterthought.domain.call import belongs
from afterthought.domain.errors import JobChanged, ProviderError
from afterthought.domain.job import Job
from afterthought.domain.record import TERMINAL
from afterthought.services.ports import Generation, Generations, JobStore
from afterthought.services.settle import correct
from afterthought.services.step import Step

_TRIES = 4


@dataclass(frozen=True)
class Estimates:
    jobs: JobStore
    generations: Generations
    catalogue: Catalogue

    def late(self, job: Job) -> Step:
        """The job has ended, and costs of its are estimates: the provider may know by now what was used. It is asked
        once: a look that sends the next one, with no write to win between them, would double with each message that
        comes twice. What its owner did not want any more and still runs is cancelled once more."""
        step = Step("dropped", before=job)
        for attempt in job.correctable:
            generation = self._ask(job, attempt)
            if generation is not None:
                corrected = self.correct(step.after or job, attempt, generation)
                step = corrected if corrected.outcome == "corrected" else step
        return step

    def correct(self, job: Job, attempt: Attempt, generation: Generation) -> Step:
        """What is said of an attempt that is not open any more."""
        stands: Job | None = job
        for _ in range(_TRIES):
            entry = stands.attempts[attempt.number - 1] if stands is not None else None
            if stands is None or entry is None or not entry.estimated:
                break
            corrected = correct(stands, entry, generation, model=self.catalogue.find(entry.model or stands.model))
            if corrected is None:
                break
            try:
                self.jobs.save(stands, corrected)
            except JobChanged:
                # It was announced, or swept, just then: what it cost is the same. Or this very write was repeated.
                found = self.jobs.get(job.id)
                if found != corrected:
                    stands = found
                    continue
            return Step("corrected", before=stands, after=corrected)
        return Step("dropped", before=job)

    def _ask(self, job: Job, attempt: Attempt) -> Generation | None:
        provider = self.catalogue.providers.get(attempt.provider or "")
        if provider is None or attempt.response_id is None:
            return None
        unwanted = job.status == "cancelled" or (job.failure is not None and job.failure.code == "deadline_exceeded")
        try:
            look = self.generations.cancel if unwanted else self.generations.retrieve
            generation = look(provider, attempt.response_id)
        except ProviderError:
            return None
        known = belongs(generation.metadata, job, attempt) and generation.status in TERMINAL
        return generation if known else None
