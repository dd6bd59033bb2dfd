"""The schemas of what the API answers: OpenAI's Response and Model, and what is ours under `afterthought`."""

from typing import get_args

from afterthought.domain.models.provider import Mode
from afterthought.domain.pricing import Price
from afterthought.domain.record import Status
from afterthought.services.describe.money import error_detail, money_schemas, open_schema
from afterthought.services.describe.schema import Schema, array, fixed, nullable, of, one_of, record, ref

FAILURES = {
    "outcome_unknown": "the model was called and it is not known what came of it; it is called again only where "
    "`on_unknown` asks for that, and once",
    "deadline_exceeded": "it did not start, or did not end, before its deadline, and was cancelled",
    "generation_gone": "the provider lost it",
    "model_not_found": "no provider serves the model any more, or the one that was called does not",
    "server_error": "the provider failed without saying why",
    "internal_error": "a defect here",
}
"""What `afterthought.error_code` may be, besides a code of the provider's own."""

_SECONDS = "Seconds since 1970, UTC, with milliseconds."
_ASKED = "As asked for."

_PRICE = {
    "above_input_tokens": "0 for the ordinary row; else the row prices the whole request once it has more input.",
    "input": "Dollars per million input tokens, a decimal string.",
    "cached_input": "Per million that came from the cache; null: as `input`.",
    "cache_write": "Per million that went into the cache; null: as `input`.",
    "output": "Per million output tokens, reasoning among them.",
}


def answer_schemas() -> dict[str, Schema]:
    """Schemas by name. They may use the request's."""
    price = open_schema(Price, _PRICE)
    price["properties"].pop("model")
    price["required"].remove("model")
    price["description"] = "One row of the price list, in force today."
    return {
        "Response": _response(),
        "Usage": _usage(),
        "AfterthoughtResult": _ours(),
        **money_schemas(),
        "Timeline": _timeline(),
        "Model": _model(),
        "AfterthoughtModel": _model_ours(),
        "Price": price,
        "ModelList": record("All models.", object=fixed("list"), data=array(ref("Model"))),
        "Event": _event(),
        "Error": record("A refusal, in OpenAI's form.", error=error_detail()),
        "Health": record("The service runs.", status=fixed("ok")),
    }


def _response() -> Schema:
    string, number = nullable(of("string"), _ASKED), of("number", _ASKED)
    failure = record("", code=of("string"), message=of("string"))
    return record(
        "A response as it stands: OpenAI's Response object. What is this service's own is under `afterthought`.",
        id=of("string", "`resp_` and 48 hex digits.", pattern="^resp_[0-9a-f]{48}$"),
        object=fixed("response"),
        created_at=of("integer", "Seconds since 1970, UTC."),
        completed_at=nullable(of("number"), "When it completed. Seconds since 1970, UTC."),
        status=one_of(
            get_args(Status),
            "The last four are final. A call that is refused for now, or made once more, goes back to `queued`.",
        ),
        background=fixed(True),
        store=fixed(True),
        error=nullable(
            failure,
            "Why it failed. `code` is one of OpenAI's; what that set has no word for is `server_error` here, and is "
            "told by `afterthought.error_code`.",
        ),
        incomplete_details=nullable(
            record("", reason=nullable(of("string"))),
            "Why it is incomplete, such as `max_output_tokens`: one of OpenAI's reasons, told in full by "
            "`afterthought.incomplete_reason`. An incomplete answer is billed.",
        ),
        instructions=string,
        max_output_tokens=nullable(of("integer"), _ASKED),
        max_tool_calls=nullable(of("integer"), _ASKED),
        metadata=of("object", _ASKED, additionalProperties={"type": "string"}),
        model=of("string", "The model that answered, by the provider's word; before that, the one that is called."),
        output=array(
            of("object", properties={"type": of("string")}, required=["type"]),
            "OpenAI's output items (`reasoning`, `message`, `function_call`, …), as the model gave them.",
        ),
        parallel_tool_calls=of("boolean", _ASKED),
        previous_response_id={"type": "null"},
        prompt_cache_key=string,
        reasoning=record(
            "The effort that is used, the model's default included.",
            effort=nullable(of("string")),
            summary=nullable(of("string")),
        ),
        safety_identifier=string,
        service_tier=of("string", "The tier that was served; before that, the one that is asked for."),
        temperature=number,
        text=ref("Text"),
        tool_choice={"anyOf": [of("string"), ref("NamedTool")], "description": _ASKED},
        tools={**ref("Tools"), "description": _ASKED},
        top_logprobs=of("integer", _ASKED),
        top_p=number,
        truncation=of("string", _ASKED),
        usage=nullable(
            ref("Usage"), "The tokens of the newest attempt, once the provider has counted them, and the job's dollars."
        ),
        user=string,
        afterthought=ref("AfterthoughtResult"),
    )


def _usage() -> Schema:
    schema = record(
        "Tokens as the provider counts them. Cached and cache-write tokens are parts of the input, reasoning tokens "
        "are a part of the output.",
        input_tokens=of("integer"),
        input_tokens_details=record("", cached_tokens=of("integer"), cache_write_tokens=of("integer")),
        output_tokens=of("integer"),
        output_tokens_details=record("", reasoning_tokens=of("integer")),
        total_tokens=of("integer"),
    )
    cost = of(
        "number",
        "Not of an attempt: what the job has cost in dollars, all attempts together, as other gateways give it. For "
        "reading; add up `afterthought.cost`.",
    )
    schema["properties"]["cost"] = cost
    return schema


def _ours() -> Schema:
    codes = "; ".join(f"`{code}`: {meaning}" for code, meaning in FAILURES.items())
    return record(
        "What is this service's own.",
        requested_model=of("string", "The model that was asked for."),
        served_model=nullable(of("string"), "The model that answered, as the provider names it."),
        substituted_because=nullable(
            one_of(("model_retired", "model_not_found")),
            "Why a successor is called in place of the model that was asked for: that one is retired, or the provider "
            "says it has none of that name. Only with a `model_policy` of `successor`.",
        ),
        provider=nullable(of("string"), "Who was called."),
        mode=one_of(
            get_args(Mode),
            "`background`: the provider works on it while nobody waits. `direct`: the call is awaited; to cancel it is "
            "to close its connection.",
        ),
        stand_in=of("boolean", "True when no model answered but a local stand-in for one."),
        error_code=nullable(of("string"), f"Why it failed, in full. {codes}; or a code of the provider's own."),
        incomplete_reason=nullable(
            of("string"),
            "Why it is incomplete, in full. `reasoning_starved`: reasoning used up all of `max_output_tokens`, and "
            "there is nothing to see. Ask for more, for less effort, or for an `on_starved` of `retry`.",
        ),
        deadline_at=of("number", f"When it is cancelled if it has not ended. {_SECONDS}"),
        cancel_requested_at=nullable(
            of("number"), f"When it was asked to be cancelled while a model worked on it. {_SECONDS}"
        ),
        tags=array(of("string"), "As asked for, in order."),
        cost=ref("Cost"),
        attempts=array(
            ref("Attempt"),
            "Every paid call made for it, each written down, with its hold, before. Usually one; what the response "
            "shows of an answer (output, usage, the parts of the cost, times) is the newest's.",
        ),
        timeline=ref("Timeline"),
    )


def _timeline() -> Schema:
    return record(
        f"When what happened. {_SECONDS}",
        created_at=of("number", "When it was accepted."),
        submitted_at=nullable(of("number"), "When the provider took it."),
        finished_at=nullable(of("number"), "When its end was written down."),
        queued_seconds=nullable(
            of("number"), "From accepted to taken. Of several attempts the newest counts, and those before are in it."
        ),
        thinking_seconds=nullable(of("number"), "From taken to ended."),
    )


def _model() -> Schema:
    return record(
        "OpenAI's Model object. What is this service's own is under `afterthought`.",
        id=of("string"),
        object=fixed("model"),
        created=of("integer", "Seconds since 1970, UTC; 0 where unknown."),
        owned_by=of("string", "The provider that serves it."),
        shutdown_date=nullable(
            of("string", format="date"), "The first day without it; null while no end is announced."
        ),
        afterthought=ref("AfterthoughtModel"),
    )


def _model_ours() -> Schema:
    names = array(of("string"))
    return record(
        "What the model takes, can and costs.",
        provider=nullable(of("string"), "Who serves it today; null once it is retired."),
        stand_in=of("boolean", "True when a local stand-in answers in its place."),
        mode=nullable(one_of(get_args(Mode)), "How the provider is called."),
        retired=of("boolean", "Whether nobody serves it any more."),
        successor=nullable(of("string"), "What its maker recommends instead."),
        snapshots={**names, "description": "Its other names."},
        context_window_input=of("integer", "Tokens of input, at most."),
        max_output_tokens=of("integer", "Tokens of output, reasoning and answer together, at most."),
        typical_output_tokens=of(
            "integer", "Tokens that rate limits count for an answer without `max_output_tokens`, until it has come."
        ),
        efforts={**names, "description": "What `reasoning.effort` may be; empty for a model that takes none at all."},
        default_effort=nullable(of("string")),
        input_modalities=array(one_of(("text", "image", "file"))),
        tools=of("boolean", "Whether it calls functions."),
        parallel_tool_calls=of("boolean"),
        structured_outputs=of("boolean", "Whether it answers in JSON by a schema."),
        usd_per_million_tokens=array(ref("Price"), "Today's prices, by service tier and length of input."),
    )


def _event() -> Schema:
    return record(
        "A response has ended. Thin, as OpenAI's events are: it names the response and says no more.",
        id=of("string", "The same however often the event is sent."),
        object=fixed("event"),
        created_at=of("integer", "When the response ended. Seconds since 1970, UTC."),
        type=of("string", "`response.` and the status."),
        data=record("", id=of("string", "The response's id.")),
    )
