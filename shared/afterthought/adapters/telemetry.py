"""Structured logs, and the metrics that some of their lines carry. Neither ever holds a prompt, an answer or a key."""

import json
import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit

from afterthought.adapters import settings
from afterthought.domain.jobs.job import Job

# Lambda sets the root logger to the function's level, and at DEBUG these write whole requests: prompts and keys.
_TALKATIVE = ("boto3", "botocore", "httpcore2", "httpx2", "openai", "s3transfer", "urllib3")


@cache
def logger() -> Logger:
    """The function's logger; its name and level come from Powertools' environment variables."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return Logger(utc=True, json_serializer=_line)


_NEVER = frozenset({"xray_trace_id"})
"""Lambda gives each invocation a trace's id, traced or not; nobody traces here."""
_IN_TROUBLE = _NEVER | {"location", "function_request_id", "timestamp"}
"""Logs are paid for by the byte. A line of what went well is found by its job and told by its message, and CloudWatch
has its time."""


def _line(told: dict[str, Any]) -> str:
    left_out = _IN_TROUBLE if told.get("level") == "INFO" else _NEVER
    kept = {name: value for name, value in told.items() if name not in left_out}
    return json.dumps(kept, default=str, separators=(",", ":"), ensure_ascii=False)


def begin(context: Any) -> Logger:
    """The logger with this invocation's request id on each line of trouble, and nothing left of the one before."""
    log = logger()
    log.clear_state()
    log.append_keys(function_request_id=getattr(context, "aws_request_id", None))
    return log


class Figures(NamedTuple):
    """What is counted of one thing: numbers by name, each with its unit, under what they are told apart by."""

    dimensions: Mapping[str, str]
    values: Mapping[str, tuple[MetricUnit, float]]


def figures_of(*figures: Figures) -> dict[str, Any]:
    """What makes figures of a line of log (CloudWatch's embedded metric format, by which each goes by the function's
    name too): a line is paid for by its bytes, and what it says beside them is found by the same words."""
    told = [
        {
            "Namespace": settings.required("POWERTOOLS_METRICS_NAMESPACE"),
            "Dimensions": [[*each.dimensions, "service"]],
            "Metrics": [_definition(name, unit) for name, (unit, _) in each.values.items()],
        }
        for each in figures
    ]
    keys: dict[str, Any] = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": told}}
    for each in figures:
        keys |= each.dimensions
        keys |= {name: [value] for name, (_, value) in each.values.items()}
    return keys if figures else {}


def _definition(name: str, unit: MetricUnit) -> dict[str, str]:
    """Without a unit, CloudWatch takes a number for what it is: a number."""
    return {"Name": name} if unit is MetricUnit.NoUnit else {"Name": name, "Unit": unit.value}


def counted(name: str, **dimensions: str) -> Figures:
    """One of that name."""
    return Figures(dimensions, {name: (MetricUnit.Count, 1)})


def ended(job: Job) -> Figures:
    """Of a job that has ended. Dollars are a float here as metrics are: for graphs, never for bills."""
    attempt = job.attempt
    values: dict[str, tuple[MetricUnit, float]] = {"JobsEnded": (MetricUnit.Count, 1)}
    if job.spent_usd:
        values["CostUsd"] = (MetricUnit.NoUnit, float(job.spent_usd))
    if job.estimated:
        values["EstimatedUsd"] = (MetricUnit.NoUnit, float(job.spent_usd))
    if attempt is not None and attempt.usage is not None:
        values["ReasoningTokens"] = (MetricUnit.Count, attempt.usage.reasoning_tokens)
    if attempt is not None and attempt.submitted_at is not None and job.finished_at is not None:
        queued, thought = attempt.submitted_at - job.created_at, job.finished_at - attempt.submitted_at
        values["QueuedSeconds"] = (MetricUnit.Seconds, queued.total_seconds())
        values["ThinkingSeconds"] = (MetricUnit.Seconds, thought.total_seconds())
    return Figures({"status": job.status, "model": job.model}, values)


def tell_paused(provider: str, code: str) -> None:
    """A provider is paused: our money there is gone. The alarm goes by the figure."""
    logger().error(
        "the provider is paused: our account there has no money",
        provider=provider,
        code=code,
        **figures_of(counted("ProviderPaused")),
    )
