"""Records the outcome of a call: stores the answer, chooses a fallback, writes the job."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import OUT_OF_FUNDS_CODES, TablesBusy
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.outcome import (
    Accepted,
    Busy,
    Ended,
    Failed,
    Outcome,
    Policy,
    Refused,
    Retired,
    Running,
    Unknown,
    Unwanted,
    apply,
    fallback_reason,
)
from afterthought.domain.ledger.budget import NO_CAPS, Caps, OverBudget, caps_of
from afterthought.domain.models.provider import Provider
from afterthought.domain.wire.response import Answer
from afterthought.services.commit import Committed, commit, never, same_call
from afterthought.services.contents import get_request, put_answer
from afterthought.services.limits.circuit_breaker import CircuitBreaker
from afterthought.services.ports import Accounts, Contents, Generations, JobStore
from afterthought.services.run.fallback import Fallback, Fallbacks


@dataclass(frozen=True)
class OutcomeRecorder:
    """`on_provider_paused` is called with the provider and its error code when the circuit breaker opens."""

    jobs: JobStore
    contents: Contents
    accounts: Accounts
    generations: Generations
    catalogue: Catalogue
    fallbacks: Fallbacks
    circuit_breaker: CircuitBreaker
    clock: Callable[[], datetime]
    random: Callable[[], float]
    on_provider_paused: Callable[[str, str], None]

    def record(self, job: Job, provider: Provider | None, outcome: Outcome) -> Committed:
        """Raises VersionConflict when another process recorded the call first."""
        policy = self._policy(job, provider, outcome)
        if isinstance(outcome, Ended):
            put_answer(self.contents, job, job.called_attempt.number, Answer(output=outcome.generation.output))
        outcome, fallback = self._fallback(job, outcome, policy)
        try:
            return self._write(job, outcome, policy, fallback)
        except TablesBusy:
            if not isinstance(outcome, Refused):
                raise
            # Otherwise the attempt would later count as a call with an unknown outcome and cost its hold. Nothing ran,
            # so the call may be repeated. A requeue moves no money, so it cannot conflict on the ledger.
            return self._write(job, Busy(retry_after_seconds=2), policy, Fallback())

    def _policy(self, job: Job, provider: Provider | None, outcome: Outcome) -> Policy:
        # Reading it can be slow: only where `apply` needs it.
        needed = provider is not None and job.mode == "background" and isinstance(outcome, Accepted | Running | Unknown)
        return Policy(
            sends_events=provider is not None and needed and self.generations.sends_events(provider),
            model=self.catalogue.find(job.called_model),
            retry_at=self._open_circuit(provider, outcome),
            random=self.random() if isinstance(outcome, Busy | Refused) else 0.0,
        )

    def _open_circuit(self, provider: Provider | None, outcome: Outcome) -> datetime | None:
        """When the provider may be called again, if it has no funds of ours; None otherwise."""
        if provider is None or not isinstance(outcome, Busy) or outcome.code not in OUT_OF_FUNDS_CODES:
            return None
        self.on_provider_paused(provider.name, outcome.code)
        return self.circuit_breaker.open(provider.name, outcome.code)

    def _fallback(self, job: Job, outcome: Outcome, policy: Policy) -> tuple[Outcome, Fallback]:
        """The calls that may follow. If there are none, the message of a refusal says why."""
        now = self.clock()
        reason = fallback_reason(job, outcome, policy, now)
        if reason is None:
            return outcome, Fallback()
        ended = apply(job, outcome, policy, now)
        fallback = self.fallbacks.find(ended, get_request(self.contents, job), reason)
        if isinstance(outcome, Refused | Retired):
            outcome = outcome._replace(message=f"{outcome.message} {fallback.why_none}".strip())
        return outcome, fallback

    def _write(self, job: Job, outcome: Outcome, policy: Policy, fallback: Fallback) -> Committed:
        """Writes the outcome with the first fallback that fits the budgets, otherwise without one."""
        tenant = self.accounts.tenant(job.tenant) if fallback.calls else None
        if tenant is not None:
            for call in fallback.calls:
                try:
                    return self._commit(job, outcome, policy, call, caps_of(tenant))
                except OverBudget:
                    continue
        return self._commit(job, outcome, policy)

    def _commit(
        self, job: Job, outcome: Outcome, policy: Policy, call: CallSpec | None = None, caps: Caps = NO_CAPS
    ) -> Committed:
        # A poll without news, or one that gave up, must not win over another process: both would send the next message,
        # or the other one has news.
        polled = job.attempt is not None and job.attempt.state == "running"
        ending = isinstance(outcome, Running) and outcome.ending
        gives_way = polled and isinstance(outcome, Running | Unwanted | Failed) and not ending
        rebase = never if gives_way else same_call(job)
        return commit(
            self.jobs,
            job,
            lambda current: apply(current, outcome, policy, self.clock(), call),
            caps=caps,
            rebase=rebase,
        )
