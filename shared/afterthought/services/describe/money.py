"""The schemas of money: what a job costs, what a dry run tells, what was used, and where the budgets stand."""

from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel

from afterthought.domain.attempt import AttemptState, Because
from afterthought.domain.bound import Bound
from afterthought.domain.provider import Mode
from afterthought.domain.usage_report import COUNTS, DOLLARS, GROUPS, STATUSES
from afterthought.services.describe.schema import Schema, array, components, fixed, nullable, of, one_of, record, ref

KINDS = ("invalid_request_error", "insufficient_quota", "requests", "tokens", "server_error")
"""What `error.type` may be."""

_PRICE_DATE = of("string", "The first day on which that row is in force.", format="date")
_BOUND = {
    "input_tokens": "The most that the input can be: never fewer than will be counted, often several times as many.",
    "output_tokens": "`max_output_tokens`, or the model's own maximum.",
    "input_usd": "The input at the dearest of plain, cached and cache-write.",
    "output_usd": "The output, reasoning among it.",
    "tools_usd": "0: no tool with a fee of its own is offered.",
    "total_usd": "All together: what would be held.",
    "price_id": "The dearest price row that may be in force when the model is called.",
}
_MEASURES = {
    "jobs": "How many, on the day each was accepted.",
    "cached_input_tokens": "How much of the input came from the provider's cache.",
    "cache_write_tokens": "How much of the input went into it.",
    "reasoning_tokens": "How much of the output was reasoning.",
    "held_usd": "What is held for jobs that have not ended. Dollars, a decimal string: exact, never rounded.",
    "spent_usd": "What they have cost. Dollars likewise.",
}


def money_schemas() -> dict[str, Schema]:
    """Schemas by name."""
    return {
        "Cost": _cost(),
        "Attempt": _attempt(),
        "DryRun": _dry_run(),
        "Bound": _bound(),
        "Refused": error_detail("What would be answered.", status=of("integer", "The HTTP status.")),
        "UsageReport": _report(),
        "UsageRow": _row(),
        "Totals": record("The sums of all that is asked for. A job counts once, whatever its tags.", **_measures()),
        "Budget": _budget(),
    }


def open_schema(model: type[BaseModel], words: Mapping[str, str]) -> Schema:
    """What a model of ours looks like in an answer: as `record`, it may have more one day."""
    schema = components(model, "serialization", {model.__name__: words})[model.__name__]
    return {key: held for key, held in schema.items() if key != "additionalProperties"}


def error_detail(description: str = "", /, **more: Schema) -> Schema:
    """The wire's error object, with more fields before its own."""
    return _optional(
        record(
            description,
            **more,
            message=of("string", "What is wrong and what is allowed."),
            type=one_of(KINDS, "A 402 is `insufficient_quota`; a 429 says which of the minute's limits is used up."),
            param=nullable(of("string"), "The field at fault as a path, such as `input[0].content[1].type`."),
            code=of("string", "See the errors' table."),
        ),
        afterthought=of("object", "The figures of a refusal that has any: see the errors' table."),
    )


def _optional(schema: Schema, **properties: Schema) -> Schema:
    """With fields that are not always there."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def _cost() -> Schema:
    usd = nullable(of("string"))
    return record(
        "What the job can cost, holds and has cost, in dollars: decimal strings, exact, never rounded. The parts are "
        "those of the answer, by its price row. What is not known is null: all parts before the end, and where the "
        "provider did not say what was used.",
        max_cost_usd={**usd, "description": "As asked for."},
        bound_usd={**usd, "description": "The most that its newest attempt can cost: so much is held for it."},
        held_usd=of("string", "What is held now; 0 once it has ended."),
        total_usd={**usd, "description": "What it has cost, all attempts together, once it has ended."},
        input_usd={**usd, "description": "Input that neither came from the cache nor went into it."},
        cached_input_usd={**usd, "description": "Input that came from the provider's cache."},
        cache_write_usd={**usd, "description": "Input that went into the provider's cache."},
        output_usd={**usd, "description": "Output, reasoning among it."},
        reasoning_usd={**usd, "description": "How much of `output_usd` was reasoning. Not added again."},
        tools_usd={**usd, "description": _BOUND["tools_usd"]},
        price_id=nullable(of("string"), "The price row that was in force when the call was made."),
        price_date=nullable(of("string", format="date"), _PRICE_DATE["description"]),
        estimated=of(
            "boolean",
            "Whether nobody said what was used, so that it costs what was held for it. When it becomes known after "
            "all, the true cost takes its place.",
        ),
        overrun=of("boolean", "Whether it came in dearer than what was held. It is booked in full, and is a defect."),
    )


def _attempt() -> Schema:
    return record(
        "One call of a model.",
        number=of("integer", "From 1."),
        state=one_of(
            get_args(AttemptState),
            "`held`: its money is held, and it is to be made. `submitting`, `submitted`: it is under way. `unknown`: "
            "the connection was lost, and the provider may still tell what came of it. `settled`: it ended, and has "
            "its cost. `refused` (by the provider), `released` (never made): it cost nothing.",
        ),
        because=nullable(
            one_of(get_args(Because)),
            "Why it calls something else than was asked for, or calls it again: the model is retired "
            "(`model_retired`), the provider says it has none of that name (`model_not_found`), nobody knows what came "
            "of the attempt before (`outcome_unknown`), or that one had nothing to show (`reasoning_starved`).",
        ),
        model=of("string", "The model that it calls."),
        effort=nullable(of("string"), "The effort that it calls it with, the model's default included."),
        max_output_tokens=nullable(of("integer"), "The cap that it calls it with; null: the model's own maximum."),
        served_model=nullable(of("string"), "The model that answered, as the provider names it."),
        provider=nullable(of("string"), "Who was called."),
        called_at=nullable(of("number"), "Seconds since 1970, UTC, with milliseconds. Decides the price row."),
        usage=nullable(ref("Usage"), "Its tokens, once the provider has counted them."),
        hold_usd=of("string", "The most that it can cost: held until it ends."),
        cost_usd=nullable(of("string"), "What it cost."),
        price_id=nullable(of("string"), "The price row of its cost."),
        estimated=of("boolean", "Whether its cost is its hold, because nobody said what it used."),
        overrun=of("boolean", "Whether its cost is above its hold."),
    )


def _bound() -> Schema:
    schema = open_schema(Bound, _BOUND)
    schema["description"] = (
        "The most that one call of the model can cost, in dollars, by part: decimal strings, exact. A true bound and "
        "no estimate: the usual cost is a small part of it. A job that may try again (`on_unknown`, `on_starved`) can "
        "make further calls, each with a bound of its own; `max_cost_usd` bounds them all together."
    )
    schema["properties"]["price_date"] = _PRICE_DATE
    schema["required"].append("price_date")
    return schema


def _dry_run() -> Schema:
    return record(
        "What the first call of a request would come to. Nothing is stored, held, counted or called for it.",
        id={"type": "null"},
        object=fixed("response.dry_run"),
        model=of("string", "As asked for."),
        afterthought=record(
            "",
            dry_run=fixed(True),
            plan=_plan(),
            bound=ref("Bound"),
            max_cost_usd=nullable(of("string"), "As asked for."),
            budgets=array(ref("Budget"), "This month's and today's, as they stand without it."),
            rate_tokens=of("integer", "The tokens that it would take of the minute's: an estimate."),
            rate_limits=nullable(
                of("object", additionalProperties={"type": "string"}),
                "The `x-ratelimit-…` headers as they stand without it; null for a tier that admits nothing.",
            ),
            would_refuse=array(ref("Refused"), "Every refusal it would meet now; empty when it would be taken."),
        ),
    )


def _plan() -> Schema:
    return record(
        "What would be called.",
        model=of("string", "The model: the one that was asked for, or its successor."),
        effort=nullable(of("string"), "The effort, the model's default included."),
        max_output_tokens=nullable(of("integer"), "The cap; null: the model's own maximum."),
        substituted_because=nullable(of("string"), "`model_retired` where it is the successor."),
        mode=one_of(get_args(Mode), "How its provider is called."),
        deadline_seconds=of("integer", "How long it might take."),
    )


def _measures() -> dict[str, Schema]:
    return {
        **{name: of("integer", _MEASURES.get(name, "")) for name in COUNTS},
        **{name: of("string", _MEASURES[name]) for name in DOLLARS},
    }


def _row() -> Schema:
    schema = _optional(
        record("The sums of one group. It has those of the first four fields that `group_by` names.", **_measures()),
        day=of("string", "The day (UTC) on which the money was held, and the job accepted.", format="date"),
        model=of(
            "string",
            "The one that was called: a successor, where one ran. A snapshot is not its model.",
        ),
        tag=nullable(of("string"), "Null for jobs without a tag."),
        status=one_of(STATUSES, "`open` is `queued` or `in_progress`."),
    )
    names = (*GROUPS, *COUNTS, *DOLLARS)
    return {**schema, "properties": {name: schema["properties"][name] for name in names}}


def _report() -> Schema:
    return record(
        "What a tenant's jobs used and cost.",
        object=fixed("usage"),
        start=of("string", "The first day, included.", format="date"),
        end=of("string", "The last day, included.", format="date"),
        group_by=array(one_of(GROUPS)),
        data=array(ref("UsageRow"), "In the order of the groups. What there is nothing of is left out."),
        total=ref("Totals"),
        budgets=array(ref("Budget"), "This month's and today's, whatever days are asked for."),
    )


def _budget() -> Schema:
    return record(
        "What a tenant may spend in a month or a day (UTC), and what stands against it, in dollars: decimal strings. "
        "A job whose bound is above what is left is refused.",
        period=one_of(("month", "day")),
        name=of("string", "Which: `2026-11`, `2026-11-02`."),
        cap_usd=nullable(of("string"), "The budget; null where there is none."),
        held_usd=of("string", "What is held of it for jobs that have not ended."),
        spent_usd=of("string", "What the jobs have cost whose money was held of it."),
        left_usd=nullable(
            of("string"), "What is left for new holds; below 0 when the cap was lowered or a job overran."
        ),
        renews_at=of("string", "When the next one begins.", format="date-time"),
    )
