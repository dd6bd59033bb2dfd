"""Rules by which a test makes the stand-in misbehave, each for some requests or until it is cleared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from local.standin.wire import Json, WireError

KINDS = ("create", "retrieve", "cancel", "delete", "models", "any", "webhook")

# Error responses: status, error type, error code, message. A request that gets one has no other effect.
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
    "error": (500, "server_error", None, "An error that a test requested."),
}
# Effects on the connection: before the request is read, before the run starts, or after it has started.
BEFORE_READING = frozenset({"hang_before_reading"})
BEFORE_RUN = frozenset({"hang_before", "close_before"})
AFTER_RUN = frozenset({"hang_after", "close_after", "truncated", "garbage", "wrong_content_type", "empty"})
# Effects on the run that a create request starts.
RUN = frozenset(
    {"run_failed", "run_incomplete", "no_usage", "served_otherwise", "refusal", "never_ends", "slow_run", "forgotten"}
)
WEBHOOK = frozenset({"webhook_dropped", "webhook_duplicated", "webhook_delayed", "webhook_forged"})
REQUEST = frozenset(HTTP_ERRORS) | BEFORE_RUN | AFTER_RUN | {"slow"}
ALL = BEFORE_READING | REQUEST | RUN | WEBHOOK


@dataclass
class Rule:
    """One way to misbehave.

    `do` is the effect. `on` is the kind of request, `contains` a substring of its model, metadata or response id.
    The first `skip` matches pass, the next `times` are affected (None: all until the rule is cleared). Seconds are
    not divided by the speed. The other fields are parameters of single effects.
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
            raise ValueError(f"on: '{self.do}' cannot happen on '{self.on}'")
        if self.do in BEFORE_READING and self.contains:
            raise ValueError(f"contains: '{self.do}' happens before the body is read")

    def matches(self, kind: str, effects: frozenset[str], texts: Iterable[str]) -> bool:
        if self.do not in effects or self.on not in (kind, "any") or (self.on == "any" and kind == "webhook"):
            return False
        return not self.contains or any(self.contains in text for text in texts)

    def error(self) -> WireError:
        """The HTTP error of this rule, with the headers that the provider sends."""
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


FIELD_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("do", "on", "contains", "type", "code", "message", "reason", "service_tier", "model"), (str,)),
    **dict.fromkeys(("times", "skip", "status"), (int,)),
    **dict.fromkeys(("seconds", "retry_after"), (int, float)),
    **dict.fromkeys(("with_usage", "reset"), (bool,)),
}


def parse_rule(fields: Mapping[str, Any]) -> Rule:
    """A rule from JSON. Raises ValueError that begins with the field's name."""
    for name, value in fields.items():
        types = FIELD_TYPES.get(name)
        if types is None:
            raise ValueError(f"{name}: no such field")
        if value is None and name == "times":
            continue
        if not isinstance(value, types) or isinstance(value, bool) != (types == (bool,)):
            raise ValueError(f"{name}: not a {types[-1].__name__}")
    if "do" not in fields:
        raise ValueError(f"do: one of {', '.join(sorted(ALL))}")
    return Rule(**fields)


class Script:
    """The rules in force, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = Lock()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take_first(self, kind: str, effects: frozenset[str], texts: Iterable[str] = ()) -> Rule | None:
        """The first rule that matches. This uses up one of its `times`."""
        return next(iter(self._take(kind, effects, tuple(texts), limit=1)), None)

    def take_all(self, kind: str, effects: frozenset[str], texts: Iterable[str] = ()) -> list[Rule]:
        """All rules that match. This uses up one of the `times` of each."""
        return self._take(kind, effects, tuple(texts), limit=len(ALL))

    def _take(self, kind: str, effects: frozenset[str], texts: tuple[str, ...], limit: int) -> list[Rule]:
        taken: list[Rule] = []
        with self._lock:
            for rule in list(self._rules):
                if len(taken) == limit or not rule.matches(kind, effects, texts):
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

    def to_json(self) -> list[Json]:
        with self._lock:
            return [{"do": rule.do, "on": rule.on, "times": rule.times, "skip": rule.skip} for rule in self._rules]
