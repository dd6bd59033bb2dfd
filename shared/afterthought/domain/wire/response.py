"""Render a job as OpenAI's Response object, with the fields of Afterthought under `afterthought`."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from afterthought.domain.jobs.attempt import Attempt, AttemptState
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.status import STARVED
from afterthought.domain.models.pricing import WIRE_NAMES, Cost, ServiceTier, Usage, format_usd, price_date

if TYPE_CHECKING:
    from afterthought.domain.wire import schemas

Wire = dict[str, Any]

# Strict clients accept only these error codes. Any other code is shown as `server_error`, and in full as
# `afterthought.error_code`.
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
# The limit for instructions, tools and text together. A function can return 6 MB, and the answer is JSON inside a JSON
# string: a large request and its answer would not fit together, and the caller could never read the answer.
_MAX_ECHOED_BYTES = 256 * 1024

# The published names of an attempt's states.
_WIRE_STATES: "Mapping[AttemptState, schemas.WireState]" = {
    "pending": "held",
    "calling": "submitting",
    "running": "submitted",
    "outcome_unknown": "unknown",
    "settled": "settled",
    "refused": "refused",
    "voided": "released",
}
_PRICED_TIER = re.compile(r"/(standard|flex|priority)/\d{4}-")
_WIRE_INCOMPLETE_REASONS = frozenset({"max_output_tokens", "content_filter"})


class Answer(BaseModel):
    """The output items of an attempt, as stored."""

    # Answers must not reach the logs through an error message.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    output: tuple[Wire, ...] = ()


def render(job: Job, request: Wire, answer: Answer | None, cost: Cost | None, *, stand_in: bool) -> "schemas.Response":
    """`request` is the stored request in canonical form, `cost` the cost of the newest attempt if known.

    Output, usage, tier and cost parts are those of the newest attempt. The total cost covers all attempts."""
    attempt = job.attempt
    request = _without_large_parameters(request)
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
        "incomplete_details": _incomplete_details(job),
        "instructions": request.get("instructions"),
        "max_output_tokens": job.max_output_tokens,
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": request.get("metadata") or {},
        "model": (attempt.served_model if attempt else None) or job.called_model,
        "output": cast("list[schemas.OutputItem]", list(answer.output)) if answer else [],
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
        "afterthought": _afterthought(job, attempt, cost, stand_in=stand_in),
    }


def _without_large_parameters(request: Wire) -> Wire:
    large = {name: request[name] for name in ("instructions", "tools", "text") if name in request}
    if len(json.dumps(large)) <= _MAX_ECHOED_BYTES:
        return request
    return {name: value for name, value in request.items() if name not in large}


def _service_tier(job: Job, attempt: Attempt | None) -> str:
    """The tier in the price id; without a price, the requested tier."""
    priced = _PRICED_TIER.search(attempt.price_id) if attempt and attempt.price_id else None
    return WIRE_NAMES[cast("ServiceTier", priced[1])] if priced else job.service_tier


def _error(job: Job) -> "schemas.ResponseError | None":
    if job.failure is None:
        return None
    code = job.failure.code
    return {"code": code if code in _WIRE_ERROR_CODES else "server_error", "message": job.failure.message}


def _incomplete_details(job: Job) -> "schemas.IncompleteDetails | None":
    if job.status != "incomplete":
        return None
    reason = "max_output_tokens" if job.incomplete_reason == STARVED else job.incomplete_reason
    return {"reason": reason if reason in _WIRE_INCOMPLETE_REASONS else None}


def _tool(tool: Wire) -> Wire:
    # OpenAI's function tool always has these two fields.
    return {"parameters": None, "strict": None, **tool} if tool.get("type") == "function" else tool


def _usage(usage: Usage, cost_usd: Decimal) -> "schemas.Usage":
    # Other gateways report the cost here too, as a number.
    return {**_tokens(usage), "cost": float(cost_usd)}


def _tokens(usage: Usage) -> "schemas.Usage":
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


def _afterthought(
    job: Job, attempt: Attempt | None, cost: Cost | None, *, stand_in: bool
) -> "schemas.AfterthoughtResult":
    return {
        "requested_model": job.model,
        "served_model": attempt.served_model if attempt else None,
        "substituted_because": _substituted_because(job),
        "provider": attempt.provider if attempt else None,
        "mode": job.mode,
        "stand_in": stand_in,
        "error_code": job.failure.code if job.failure else None,
        "incomplete_reason": job.incomplete_reason if job.status == "incomplete" else None,
        "deadline_at": round(job.deadline_at.timestamp(), 3),
        "cancel_requested_at": _seconds(job.cancel_requested_at),
        "tags": list(job.tags),
        "cost": _cost(job, attempt, cost),
        "attempts": [_attempt(job, entry) for entry in job.attempts],
        "timeline": _timeline(job, attempt),
    }


def _substituted_because(job: Job) -> Literal["model_retired", "model_not_found"] | None:
    """The reason of the newest attempt that switched to a successor."""
    for entry in reversed(job.attempts):
        if entry.reason in ("model_retired", "model_not_found"):
            return entry.reason
    return None


def _cost(job: Job, attempt: Attempt | None, cost: Cost | None) -> "schemas.Cost":
    price_id = attempt.price_id if attempt else None
    return {
        "max_cost_usd": _usd(job.max_cost_usd),
        "bound_usd": _usd(attempt.hold_usd if attempt else None),
        "held_usd": format_usd(job.held_usd),
        "total_usd": format_usd(job.spent_usd) if job.terminal else None,
        "input_usd": _usd(cost.input_usd if cost else None),
        "cached_input_usd": _usd(cost.cached_input_usd if cost else None),
        "cache_write_usd": _usd(cost.cache_write_usd if cost else None),
        "output_usd": _usd(cost.output_usd if cost else None),
        "reasoning_usd": _usd(cost.reasoning_usd if cost else None),
        "tools_usd": _usd(cost.tools_usd if cost else None),
        "price_id": price_id,
        "price_date": price_date(price_id) if price_id else None,
        "estimated": job.estimated,
        "overrun": job.over_max_cost,
    }


def _usd(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)


def _attempt(job: Job, entry: Attempt) -> "schemas.Attempt":
    # An attempt with a reason records the whole call, null values included. The first attempt calls what was requested.
    called = job if entry.reason is None else entry
    return {
        "number": entry.number,
        "state": _WIRE_STATES[entry.state],
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


def _timeline(job: Job, attempt: Attempt | None) -> "schemas.Timeline":
    submitted_at = attempt.submitted_at if attempt else None
    return {
        "created_at": round(job.created_at.timestamp(), 3),
        "submitted_at": _seconds(submitted_at),
        "finished_at": _seconds(job.finished_at),
        "queued_seconds": _between(job.created_at, submitted_at),
        "thinking_seconds": _between(submitted_at, job.finished_at),
    }


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else round(at.timestamp(), 3)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)
