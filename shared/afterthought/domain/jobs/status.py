"""The status of a job, and why it ended without an answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]
TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "incomplete", "cancelled"})

STARVED = "reasoning_starved"
"""The `incomplete_reason` of an answer without visible output: reasoning used all output tokens."""


class Failure(BaseModel):
    """Why a job ended without an answer. `code` is ours or the provider's; `message` is for the job's owner."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
