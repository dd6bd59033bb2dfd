"""The provider says that a response has ended: find the job that it belongs to, and take it further.

An event names the provider's response and nothing of ours, so the response is asked for, and its metadata says whose it
is. That finds a job whose worker has not yet written the response's id down, or died before it could. No map of ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from afterthought.catalogue import Catalogue
from afterthought.domain.attempt import Attempt
from afterthought.domain.call import ATTEMPT, JOB, belongs
from afterthought.domain.errors import GenerationGone, NotFound
from afterthought.domain.identity import known_form
from afterthought.domain.job import Job
from afterthought.services.advance import Advance
from afterthought.services.ports import Generations, JobLookup
from afterthought.services.step import Step


@dataclass(frozen=True)
class Woken:
    """`foreign`: no job of ours, `gone`: no response of that id, `known`: a job that has been told already; else
    `told`, with the step that was taken."""

    outcome: Literal["told", "known", "foreign", "gone"]
    step: Step = field(default_factory=lambda: Step("dropped"))


@dataclass(frozen=True)
class Wake:
    jobs: JobLookup
    generations: Generations
    catalogue: Catalogue
    providers: tuple[str, ...]
    advance: Advance

    def __call__(self, provider_name: str, response_id: str) -> Woken:
        """Raises ProviderError when the provider could not be asked: the event is then to be handed out again, since
        for a call whose id we do not know it is the only one who tells."""
        provider = self.catalogue.providers.get(provider_name) if provider_name in self.providers else None
        if provider is None:
            return Woken("foreign")
        try:
            generation = self.generations.retrieve(provider, response_id)
        except GenerationGone:
            return Woken("gone")
        found = self._find(generation.metadata, provider.name)
        if found is None:
            return Woken("foreign")
        step = self.advance.told(*found, generation)
        return Woken("known" if step.outcome == "dropped" else "told", step)

    def _find(self, metadata: Mapping[str, str], provider: str) -> tuple[Job, Attempt] | None:
        try:
            job = self.jobs.get(known_form(metadata.get(JOB, "")))
        except NotFound:
            return None
        if job is None:
            return None
        number = metadata.get(ATTEMPT, "")
        return next(
            (
                (job, attempt)
                for attempt in job.attempts
                if str(attempt.number) == number and attempt.provider == provider and belongs(metadata, job, attempt)
            ),
            None,
        )
