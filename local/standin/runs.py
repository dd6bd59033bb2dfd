"""The generations that were started, each with a life that depends on the clock alone: queued, in progress, ended."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock

from local.standin.outcome import Outcome, PromptCache, outcome_of, refusal
from local.standin.request import Request
from local.standin.script import RUN, Rule, Script
from local.standin.wire import Json, WireError, not_found

QUEUED_SHARE = 0.15
MOST_QUEUED_SECONDS = 1.0
TERMINAL = frozenset({"completed", "failed", "incomplete", "cancelled"})


@dataclass(frozen=True)
class Generation:
    """What a test may see of a run: it was started once, and whoever started it paid for it."""

    id: str
    model: str
    metadata: Mapping[str, str]
    status: str
    effort: str | None
    background: bool
    created_at: float


@dataclass
class Run:
    """One generation. Times are monotonic seconds, but `created_at`, which is Unix time; `ends` None: never."""

    id: str
    request: Request
    outcome: Outcome
    created_at: float
    started: float
    leaves_queue: float
    ends: float | None
    rules: Sequence[Rule] = ()
    cancelled: bool = False
    forgotten: bool = False
    announced: bool = False
    error: Json | None = field(default=None)

    def status(self, now: float) -> str:
        if self.cancelled:
            return "cancelled"
        if self.ends is not None and now >= self.ends:
            return self.outcome.status
        return "queued" if now < self.leaves_queue else "in_progress"

    @property
    def subjects(self) -> tuple[str, ...]:
        """What a rule's `contains` is looked for in."""
        return (self.id, self.request.model, *self.request.metadata.values())

    def rule(self, do: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.do == do), None)

    def shape(self, now: float) -> Json:
        """The run as a Response object of the wire."""
        status, request = self.status(now), self.request
        ended = status in TERMINAL and status != "cancelled"
        other = self.rule("served_otherwise")
        finished_at = self.created_at + ((self.ends or now) - self.started)
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created_at),
            "completed_at": int(finished_at) if status == "completed" else None,
            "status": status,
            "background": request.background,
            "error": self.error if status == "failed" else None,
            "incomplete_details": {"reason": self.outcome.incomplete_reason} if status == "incomplete" else None,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": None,
            "metadata": dict(request.metadata),
            "model": (other and other.model) or request.model,
            "output": self.outcome.output if ended else [],
            "previous_response_id": None,
            "reasoning": request.reasoning,
            "service_tier": ((other and other.service_tier) or request.service_tier) if ended else "auto",
            "store": request.store,
            "text": request.text,
            "tool_choice": request.tool_choice,
            "tools": list(request.tools),
            "usage": self.outcome.usage if ended and self.outcome.usage else None,
            **request.echoed,
        }

    def generation(self, now: float) -> Generation:
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
    """All runs by id, what was asked for, and how often. Safe to share between threads."""

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
        """Start a generation. From here on it is paid for, whatever becomes of the connection."""
        with self._lock:
            self._started += 1
            # With the body in it, an id of before a restart cannot come back as somebody else's answer.
            digest = sha256(b"%d:" % self._started + raw).hexdigest()
        response_id = f"resp_{digest[:48]}"
        rules = self.script.every("create", RUN, (request.model, *request.metadata.values()))
        outcome, error = scripted(outcome_of(request, response_id, self._cache), rules, response_id)
        slow = next((rule for rule in rules if rule.do == "slow_run"), None)
        seconds = slow.seconds if slow else outcome.thinking_seconds / self.speed
        endless = any(rule.do == "never_ends" for rule in rules)
        now = time.monotonic()
        run = Run(
            id=response_id,
            request=request,
            outcome=outcome,
            created_at=time.time(),
            started=now,
            leaves_queue=now + min(seconds * QUEUED_SHARE, MOST_QUEUED_SECONDS),
            ends=None if endless else now + seconds,
            rules=rules,
            forgotten=any(rule.do == "forgotten" for rule in rules),
            error=error,
        )
        with self._lock:
            self._runs[run.id] = run
        return run

    def find(self, response_id: str) -> Run:
        """The run of this id. Raises WireError 404."""
        with self._lock:
            run = self._runs.get(response_id)
        if run is None or run.forgotten or not run.request.store:
            raise missing(response_id)
        return run

    def subjects(self, response_id: str) -> tuple[str, ...]:
        with self._lock:
            run = self._runs.get(response_id)
        return run.subjects if run else (response_id,)

    def cancel(self, response_id: str) -> Run:
        """Cancel a background run; one that has ended stays as it is. Raises WireError."""
        run = self.find(response_id)
        if not run.request.background:
            raise WireError(400, "Cannot cancel a synchronous response.", param="response_id")
        with self._lock:
            if run.status(time.monotonic()) not in TERMINAL:
                run.cancelled = True
        return run

    def forget(self, response_id: str) -> None:
        self.find(response_id).forgotten = True

    def announce_once(self, run: Run) -> bool:
        """Whether the caller is the one to announce the end of this run."""
        with self._lock:
            first, run.announced = not run.announced, True
        return first

    def generations(self) -> list[Generation]:
        now = time.monotonic()
        with self._lock:
            return [run.generation(now) for run in self._runs.values()]

    def models(self) -> list[str]:
        with self._lock:
            return sorted({run.request.model for run in self._runs.values()})


def missing(response_id: str) -> WireError:
    return not_found(f"Response with id '{response_id}' not found.")


def scripted(outcome: Outcome, rules: Sequence[Rule], response_id: str) -> tuple[Outcome, Json | None]:
    """The outcome as the rules bend it, and the error of a run that they make fail."""
    status, output, usage, reason = outcome.status, outcome.output, outcome.usage, outcome.incomplete_reason
    error: Json | None = None
    for rule in rules:
        match rule.do:
            case "run_failed":
                status, output, reason = "failed", [], None
                usage = usage if rule.with_usage else {}
                error = {"code": rule.code or "server_error", "message": rule.message or "The run failed."}
            case "run_incomplete":
                status, reason, output = (
                    "incomplete",
                    rule.reason,
                    [item for item in output if item["type"] == "reasoning"],
                )
            case "refusal":
                output = [refusal(response_id, rule.message or "I cannot help with that.")]
            case "no_usage":
                usage = {}
    return Outcome(status, output, usage, outcome.thinking_seconds, reason), error
