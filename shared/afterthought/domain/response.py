"""A job as the wire shows it: OpenAI's Response object, with all that is ours under `afterthought`."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from afterthought.domain.jobs.attempt import Attempt, AttemptState
from afterthought.domain.jobs.job import STARVED, Job
from afterthought.domain.pricing import WIRE_NAMES, Cost, ServiceTier, Usage, format_usd, price_date

Wire = dict[str, Any]

# The wire's error codes are a closed set for strict clients; what is not in it is shown as `server_error`, and in full
# under `afterthought.error_code`.
_WIRE_ERROR_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "data_residency_mismatch",
        "bio_policy",
        "misalignment_policy_violation",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_MOST_BYTES_ECHOED = 256 * 1024
"""Of instructions, tools and text together. A function may give back 6 MB, in which the answer is a JSON string inside
another: a large request echoed beside its answer would not fit, and the caller could never read it."""

_PRICED_TIER = re.compile(r"/(standard|flex|priority)/\d{4}-")
_COST_PARTS = ("input_usd", "cached_input_usd", "cache_write_usd", "output_usd", "reasoning_usd", "tools_usd")
_WIRE_INCOMPLETE_REASONS = frozenset({"max_output_tokens", "content_filter"})

WIRE_STATES: Mapping[AttemptState, str] = {
    "pending": "held",
    "calling": "submitting",
    "running": "submitted",
    "outcome_unknown": "unknown",
    "settled": "settled",
    "refused": "refused",
    "voided": "released",
}
"""The published names of an attempt's states."""

_SUBSTITUTED = frozenset({"model_retired", "model_not_found"})


class Answer(BaseModel):
    """What the provider gave for an attempt, as it is stored: its output items."""

    # An answer must not come to the logs by way of an error's text.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    output: tuple[Wire, ...] = ()


def render(job: Job, request: Wire, answer: Answer | None, bill: Cost | None, *, stand_in: bool) -> Wire:
    """The response as it stands now. `request` is the stored request in canonical form; where its instructions, tools
    and text are very large, they are not echoed. `bill` is the newest attempt's cost by part, where it is known.

    Where a job has several attempts, output, usage, tier and the parts of the cost are those of the newest; the total
    is that of them all."""
    attempt = job.attempt
    request = _echoed(request)
    reasoning = request.get("reasoning") or {}
    return {
        "id": job.id,
        "object": "response",
        "created_at": int(job.created_at.timestamp()),
        "completed_at": _seconds(job.finished_at) if job.status == "completed" else None,
        "status": job.status,
        "background": True,
        "store": True,
        "error": _error(job),
        "incomplete_details": _incomplete(job),
        "instructions": request.get("instructions"),
        "max_output_tokens": job.max_output_tokens,
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": request.get("metadata") or {},
        "model": (attempt.served_model if attempt else None) or job.called_model,
        "output": list(answer.output) if answer else [],
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": job.called_effort, "summary": reasoning.get("summary")},
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": _service_tier(job, attempt),
        "temperature": request.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, **(request.get("text") or {})},
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in request.get("tools", [])],
        "top_logprobs": 0,
        "top_p": request.get("top_p", 1.0),
        "truncation": request.get("truncation", "disabled"),
        "usage": _usage(attempt.usage, job.spent_usd) if attempt and attempt.usage else None,
        "user": request.get("user"),
        "afterthought": _ours(job, attempt, bill, stand_in=stand_in),
    }


def _echoed(request: Wire) -> Wire:
    large = {name: request[name] for name in ("instructions", "tools", "text") if name in request}
    if len(json.dumps(large)) <= _MOST_BYTES_ECHOED:
        return request
    return {name: value for name, value in request.items() if name not in large}


def _service_tier(job: Job, attempt: Attempt | None) -> str:
    """The tier that was served, as the price row tells; until there is one, the tier that was asked for."""
    priced = _PRICED_TIER.search(attempt.price_id) if attempt and attempt.price_id else None
    return WIRE_NAMES[cast("ServiceTier", priced[1])] if priced else job.service_tier


def _error(job: Job) -> Wire | None:
    if job.failure is None:
        return None
    code = job.failure.code
    return {"code": code if code in _WIRE_ERROR_CODES else "server_error", "message": job.failure.message}


def _incomplete(job: Job) -> Wire | None:
    if job.status != "incomplete":
        return None
    reason = "max_output_tokens" if job.incomplete_reason == STARVED else job.incomplete_reason
    return {"reason": reason if reason in _WIRE_INCOMPLETE_REASONS else None}


def _tool(tool: Wire) -> Wire:
    # The wire's function tool always has these two, also when the caller left them out.
    return {"parameters": None, "strict": None, **tool} if tool.get("type") == "function" else tool


def _usage(usage: Usage, cost_usd: Decimal) -> Wire:
    # Other gateways put the total here too, as a number: for reading, never for adding up.
    return {**_tokens(usage), "cost": float(cost_usd)}


def _tokens(usage: Usage) -> Wire:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _ours(job: Job, attempt: Attempt | None, bill: Cost | None, *, stand_in: bool) -> Wire:
    substituted = [entry.reason for entry in job.attempts if entry.reason in _SUBSTITUTED]
    return {
        "requested_model": job.model,
        "served_model": attempt.served_model if attempt else None,
        "substituted_because": substituted[-1] if substituted else None,
        "provider": attempt.provider if attempt else None,
        "mode": job.mode,
        "stand_in": stand_in,
        "error_code": job.failure.code if job.failure else None,
        "incomplete_reason": job.incomplete_reason if job.status == "incomplete" else None,
        "deadline_at": _seconds(job.deadline_at),
        "cancel_requested_at": _seconds(job.cancel_requested_at),
        "tags": list(job.tags),
        "cost": _cost(job, attempt, bill),
        "attempts": [_attempt(job, entry) for entry in job.attempts],
        "timeline": _timeline(job, attempt),
    }


def _cost(job: Job, attempt: Attempt | None, bill: Cost | None) -> Wire:
    """What the job can cost, holds and has cost; the parts are those of the newest attempt, by its price row. Dollars
    as decimal strings; what is not known (yet) is null."""
    parts = {} if bill is None else bill.model_dump(mode="json", exclude={"total_usd", "price_id"})
    price_id = attempt.price_id if attempt else None
    return {
        "max_cost_usd": _usd(job.max_cost_usd),
        "bound_usd": _usd(attempt.hold_usd if attempt else None),
        "held_usd": format_usd(job.held_usd),
        "total_usd": format_usd(job.spent_usd) if job.terminal else None,
        **dict.fromkeys(_COST_PARTS),
        **parts,
        "price_id": price_id,
        "price_date": price_date(price_id) if price_id else None,
        "estimated": job.estimated,
        "overrun": job.over_max_cost,
    }


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)


def _attempt(job: Job, entry: Attempt) -> Wire:
    # With a `because` it says in full what it calls, None included; without, it calls what the job asked for.
    called = job if entry.reason is None else entry
    return {
        "number": entry.number,
        "state": WIRE_STATES[entry.state],
        "because": entry.reason,
        "model": called.model or job.model,
        "effort": called.effort,
        "max_output_tokens": called.max_output_tokens,
        "served_model": entry.served_model,
        "provider": entry.provider,
        "called_at": _seconds(entry.called_at),
        "usage": _tokens(entry.usage) if entry.usage else None,
        "hold_usd": format_usd(entry.hold_usd),
        "cost_usd": _usd(entry.cost_usd),
        "price_id": entry.price_id,
        "estimated": entry.estimated,
        "overrun": entry.over_max_cost,
    }


def _timeline(job: Job, attempt: Attempt | None) -> Wire:
    submitted_at = attempt.submitted_at if attempt else None
    return {
        "created_at": _seconds(job.created_at),
        "submitted_at": _seconds(submitted_at),
        "finished_at": _seconds(job.finished_at),
        "queued_seconds": _between(job.created_at, submitted_at),
        "thinking_seconds": _between(submitted_at, job.finished_at),
    }


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else round(at.timestamp(), 3)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)
