"""What the demo tells of a job when it has ended."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from local.announcements import Announcement
from local.poll import Followed
from local.receiver import Arrival

INDENT = " " * 12


def report(number: int, job: Followed, arrival: Arrival | None, announced: Sequence[Announcement]) -> str:
    ours: Mapping[str, Any] = (job.response.model_extra or {}).get("afterthought") or {}
    rows = (
        ("Question", wrapped(job.question.text)),
        ("Answer", wrapped(job.response.output_text) or "none"),
        ("Status", status(job, ours)),
        ("Tokens", tokens(job)),
        ("Cost", cost(ours.get("cost"), stand_in=bool(ours.get("stand_in")))),
        ("Time", times(ours.get("timeline") or {})),
        ("Webhook", webhook(arrival)),
        ("SNS", sns(announced)),
    )
    effort = (job.response.reasoning.effort if job.response.reasoning else None) or "none"
    title = f"{number}. {job.question.model}, effort {effort}, {job.response.id}"
    return "\n".join([title, *(f"   {name:8} {text}" for name, text in rows)])


def wrapped(text: str) -> str:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, 100) or [""]]
    return ("\n" + INDENT).join(lines)


def status(job: Followed, ours: Mapping[str, Any]) -> str:
    served = f"answered by {ours.get('served_model')} of {ours.get('provider')}" if ours.get("served_model") else ""
    error = f"{ours.get('error_code')}: {job.response.error.message}" if job.response.error else ""
    stand_in = "a stand-in, not a model" if ours.get("stand_in") else ""
    return ", ".join(part for part in (job.status, served, stand_in, error) if part)


def tokens(job: Followed) -> str:
    usage = job.response.usage
    if usage is None:
        return "not known"
    return (
        f"input {usage.input_tokens}, of which cached {usage.input_tokens_details.cached_tokens}; "
        f"output {usage.output_tokens}, of which reasoning {usage.output_tokens_details.reasoning_tokens}"
    )


def cost(given: Mapping[str, Any] | None, *, stand_in: bool) -> str:
    if not given or given["total_usd"] is None:
        return "not known"
    if given["estimated"]:
        return f"${given['total_usd']}, all that was held for it: nobody said what it used"
    parts = (("input", "input_usd"), ("cached input", "cached_input_usd"), ("output", "output_usd"))
    split = ", ".join(f"{name} ${given[key]}" for name, key in parts if given.get(key) is not None)
    unpaid = "; what the model would have cost" if stand_in else ""
    of = f"of at most ${given['bound_usd']}, held before it ran"
    return f"${given['total_usd']} {of} ({split}; price {given.get('price_id')}{unpaid})"


def times(timeline: Mapping[str, Any]) -> str:
    return f"queued {seconds(timeline.get('queued_seconds'))}, thinking {seconds(timeline.get('thinking_seconds'))}"


def seconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f} s"


def webhook(arrival: Arrival | None) -> str:
    if arrival is None:
        return "DID NOT ARRIVE"
    return f"{arrival.event} arrived; the openai SDK's client.webhooks.unwrap() accepted its signature"


def sns(announced: Sequence[Announcement]) -> str:
    if not announced:
        return "DID NOT ARRIVE"
    attributes = ", ".join(f"{name}={value}" for name, value in sorted(announced[0].attributes.items()))
    return f"{announced[0].type} arrived ({attributes})"
