"""How a test makes the stand-in misbehave: rules, each for the next few matching requests or until they are cleared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from local.standin.wire import Json, WireError

KINDS = ("create", "retrieve", "cancel", "delete", "models", "any", "webhook")

# Errors that are answered in place of doing what was asked: status, error type, error code, message.
HTTP_ERRORS: Mapping[str, tuple[int, str, str | None, str]] = {
    "rate_limited": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "billing_limit": (429, "insufficient_quota", "billing_hard_limit_reached", "Billing hard limit has been reached."),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "bad_gateway": (502, "", None, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
    "unavailable": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "invalid_prompt": (400, "invalid_request_error", "invalid_prompt", "Invalid prompt: it was flagged."),
    "content_policy": (
        400,
        "invalid_request_error",
        "content_policy_violation",
        "Your request was rejected by policy.",
    ),
    "context_too_long": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window.",
    ),
    "unauthorized": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "unsupported_country_region_territory", "Not available to you."),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "error": (500, "server_error", None, "An error that a test asked for."),
}
# What happens to the connection or to the bytes. Those of BEFORE never reach a generation, those of AFTER follow it.
EARLY = frozenset({"hang_before_reading"})
BEFORE = frozenset({"hang_before", "close_before"})
AFTER = frozenset({"hang_after", "close_after", "truncated", "garbage", "wrong_content_type", "empty"})
# What becomes of a run that a create request starts.
RUN = frozenset(
    {"run_failed", "run_incomplete", "no_usage", "served_otherwise", "refusal", "never_ends", "slow_run", "forgotten"}
)
WEBHOOK = frozenset({"webhook_dropped", "webhook_duplicated", "webhook_delayed", "webhook_forged"})
EXCHANGE = frozenset(HTTP_ERRORS) | BEFORE | AFTER | {"slow"}
ALL = EARLY | EXCHANGE | RUN | WEBHOOK


@dataclass
class Rule:
    """One way to misbehave.

    `on` is the kind of request, `contains` a substring of its model, metadata or response id; `skip` lets that many
    pass first, `times` is how many then suffer (None: until cleared). Seconds are real ones, whatever the speed.
    """

    do: str
    on: str = "create"
    times: int | None = 1
    skip: int = 0
    contains: str = ""
    seconds: float = 60.0
    retry_after: float | None = None
    status: int | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    reason: str = "max_output_tokens"
    service_tier: str | None = None
    model: str | None = None
    with_usage: bool = False
    reset: bool = False

    def __post_init__(self) -> None:
        if self.do not in ALL:
            raise ValueError(f"do: one of {', '.join(sorted(ALL))}")
        if self.do in WEBHOOK:
            self.on = "webhook"
        elif (
            self.on not in KINDS
            or self.on == "webhook"
            or (self.do in RUN and self.on != "create" and self.do != "forgotten")
        ):
            raise ValueError(f"on: '{self.do}' does not happen on '{self.on}'")
        if self.do in EARLY and self.contains:
            raise ValueError("contains: nothing of the body is read before this happens")

    def matches(self, kind: str, among: frozenset[str], subjects: Iterable[str]) -> bool:
        if self.do not in among or self.on not in (kind, "any") or (self.on == "any" and kind == "webhook"):
            return False
        return not self.contains or any(self.contains in subject for subject in subjects)

    def error(self) -> WireError:
        """The HTTP error of this rule, with the headers that the provider would send."""
        status, kind, code, message = HTTP_ERRORS[self.do]
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        if self.do == "rate_limited":
            headers |= {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": f"{self.retry_after or 1:g}s",
            }
        return WireError(
            self.status or status,
            self.message or message,
            code=self.code or code,
            kind=self.type or kind,
            param="model" if self.do == "model_not_found" else None,
            headers=headers,
        )


TEXTS = frozenset({"do", "on", "contains", "type", "code", "message", "reason", "service_tier", "model"})
COUNTS = frozenset({"times", "skip", "status"})
SECONDS = frozenset({"seconds", "retry_after"})
FLAGS = frozenset({"with_usage", "reset"})


def parse_rule(given: Mapping[str, Any]) -> Rule:
    """A rule from JSON. Raises ValueError that names the field."""
    kinds: tuple[tuple[frozenset[str], tuple[type, ...]], ...] = (
        (TEXTS, (str,)),
        (COUNTS, (int,)),
        (SECONDS, (int, float)),
        (FLAGS, (bool,)),
    )
    for name, value in given.items():
        wanted = next((types for names, types in kinds if name in names), None)
        if wanted is None:
            raise ValueError(f"{name}: no such field")
        if value is None and name == "times":
            continue
        if not isinstance(value, wanted) or isinstance(value, bool) != (wanted == (bool,)):
            raise ValueError(f"{name}: not a {wanted[-1].__name__}")
    if "do" not in given:
        raise ValueError(f"do: one of {', '.join(sorted(ALL))}")
    return Rule(**given)


class Script:
    """The rules in force, in the order given. Safe to share between threads."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = Lock()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def first(self, kind: str, among: frozenset[str], subjects: Iterable[str] = ()) -> Rule | None:
        """The first rule that matches, and one of its times used up."""
        return next(iter(self._take(kind, among, tuple(subjects), most=1)), None)

    def every(self, kind: str, among: frozenset[str], subjects: Iterable[str] = ()) -> list[Rule]:
        """All rules that match, and one of the times of each used up."""
        return self._take(kind, among, tuple(subjects), most=len(ALL))

    def _take(self, kind: str, among: frozenset[str], subjects: tuple[str, ...], most: int) -> list[Rule]:
        taken: list[Rule] = []
        with self._lock:
            for rule in list(self._rules):
                if len(taken) == most or not rule.matches(kind, among, subjects):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                taken.append(rule)
        return taken

    def listed(self) -> list[Json]:
        with self._lock:
            return [{"do": rule.do, "on": rule.on, "times": rule.times, "skip": rule.skip} for rule in self._rules]
