"""A model provider that counts: which generations ran, for whom, and whether the ledger knew of them beforehand."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from afterthought.domain.errors import GenerationGone, OutcomeUnknown, ProviderBusy, ProviderError, ProviderRefused
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import TERMINAL, Status
from afterthought.domain.models.pricing import Usage
from afterthought.domain.models.provider import Provider
from tests.simulator.clock import Clock
from tests.simulator.line import Line
from tests.simulator.secret import SimulatedSecret

THINKING_SECONDS = {"none": 2, "minimal": 4, "low": 8, "medium": 40, "high": 180, "xhigh": 900, "max": 3600}

Answer = Literal["takes", "busy", "refuses", "lost before", "lost after", "no money", "model gone"]
"""What a create comes to: taken; refused for now or for good; or the connection breaks, before or after the generation
began; refused because the account has no money, or because there is no such model any more."""

Ending = Literal[
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "without usage",
    "late usage",
    "dearer",
    "gone",
    "foreign",
    "never",
    "starved",
    "rate limited",
    "out of money",
]
"""How a generation ends. `late usage`: what it used is told ten minutes after its end, a cancelled one's too; `dearer`:
it used more than any request bounds; `gone`: its id is known no more; `foreign`: another's answer comes back under its
id; `starved`: it thought until its tokens were used up, and said nothing; `rate limited` and `out of money`: taken, and
refused only then, with nothing run."""

REFUSED_RUNS: dict[Ending, str] = {"rate limited": "rate_limit_exceeded", "out of money": "insufficient_quota"}

LATE_USAGE = timedelta(minutes=10)
_FOR_EVER = 1e9


@dataclass
class Plan:
    """What the provider does with the next creates: an answer for each, and an ending for each that it takes. After
    these it takes and completes. `answer` is for all when the list is empty. `usages` are what the next ones use;
    `served_tier` is the tier in which all are served, where it is not the one they asked for; `seconds` is how long
    each thinks, where that does not go by its effort."""

    answers: list[Answer] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    served_tier: str | None = None
    answer: Answer = "takes"
    retry_after_seconds: float | None = None
    seconds: float | None = None


@dataclass
class Run:
    """One generation, as the provider knows it. `ledgered` says whether its entry stood in the table when it began;
    `usage` is what it uses where that does not derive from its token; `lost` says that the call which began it gets no
    answer."""

    response_id: str
    request: dict[str, Any]
    started_at: datetime
    ends_at: datetime
    ending: Ending
    ledgered: bool
    served_tier: str | None = None
    usage: Usage | None = None
    lost: bool = False
    cancelled: bool = False

    @property
    def job_id(self) -> str:
        return str(self.request["metadata"]["afterthought_job"])

    @property
    def token(self) -> str:
        return str(self.request["metadata"]["afterthought_token"])


@dataclass
class SimulatedProvider:
    """The ports `Generations` and `AsyncGenerations`. `in_ledger` is asked with the job and the token when a generation
    begins. `looks` is what asking for a generation comes to, as long as it is set. With `events` it says of each
    generation in the background that it has ended: `announcements` are those still to be made, by when. `meanwhile` is
    what happens, once, while a call is made: the generation runs, if it does, and its answer is not back yet."""

    line: Line
    clock: Clock
    secret: SimulatedSecret
    in_ledger: Callable[[str, str], bool]
    plan: Plan = field(default_factory=Plan)
    looks: ProviderError | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    creates: int = 0
    events: bool = False
    announcements: list[tuple[datetime, str]] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None

    def sends_events(self, provider: Provider) -> bool:
        try:
            self.secret.get()
        except ProviderBusy:
            return False
        return self.events

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        def call() -> Generation:
            run = self._taken(request)
            if run.ending != "never":
                self._announce(run)
            return self._answered(run)

        self.secret.get()
        return self.line.call("provider.create", call)

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        async def call() -> Generation:
            run = self._taken(request)
            try:
                # One that never ends is given up by the client.
                seconds = (run.ends_at - self.clock()).total_seconds()
                await asyncio.sleep(_FOR_EVER if run.ending == "never" else seconds)
            except asyncio.CancelledError:
                run.cancelled, run.ends_at = True, self.clock()
                raise
            return self._answered(run)

        self.secret.get()
        try:
            async with asyncio.timeout(provider.direct_seconds):
                return await self.line.call_awaited("provider.create", call)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer came in time", code="no_answer") from error

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        self.secret.get()
        return self.line.call("provider.retrieve", lambda: self._look(response_id))

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        def stop() -> Generation:
            run = self.runs.get(response_id)
            if self.looks is None and run is not None and self._status(run) not in TERMINAL:
                run.cancelled, run.ends_at = True, self.clock()
                self._announce(run)
            return self._look(response_id)

        self.secret.get()
        return self.line.call("provider.cancel", stop)

    def generations(self, job_id: str) -> list[Run]:
        return [run for run in self.runs.values() if run.job_id == job_id]

    def _taken(self, request: Mapping[str, Any]) -> Run:
        """The generation that a call has begun. Raises what it is refused with."""
        self.creates += 1
        answer = self.plan.answers.pop(0) if self.plan.answers else self.plan.answer
        if answer not in ("takes", "lost after"):
            self._others()
        if answer == "busy":
            raise ProviderBusy("too many requests", retry_after_seconds=self.plan.retry_after_seconds)
        if answer == "refuses":
            raise ProviderRefused("the request is not allowed", code="invalid_prompt")
        if answer == "no money":
            raise ProviderBusy("no money is left", code="insufficient_quota")
        if answer == "model gone":
            raise ProviderRefused("the model does not exist", code="model_not_found")
        if answer == "lost before":
            raise OutcomeUnknown("no answer came", code="no_answer")
        return self._begin(dict(request), lost=answer == "lost after")

    def _others(self) -> None:
        others, self.meanwhile = self.meanwhile, None
        if others is not None:
            others()

    def _answered(self, run: Run) -> Generation:
        self._others()
        if run.lost:
            raise OutcomeUnknown("no answer came", code="no_answer")
        return self._generation(run)

    def _begin(self, request: dict[str, Any], *, lost: bool) -> Run:
        effort = (request.get("reasoning") or {}).get("effort") or "medium"
        seconds = self.plan.seconds if self.plan.seconds is not None else THINKING_SECONDS[effort]
        metadata = request["metadata"]
        run = Run(
            response_id=f"resp_{len(self.runs):048x}",
            request=request,
            started_at=self.clock(),
            ends_at=self.clock() + timedelta(seconds=seconds),
            ending=self.plan.endings.pop(0) if self.plan.endings else "completed",
            ledgered=self.in_ledger(metadata["afterthought_job"], metadata["afterthought_token"]),
            served_tier=self.plan.served_tier or request.get("service_tier"),
            usage=self.plan.usages.pop(0) if self.plan.usages else None,
            lost=lost,
        )
        self.runs[run.response_id] = run
        return run

    def _announce(self, run: Run) -> None:
        if self.events:
            self.announcements.append((run.ends_at, run.response_id))

    def _look(self, response_id: str) -> Generation:
        if self.looks is not None:
            raise self.looks
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
        if run.ending == "foreign" and ended:
            metadata["afterthought_token"] = "of-somebody-else"
        answered = ended and status not in ("cancelled", "failed") and run.ending != "starved"
        return Generation(
            response_id=run.response_id,
            status=status,
            metadata=metadata,
            model=run.request["model"] if ended else None,
            service_tier=run.served_tier,
            usage=usage_of(run) if ended and self._tells_usage(run) else None,
            output=_output(run) if answered else (),
            error_code=REFUSED_RUNS.get(run.ending, "server_error") if status == "failed" else None,
            error_message="the model failed" if status == "failed" else None,
            incomplete_reason="max_output_tokens" if status == "incomplete" else None,
        )

    def _tells_usage(self, run: Run) -> bool:
        if run.ending == "late usage":
            return self.clock() >= run.ends_at + LATE_USAGE
        return not run.cancelled and run.ending not in ("failed", "without usage", *REFUSED_RUNS)


def usage_of(run: Run) -> Usage:
    """What a generation used: it derives from its token, so that a mixed-up bill shows."""
    if run.usage is not None:
        return run.usage
    number = sum(run.token.encode())
    output = 10_000_000 if run.ending == "dearer" else 700
    return Usage(
        input_tokens=1000 + number,
        cached_input_tokens=number % 7,
        output_tokens=output + number,
        reasoning_tokens=number,
    )


def _output(run: Run) -> tuple[dict[str, Any], ...]:
    text = {"type": "output_text", "text": f"The answer to {run.token}", "annotations": []}
    return ({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]},)
