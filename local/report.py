"""The demo's report about a job that has ended."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from local.poll import PolledJob
from local.receiver import Arrival
from local.topic import TopicMessage

INDENT = " " * 12


def report(number: int, job: PolledJob, webhook: Arrival | None, messages: Sequence[TopicMessage]) -> str:
    ours: Mapping[str, Any] = (job.response.model_extra or {}).get("afterthought") or {}
    rows = (
        ("Question", wrapped(job.question.text)),
        ("Answer", wrapped(job.response.output_text) or "none"),
        ("Status", status(job, ours)),
        ("Tokens", tokens(job)),
        ("Cost", cost(ours.get("cost"))),
        ("Price", price(ours)),
        ("Time", times(ours.get("timeline") or {})),
        ("Webhook", webhook_text(webhook)),
        ("SNS", sns_text(messages)),
    )
    effort = (job.response.reasoning.effort if job.response.reasoning else None) or "none"
    title = f"{number}. {job.question.model}, effort {effort}, {job.response.id}"
    return "\n".join([title, *(f"   {name:8} {text}" for name, text in rows)])


def wrapped(text: str) -> str:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, 100) or [""]]
    return ("\n" + INDENT).join(lines)


def status(job: PolledJob, ours: Mapping[str, Any]) -> str:
    served = f"served by {ours.get('provider')} with {ours.get('served_model')}" if ours.get("served_model") else ""
    stand_in = "a stand-in, not a model" if ours.get("stand_in") else ""
    error = f"{ours.get('error_code')}: {job.response.error.message}" if job.response.error else ""
    return "; ".join(part for part in (job.status, served, stand_in, error) if part)


def tokens(job: PolledJob) -> str:
    usage = job.response.usage
    if usage is None:
        return "unknown"
    return (
        f"input {usage.input_tokens} (cached {usage.input_tokens_details.cached_tokens}), "
        f"output {usage.output_tokens} (reasoning {usage.output_tokens_details.reasoning_tokens})"
    )


def cost(values: Mapping[str, Any] | None) -> str:
    if not values or values["total_usd"] is None:
        return "unknown"
    total = f"${values['total_usd']}"
    if values["estimated"]:
        return f"{total}: the amount held, because the provider did not report the usage"
    parts = (("input", "input_usd"), ("cached input", "cached_input_usd"), ("output", "output_usd"))
    split = ", ".join(f"{name} ${values[key]}" for name, key in parts if values.get(key) is not None)
    return f"{total} of at most ${values['bound_usd']}, held before it ran ({split})"


def price(ours: Mapping[str, Any]) -> str:
    price_id = (ours.get("cost") or {}).get("price_id") or "unknown"
    return f"{price_id}: what the model costs; the stand-in is free" if ours.get("stand_in") else price_id


def times(timeline: Mapping[str, Any]) -> str:
    return f"queued {seconds(timeline.get('queued_seconds'))}, thinking {seconds(timeline.get('thinking_seconds'))}"


def seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


def webhook_text(webhook: Arrival | None) -> str:
    if webhook is None:
        return "DID NOT ARRIVE"
    return f"{webhook.event} arrived; the openai SDK's client.webhooks.unwrap() accepted its signature"


def sns_text(messages: Sequence[TopicMessage]) -> str:
    if not messages:
        return "DID NOT ARRIVE"
    attributes = ", ".join(f"{name}={value}" for name, value in sorted(messages[0].attributes.items()))
    return f"{messages[0].type} arrived ({attributes})"
