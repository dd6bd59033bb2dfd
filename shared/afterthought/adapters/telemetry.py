"""Structured logs and metrics (EMF), through Powertools. Neither ever holds a prompt, an answer or a key."""

import logging
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from afterthought.domain.job import Job

# Lambda sets the root logger to the function's level, and at DEBUG these write whole requests: prompts and keys.
_TALKATIVE = ("boto3", "botocore", "httpcore2", "httpx2", "openai", "s3transfer", "urllib3")


@cache
def logger() -> Logger:
    """The function's logger; its name and level come from Powertools' environment variables."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return Logger(utc=True)


def begin(context: Any) -> Logger:
    """The logger with this invocation's request id on every line, and nothing left of the one before."""
    log = logger()
    log.clear_state()
    log.append_keys(function_request_id=getattr(context, "aws_request_id", None))
    return log


def count_submitted(model: str) -> None:
    metrics = EphemeralMetrics()
    metrics.add_dimension("model", model)
    metrics.add_metric("JobsSubmitted", MetricUnit.Count, 1)
    metrics.flush_metrics()


def count_ended(job: Job) -> None:
    """One record for a job that has ended. Dollars are a float here as metrics are: for graphs, never for bills."""
    attempt = job.attempt
    metrics = EphemeralMetrics()
    metrics.add_dimension("status", job.status)
    metrics.add_dimension("model", job.model)
    metrics.add_metric("JobsEnded", MetricUnit.Count, 1)
    if job.spent_usd:
        metrics.add_metric("CostUsd", MetricUnit.NoUnit, float(job.spent_usd))
    if job.estimated:
        metrics.add_metric("EstimatedUsd", MetricUnit.NoUnit, float(job.spent_usd))
    if attempt is not None and attempt.usage is not None:
        metrics.add_metric("ReasoningTokens", MetricUnit.Count, attempt.usage.reasoning_tokens)
    if attempt is not None and attempt.submitted_at is not None and job.finished_at is not None:
        queued = (attempt.submitted_at - job.created_at).total_seconds()
        metrics.add_metric("QueuedSeconds", MetricUnit.Seconds, queued)
        metrics.add_metric(
            "ThinkingSeconds", MetricUnit.Seconds, (job.finished_at - attempt.submitted_at).total_seconds()
        )
    metrics.flush_metrics()


def count_event(outcome: str, **about: str | None) -> None:
    """One record for an event of a provider, by what became of it. `about` stands in the same line, which is all that
    is logged of it: an event comes with every job."""
    metrics = EphemeralMetrics()
    metrics.add_dimension("outcome", outcome)
    metrics.add_metric("ProviderEvents", MetricUnit.Count, 1)
    for name, value in about.items():
        if value is not None:
            metrics.add_metadata(name, value)
    metrics.flush_metrics()


def tell_paused(provider: str, code: str) -> None:
    """A provider is paused: our money there is gone. The alarm goes by the figure."""
    logger().error("the provider is paused: our account there has no money", provider=provider, code=code)
    count("ProviderPaused")


def count(name: str, number: int = 1) -> None:
    """A plain counter."""
    metrics = EphemeralMetrics()
    metrics.add_metric(name, MetricUnit.Count, number)
    metrics.flush_metrics()
