"""The runs that requests have started. A run's status depends only on the clock: queued, in progress, ended."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from local.standin.outcome import Outcome, PromptCache, outcome_of, refusal
from local.standin.request import Request
from local.standin.script import RUN, Rule, Script
from local.standin.wire import Json, WireError

QUEUED_SHARE = 0.15
MAX_QUEUED_SECONDS = 1.0
TERMINAL = frozenset({"completed", "failed", "incomplete", "cancelled"})


@dataclass(frozen=True)
class Generation:
    """The part of a run that tests check. The request that started it pays for it."""

    id: str
    model: str
    metadata: Mapping[str, str]
    status: str
    effort: str | None
    background: bool
    created_at: float


@dataclass
class Run:
    """One generation. `created_at` is Unix time, the other times are monotonic seconds. `ends_at` None: never."""

    id: str
    request: Request
    outcome: Outcome
    error: Json | None
    created_at: float
    started_at: float
    in_progress_at: float
    ends_at: float | None
    rules: Sequence[Rule] = ()
    cancelled: bool = False
    deleted: bool = False
    webhook_sent: bool = False

    def status(self, now: float) -> str:
        if self.cancelled:
            return "cancelled"
        if self.ends_at is not None and now >= self.ends_at:
            return self.outcome.status
        return "queued" if now < self.in_progress_at else "in_progress"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that a rule's `contains` is compared with."""
        return (self.id, self.request.model, *self.request.metadata.values())

    def to_response(self, now: float) -> Json:
        """The run as a Response object of the wire."""
        status, request = self.status(now), self.request
        ended = status in TERMINAL and status != "cancelled"
        served = next((rule for rule in self.rules if rule.do == "served_otherwise"), None)
        ended_at = self.created_at + ((self.ends_at or now) - self.started_at)
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created_at),
            "completed_at": int(ended_at) if status == "completed" else None,
            "status": status,
            "background": request.background,
            "error": self.error if status == "failed" else None,
            "incomplete_details": {"reason": self.outcome.incomplete_reason} if status == "incomplete" else None,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": None,
            "metadata": dict(request.metadata),
            "model": (served and served.model) or request.model,
            "output": self.outcome.output if ended else [],
            "previous_response_id": None,
            "reasoning": request.reasoning,
            "service_tier": ((served and served.service_tier) or request.service_tier) if ended else "auto",
            "store": request.store,
            "text": request.text,
            "tool_choice": request.tool_choice,
            "tools": list(request.tools),
            "usage": self.outcome.usage if ended and self.outcome.usage else None,
            **request.echoed,
        }

    def to_generation(self, now: float) -> Generation:
        request = self.request
        return Generation(
            self.id,
            request.model,
            request.metadata,
            self.status(now),
            request.effort,
            request.background,
            self.created_at,
        )


class Runs:
    """All runs by id, and the number of requests by kind. Thread-safe."""

    def __init__(self, script: Script, speed: float) -> None:
        self.script = script
        self.speed = speed
        self.requests: Counter[str] = Counter()
        self._cache = PromptCache()
        self._runs: dict[str, Run] = {}
        self._started = 0
        self._lock = Lock()

    def reset(self) -> None:
        with self._lock:
            self._runs.clear()
            self.requests.clear()
        self._cache.clear()

    def count(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1

    def start(self, request: Request, raw: bytes) -> Run:
        """Start a run. It is paid for even if the connection is lost. Raises WireError."""
        with self._lock:
            self._started += 1
            # The body is part of the id, so that a restarted stand-in does not use an id for another answer.
            digest = sha256(b"%d:" % self._started + raw).hexdigest()
        response_id = f"resp_{digest[:48]}"
        rules = self.script.take_all("create", RUN, (request.model, *request.metadata.values()))
        effects = {rule.do: rule for rule in rules}
        outcome, error = apply_rules(outcome_of(request, response_id, self._cache), rules, response_id)
        slow = effects.get("slow_run")
        seconds = slow.seconds if slow else outcome.thinking_seconds / self.speed
        now = time.monotonic()
        run = Run(
            id=response_id,
            request=request,
            outcome=outcome,
            error=error,
            created_at=time.time(),
            started_at=now,
            in_progress_at=now + min(seconds * QUEUED_SHARE, MAX_QUEUED_SECONDS),
            ends_at=None if "never_ends" in effects else now + seconds,
            rules=rules,
            deleted="forgotten" in effects,
        )
        with self._lock:
            self._runs[run.id] = run
        return run

    def get(self, response_id: str) -> Run:
        """Raises WireError 404."""
        with self._lock:
            run = self._runs.get(response_id)
        if run is None or run.deleted or not run.request.store:
            raise WireError(404, f"Response with id '{response_id}' not found.")
        return run

    def texts(self, response_id: str) -> tuple[str, ...]:
        with self._lock:
            run = self._runs.get(response_id)
        return run.texts if run else (response_id,)

    def cancel(self, response_id: str) -> Run:
        """Cancel a background run. One that has ended does not change. Raises WireError."""
        run = self.get(response_id)
        if not run.request.background:
            raise WireError(400, "Cannot cancel a synchronous response.", param="response_id")
        with self._lock:
            if run.status(time.monotonic()) not in TERMINAL:
                run.cancelled = True
        return run

    def delete(self, response_id: str) -> None:
        self.get(response_id).deleted = True

    def claim_webhook(self, run: Run) -> bool:
        """True for the first caller, who sends the webhook of this run."""
        with self._lock:
            first, run.webhook_sent = not run.webhook_sent, True
        return first

    def generations(self) -> list[Generation]:
        now = time.monotonic()
        with self._lock:
            return [run.to_generation(now) for run in self._runs.values()]

    def models(self) -> list[str]:
        with self._lock:
            return sorted({run.request.model for run in self._runs.values()})


def apply_rules(outcome: Outcome, rules: Sequence[Rule], response_id: str) -> tuple[Outcome, Json | None]:
    """The outcome with the rules applied, and the error if a rule makes the run fail."""
    status, output, usage, reason = outcome.status, outcome.output, outcome.usage, outcome.incomplete_reason
    error: Json | None = None
    for rule in rules:
        match rule.do:
            case "run_failed":
                status, output, reason = "failed", [], None
                usage = usage if rule.with_usage else {}
                error = {"code": rule.code or "server_error", "message": rule.message or "The run failed."}
            case "run_incomplete":
                status, reason = "incomplete", rule.reason
                output = [item for item in output if item["type"] == "reasoning"]
            case "refusal":
                output = [refusal(response_id, rule.message or "I cannot help with that.")]
            case "no_usage":
                usage = {}
    return Outcome(status, output, usage, outcome.thinking_seconds, reason), error
