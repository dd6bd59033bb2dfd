"""Structured logs with embedded metrics. They never contain a prompt, an answer or a key.

`docs/operations.md` lists every message and metric.
"""

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

# Lambda sets the root logger to the function's level. At DEBUG these libraries log whole requests: prompts and keys.
_VERBOSE_LIBRARIES = ("boto3", "botocore", "httpcore2", "httpx2", "openai", "s3transfer", "urllib3")

_OMITTED = frozenset({"xray_trace_id"})
_OMITTED_AT_INFO = _OMITTED | {"location", "function_request_id", "timestamp"}
"""Logs are billed by the byte. An INFO line is found by its job id, and CloudWatch adds the time."""


@cache
def logger() -> Logger:
    """The function's logger. Powertools' environment variables set its name and level."""
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    return Logger(utc=True, json_serializer=_json_line)


def _json_line(fields: dict[str, Any]) -> str:
    omitted = _OMITTED_AT_INFO if fields.get("level") == "INFO" else _OMITTED
    kept = {name: value for name, value in fields.items() if name not in omitted}
    return json.dumps(kept, default=str, separators=(",", ":"), ensure_ascii=False)


def init_invocation(context: Any) -> Logger:
    """The logger, cleared of the previous invocation's keys, with this invocation's request id."""
    log = logger()
    log.clear_state()
    log.append_keys(function_request_id=getattr(context, "aws_request_id", None))
    return log


class Metrics(NamedTuple):
    """Metric values by name, each with its unit, under one set of dimensions."""

    dimensions: Mapping[str, str]
    values: Mapping[str, tuple[MetricUnit, float]]


def emf_fields(*metrics: Metrics) -> dict[str, Any]:
    """The fields that make a log line carry metrics (CloudWatch embedded metric format). The service is a dimension of
    each. A metric is part of a log line because a line of its own would cost more bytes."""
    if not metrics:
        return {}
    directives = [
        {
            "Namespace": settings.required("POWERTOOLS_METRICS_NAMESPACE"),
            "Dimensions": [[*each.dimensions, "service"]],
            "Metrics": [_definition(name, unit) for name, (unit, _) in each.values.items()],
        }
        for each in metrics
    ]
    fields: dict[str, Any] = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives}}
    for each in metrics:
        fields |= each.dimensions
        fields |= {name: [value] for name, (_, value) in each.values.items()}
    return fields


def _definition(name: str, unit: MetricUnit) -> dict[str, str]:
    # CloudWatch's default unit is None.
    return {"Name": name} if unit is MetricUnit.NoUnit else {"Name": name, "Unit": unit.value}


def count(name: str, **dimensions: str) -> Metrics:
    """A metric with the value 1."""
    return Metrics(dimensions, {name: (MetricUnit.Count, 1)})


def job_metrics(job: Job) -> Metrics:
    """The metrics of a finished job. Dollars are floats here: use them for graphs, not for bills."""
    attempt = job.attempt
    values: dict[str, tuple[MetricUnit, float]] = {"JobsFinished": (MetricUnit.Count, 1)}
    if job.spent_usd:
        values["CostUsd"] = (MetricUnit.NoUnit, float(job.spent_usd))
    if job.estimated:
        values["EstimatedCostUsd"] = (MetricUnit.NoUnit, float(job.spent_usd))
    if attempt is not None and attempt.usage is not None:
        values["ReasoningTokens"] = (MetricUnit.Count, attempt.usage.reasoning_tokens)
    if attempt is not None and attempt.submitted_at is not None and job.finished_at is not None:
        queued, running = attempt.submitted_at - job.created_at, job.finished_at - attempt.submitted_at
        values["QueueDuration"] = (MetricUnit.Seconds, queued.total_seconds())
        values["RunDuration"] = (MetricUnit.Seconds, running.total_seconds())
    return Metrics({"status": job.status, "model": job.model}, values)


def log_provider_paused(provider: str, code: str) -> None:
    """The provider's account has no money left. An alarm watches the metric."""
    logger().error(
        "provider paused: its account has no money left",
        provider=provider,
        code=code,
        **emf_fields(count("ProviderPaused")),
    )
