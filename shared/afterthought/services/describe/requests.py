"""The request's schemas: their form from the models that check it, their words from here."""

from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request import MAX_METADATA_PAIRS, MAX_TOOLS, REFUSED_FOR_NOW, CreateResponse
from afterthought.domain.terms import MAX_TAGS, TAG_FORM
from afterthought.services.describe.schema import Schema, components

_FUNCTION = "Only for models with function calling."

WORDS = {
    "CreateResponse": {
        "model": "A model's id or one of its snapshots, as `GET /v1/models` lists them. A retired one is refused, with "
        "its successor named.",
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
    "Afterthought": {
        "max_cost_usd": "The most that the job may cost, all its attempts together, in dollars: at most 9 digits "
        "before the point and 12 after. A string, since a JSON number with a point is not exact; shown without "
        "needless zeros. A job whose bound is above it is refused, and told the `max_output_tokens` that would fit.",
        "tags": f"Up to {MAX_TAGS} different names of your own that its usage is counted under, such as a team or a "
        f"product: each {TAG_FORM}. They are shown in order. For your user's data there is `metadata`.",
        "dry_run": "Answers what the request can cost and what would refuse it, and does no more. What is wrong in "
        "itself is refused as ever.",
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
    refused = ", ".join(f"`{name}`" for name in REFUSED_FOR_NOW)
    schemas["CreateResponse"]["description"] = (
        "The parameters of OpenAI's Responses API that are supported. Any other is refused by name, with the reason "
        f"where there is one ({refused}): above all what names an object at the provider, any `file_id` too, since "
        "all tenants share one account there. Null is the same as absent."
    )
    return schemas
