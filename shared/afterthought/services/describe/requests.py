"""The request's schemas: their form from the models that check it, their words from here."""

from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request.options import MAX_TAGS, TAG_FORMAT
from afterthought.domain.request.request import MAX_METADATA_PAIRS, MAX_TOOLS, UNSUPPORTED_PARAMETERS, CreateResponse
from afterthought.services.describe.schema import Schema, components

_FUNCTION = "Only for models with function calling."

WORDS = {
    "CreateResponse": {
        "model": "A model's id or one of its snapshots, as `GET /v1/models` lists them. A retired one is refused, with "
        "its successor named, unless `afterthought.model_policy` lets that run.",
        "input": "The question: a text, or the turns of a conversation as items.",
        "instructions": "What the model is told before the input.",
        "reasoning": "How hard the model thinks. Only for reasoning models.",
        "max_output_tokens": f"The most tokens the model may produce, reasoning and answer together: from "
        f"{MIN_OUTPUT_TOKENS} to the model's own maximum, which is also the default.",
        "metadata": f"Up to {MAX_METADATA_PAIRS} pairs of your own, given back with the response. The provider never "
        "sees them.",
        "text": "The form of the answer: plain text, JSON, or JSON by a schema.",
        "tools": f"Up to {MAX_TOOLS} functions and custom tools of your own. {_FUNCTION} Hosted tools are not offered.",
        "tool_choice": f"Whether the model may, must or must not call a tool, or which. {_FUNCTION}",
        "parallel_tool_calls": f"Whether several tools may be called at once. {_FUNCTION}",
        "temperature": "Passed to the model as it is. Reasoning models may refuse it.",
        "top_p": "Passed to the model as it is. Reasoning models may refuse it.",
        "truncation": "What happens to an input that is too long: `auto` drops old turns, `disabled` fails.",
        "service_tier": "`flex` and `priority` where the model is offered in them; everything else runs as `default`. "
        "The tier is always asked for by name, so that its price is known.",
        "include": "What else the answer shall hold.",
        "max_tool_calls": "The most calls of tools in one response.",
        "prompt_cache_key": "Requests with the same key and the same beginning are cached together. Two tenants' equal "
        "keys never meet.",
        "safety_identifier": "Your user's stable id. Given back, never sent to the provider.",
        "user": "As `safety_identifier`; kept for older clients.",
        "background": "Makes no difference: every response runs in the background, and says so.",
        "store": "Responses are always stored, else they could not be read later.",
        "stream": "Streaming is not offered.",
        "afterthought": "What is this service's own.",
    },
    "AfterthoughtOptions": {
        "max_cost_usd": "The most that the job may cost, all its attempts together, in dollars: at most 9 digits "
        "before the point and 12 after. A string, since a JSON number with a point is not exact; shown without "
        "needless zeros. A job whose bound is above it is refused, and told the `max_output_tokens` that would fit.",
        "tags": f"Up to {MAX_TAGS} different names of your own that its usage is counted under, such as a team or a "
        f"product: each {TAG_FORMAT}. They are shown in order. For your user's data there is `metadata`.",
        "dry_run": "Answers what the request can cost and what would refuse it, and does no more. What is wrong in "
        "itself is refused as ever.",
        "deadline_seconds": "How long it may take from when it is accepted, all waiting included. A job that has not "
        "ended by then is cancelled at the provider, within about a minute, and fails with `deadline_exceeded`. "
        "Without it, a day.",
        "model_policy": "What becomes of a request for a model that is retired, now or by the time it is called, or "
        "that the provider says it does not have. `exact`, the default: it is refused, or fails with "
        "`model_not_found`. `successor`: the first model in the line of its maker's recommendations that is served "
        "runs it, if it can, under a hold by its own prices; the answer says so. It thinks with the effort that was "
        "asked for, or the nearest that it takes (of two the higher); without one, with the default of the model that "
        "was named, where one that does not reason counts as `none`. A `max_output_tokens` above its maximum becomes "
        "that.",
        "on_unknown": "What becomes of a job whose model was called when nobody can tell what came of it (the "
        "connection broke, or a worker died). `fail`, the default: it fails with `outcome_unknown`. `retry`: the call "
        "is made once more, under a hold of its own. The lost call counts as paid, `estimated`, until the provider "
        "says otherwise.",
        "on_starved": "What becomes of an answer of which there is nothing to see, because reasoning used up all of "
        "`max_output_tokens`. `keep`, the default: the response is `incomplete`, with `reasoning_starved`. `retry`: "
        "the model is called once more, under a hold of its own, with four times the `max_output_tokens` (its own "
        "maximum at most); where that does not fit the cap or the budgets, with the next lower effort. The starved "
        "answer is paid for.",
        "webhook_url": "Where the completion event goes: an `https://` URL with a public host name, without "
        "credentials in it. Private addresses are never called.",
    },
    "ReasoningOptions": {
        "effort": "One of the model's own efforts, as `GET /v1/models` lists them; some models take none at all. "
        "Without it, the model's default.",
        "summary": "A summary of the reasoning in the output, where the model gives one.",
    },
    "Text": {"format": "`text` unless said otherwise.", "verbosity": "How much the model says."},
    "InputImage": {"image_url": "An `https://` URL or a `data:` URL."},
    "InputFile": {"file_data": "A base64 `data:` URL.", "file_url": "An `https://` URL."},
}


def request_schemas() -> dict[str, Schema]:
    """Schemas by name. The whole request is `CreateResponse`."""
    schemas = components(CreateResponse, "validation", WORDS)
    refused = ", ".join(f"`{name}`" for name in UNSUPPORTED_PARAMETERS)
    schemas["CreateResponse"]["description"] = (
        "The parameters of OpenAI's Responses API that are supported. Any other is refused by name, with the reason "
        f"where there is one ({refused}): above all what names an object at the provider, any `file_id` too, since "
        "all tenants share one account there. Null is the same as absent."
    )
    return schemas
