"""A model provider's response, reduced to the fields that a job needs."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from afterthought.domain.jobs.status import TERMINAL, Status
from afterthought.domain.models.pricing import Usage


class Generation(BaseModel):
    """`usage` is None where the provider reported none; `error_code` is its `error.code`."""

    # Otherwise a validation error would show the answer in the logs.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    response_id: str
    status: Status
    metadata: Mapping[str, str]
    model: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    output: tuple[dict[str, Any], ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    incomplete_reason: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def starved(self) -> bool:
        """Whether reasoning used all output tokens and left no visible output."""
        ran_out = self.status == "incomplete" and self.incomplete_reason == "max_output_tokens"
        return ran_out and not any(_visible(item) for item in self.output)


def _visible(item: dict[str, object]) -> bool:
    """A message with text or a refusal, or a tool call."""
    if item.get("type") == "reasoning":
        return False
    if item.get("type") != "message":
        return True
    content = item.get("content")
    parts = content if isinstance(content, list) else ()
    return any(isinstance(part, dict) and (part.get("text") or part.get("refusal")) for part in parts)
