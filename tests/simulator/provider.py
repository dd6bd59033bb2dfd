"""A model provider that records its runs: for which job, and whether the attempt was recorded before the call."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from afterthought.domain.errors import GenerationGone, OutcomeUnknown, ProviderBusy, ProviderError, ProviderRefused
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.status import TERMINAL, Status
from afterthought.domain.models.pricing import Usage
from afterthought.domain.models.provider import Provider
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock
from tests.simulator.secret import SimulatedSecret

THINKING_SECONDS = {"none": 2, "minimal": 4, "low": 8, "medium": 40, "high": 180, "xhigh": 900, "max": 3600}

Answer = Literal["accepts", "busy", "refuses", "lost before", "lost after", "no money", "model gone"]
"""The result of a call to create: accepted; refused for now (`busy`, `no money`) or for good (`refuses`, `model gone`);
or the connection breaks before or after the run started (`lost before`, `lost after`)."""

Ending = Literal[
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "without usage",
    "late usage",
    "over max cost",
    "gone",
    "other token",
    "never",
    "starved",
    "rate limited",
    "out of money",
]
"""How a run ends.

- `late usage`: the usage is reported ten minutes after the end, also that of a cancelled run.
- `over max cost`: the usage exceeds the maximum of every request.
- `gone`: the response id is unknown after the end.
- `other token`: the response carries the token of another attempt.
- `starved`: reasoning used all output tokens; there is no visible output.
- `rate limited`, `out of money`: accepted, then failed without having run.
"""

REFUSED_RUNS: dict[Ending, str] = {"rate limited": "rate_limit_exceeded", "out of money": "insufficient_quota"}
"""Endings without a run, with the error code of the response."""

LATE_USAGE = timedelta(minutes=10)
_FOREVER = 1e9


@dataclass
class ProviderPlan:
    """What the provider does with the next calls to create: an answer for each, and an ending for each accepted one.

    After these lists, a call gets `default_answer` and a run completes. `usages` are those of the next runs.
    `served_tier` replaces the requested tier, and `seconds` the duration that follows from the effort.
    """

    answers: list[Answer] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    served_tier: str | None = None
    default_answer: Answer = "accepts"
    retry_after_seconds: float | None = None
    seconds: float | None = None


@dataclass
class Run:
    """One generation at the provider. `attempt_recorded` is whether the table had its attempt when it started; `usage`
    replaces the usage that derives from the token; with `answer_lost` the call that started it gets no answer."""

    response_id: str
    request: dict[str, Any]
    started_at: datetime
    ends_at: datetime
    ending: Ending
    attempt_recorded: bool
    served_tier: str | None = None
    usage: Usage | None = None
    answer_lost: bool = False
    cancelled: bool = False

    @property
    def job_id(self) -> str:
        return str(self.request["metadata"]["afterthought_job"])

    @property
    def token(self) -> str:
        return str(self.request["metadata"]["afterthought_token"])


@dataclass
class SimulatedProvider:
    """The ports `Generations` and `AsyncGenerations`.

    `is_attempt_recorded` takes a job and a token. While `poll_error` is set, every poll raises it. With `events` the
    provider sends an event when a background run ends; `pending_events` are those not yet sent, with their times.
    `during_call` runs once, in the next call to create, after the run starts and before the call returns.
    """

    calls: CallRecorder
    clock: Clock
    secret: SimulatedSecret
    is_attempt_recorded: Callable[[str, str], bool]
    plan: ProviderPlan = field(default_factory=ProviderPlan)
    poll_error: ProviderError | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    creates: int = 0
    events: bool = False
    pending_events: list[tuple[datetime, str]] = field(default_factory=list)
    during_call: Callable[[], object] | None = None

    def sends_events(self, provider: Provider) -> bool:
        try:
            self.secret.get()
        except ProviderBusy:
            return False
        return self.events

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        def call() -> Generation:
            run = self._accept(request)
            if run.ending != "never":
                self._schedule_event(run)
            return self._answer(run)

        self.secret.get()
        return self.calls.call("provider.create", call)

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        async def call() -> Generation:
            run = self._accept(request)
            try:
                # A run that never ends is ended by the client's timeout.
                seconds = (run.ends_at - self.clock()).total_seconds()
                await asyncio.sleep(_FOREVER if run.ending == "never" else seconds)
            except asyncio.CancelledError:
                run.cancelled, run.ends_at = True, self.clock()
                raise
            return self._answer(run)

        self.secret.get()
        try:
            async with asyncio.timeout(provider.direct_seconds):
                return await self.calls.call_awaited("provider.create", call)
        except TimeoutError as error:
            raise OutcomeUnknown("timeout", code="no_answer") from error

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        self.secret.get()
        return self.calls.call("provider.retrieve", lambda: self._read(response_id))

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        def stop() -> Generation:
            run = self.runs.get(response_id)
            if self.poll_error is None and run is not None and self._status(run) not in TERMINAL:
                run.cancelled, run.ends_at = True, self.clock()
                self._schedule_event(run)
            return self._read(response_id)

        self.secret.get()
        return self.calls.call("provider.cancel", stop)

    def runs_of(self, job_id: str) -> list[Run]:
        return [run for run in self.runs.values() if run.job_id == job_id]

    def _accept(self, request: Mapping[str, Any]) -> Run:
        """The run that the call started. Raises the error of a refused call."""
        self.creates += 1
        answer = self.plan.answers.pop(0) if self.plan.answers else self.plan.default_answer
        if answer not in ("accepts", "lost after"):
            self._run_during_call()
        if answer == "busy":
            raise ProviderBusy("too many requests", retry_after_seconds=self.plan.retry_after_seconds)
        if answer == "refuses":
            raise ProviderRefused("the request is not allowed", code="invalid_prompt")
        if answer == "no money":
            raise ProviderBusy("no money is left", code="insufficient_quota")
        if answer == "model gone":
            raise ProviderRefused("the model does not exist", code="model_not_found")
        if answer == "lost before":
            raise OutcomeUnknown("no answer", code="no_answer")
        return self._start_run(dict(request), answer_lost=answer == "lost after")

    def _run_during_call(self) -> None:
        action, self.during_call = self.during_call, None
        if action is not None:
            action()

    def _answer(self, run: Run) -> Generation:
        self._run_during_call()
        if run.answer_lost:
            raise OutcomeUnknown("no answer", code="no_answer")
        return self._generation(run)

    def _start_run(self, request: dict[str, Any], *, answer_lost: bool) -> Run:
        effort = (request.get("reasoning") or {}).get("effort") or "medium"
        seconds = self.plan.seconds if self.plan.seconds is not None else THINKING_SECONDS[effort]
        metadata = request["metadata"]
        run = Run(
            response_id=f"resp_{len(self.runs):048x}",
            request=request,
            started_at=self.clock(),
            ends_at=self.clock() + timedelta(seconds=seconds),
            ending=self.plan.endings.pop(0) if self.plan.endings else "completed",
            attempt_recorded=self.is_attempt_recorded(metadata["afterthought_job"], metadata["afterthought_token"]),
            served_tier=self.plan.served_tier or request.get("service_tier"),
            usage=self.plan.usages.pop(0) if self.plan.usages else None,
            answer_lost=answer_lost,
        )
        self.runs[run.response_id] = run
        return run

    def _schedule_event(self, run: Run) -> None:
        if self.events:
            self.pending_events.append((run.ends_at, run.response_id))

    def _read(self, response_id: str) -> Generation:
        if self.poll_error is not None:
            raise self.poll_error
        run = self.runs.get(response_id)
        if run is None or (run.ending == "gone" and self.clock() >= run.ends_at):
            raise GenerationGone("no such response")
        return self._generation(run)

    def _status(self, run: Run) -> Status:
        if run.cancelled:
            return "cancelled"
        if run.ending == "never" or self.clock() < run.ends_at:
            return "in_progress"
        if run.ending in ("completed", "incomplete", "failed", "cancelled"):
            return run.ending
        if run.ending in REFUSED_RUNS:
            return "failed"
        if run.ending == "starved":
            return "incomplete"
        return "completed"

    def _generation(self, run: Run) -> Generation:
        status = self._status(run)
        ended = status in TERMINAL
        metadata = dict(run.request["metadata"])
        if run.ending == "other token" and ended:
            metadata["afterthought_token"] = "of-another-attempt"
        has_output = ended and status not in ("cancelled", "failed") and run.ending != "starved"
        return Generation(
            response_id=run.response_id,
            status=status,
            metadata=metadata,
            model=run.request["model"] if ended else None,
            service_tier=run.served_tier,
            usage=usage_of(run) if ended and self._reports_usage(run) else None,
            output=_output(run) if has_output else (),
            error_code=REFUSED_RUNS.get(run.ending, "server_error") if status == "failed" else None,
            error_message="the model failed" if status == "failed" else None,
            incomplete_reason="max_output_tokens" if status == "incomplete" else None,
        )

    def _reports_usage(self, run: Run) -> bool:
        if run.ending == "late usage":
            return self.clock() >= run.ends_at + LATE_USAGE
        return not run.cancelled and run.ending not in ("failed", "without usage", *REFUSED_RUNS)


def usage_of(run: Run) -> Usage:
    """The usage is derived from the token, so a cost taken from the wrong run is detected."""
    if run.usage is not None:
        return run.usage
    number = sum(run.token.encode())
    output = 10_000_000 if run.ending == "over max cost" else 700
    return Usage(
        input_tokens=1000 + number,
        cached_input_tokens=number % 7,
        output_tokens=output + number,
        reasoning_tokens=number,
    )


def _output(run: Run) -> tuple[dict[str, Any], ...]:
    text = {"type": "output_text", "text": f"The answer to {run.token}", "annotations": []}
    return ({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]},)
