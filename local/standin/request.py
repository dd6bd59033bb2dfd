"""A request to create a response, checked as the provider checks it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.standin.wire import (
    Json,
    WireError,
    invalid_type,
    invalid_value,
    missing_parameter,
    model_not_found,
    one_of,
    optional,
)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# The requested tier, and the tier that the response then names.
TIERS = {
    "auto": "default",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "priority",
    "ultrafast": "ultrafast",
}
PARAMETERS = frozenset(
    {
        "background",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
UNSUPPORTED = ("conversation", "previous_response_id", "prompt")
MAX_METADATA_PAIRS = 16


@dataclass(frozen=True)
class Request:
    """A valid request. `question` is the text of the last user message, `prompt` all text that counts as input."""

    model: str
    question: str
    prompt: str
    items: int
    images: int
    effort: str | None
    max_output_tokens: int | None
    background: bool
    store: bool
    metadata: Mapping[str, str]
    service_tier: str
    text: Json
    tools: Sequence[Json]
    tool_choice: Any
    reasoning: Json
    echoed: Json

    @property
    def forced_function(self) -> Json | None:
        """The function that `tool_choice` forces the model to call."""
        choice = self.tool_choice
        functions = [tool for tool in self.tools if tool.get("type") == "function"]
        if isinstance(choice, dict) and choice.get("type") == "function":
            return next((tool for tool in functions if tool["name"] == choice.get("name")), None)
        forced = choice == "required" or (isinstance(choice, dict) and choice.get("mode") == "required")
        return functions[0] if forced and functions else None


def is_reasoning_model(model: str) -> bool:
    """Decided by the name: the stand-in has no catalogue."""
    return not model.startswith(("gpt-3", "gpt-4"))


def parse_request(body: Json, serves: Callable[[str], bool]) -> Request:
    """Raises WireError as the provider would."""
    for name in body:
        if name not in PARAMETERS:
            raise WireError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in UNSUPPORTED:
        if body.get(name) is not None:
            raise WireError(400, f"This stand-in does not serve '{name}'.", param=name, code="unsupported_parameter")
    if body.get("stream"):
        raise WireError(400, "This stand-in does not stream.", param="stream", code="unsupported_parameter")
    model = optional(body, "model", str, None)
    if not model:
        raise missing_parameter("model")
    if not serves(model):
        raise model_not_found(model)
    background, store = optional(body, "background", bool, False), optional(body, "store", bool, True)
    if background and not store:
        raise WireError(400, "Background mode requires 'store' to be true.", param="store", code="invalid_value")
    question, texts, items, images = parse_input(body)
    tools, text = parse_tools(body), parse_text(body)
    reasoning, effort = parse_effort(body, model)
    extras = [body.get("instructions") or "", *([json.dumps(tools)] if tools else [])]
    if text["format"].get("type") == "json_schema":
        extras.append(json.dumps(text["format"]))
    return Request(
        model=model,
        question=question,
        prompt="\n".join([*extras, *texts]),
        items=items,
        images=images,
        effort=effort,
        max_output_tokens=parse_max_output(body),
        background=background,
        store=store,
        metadata=parse_metadata(body),
        service_tier=TIERS[one_of(body, "service_tier", TIERS, "auto")],
        text=text,
        tools=tools,
        tool_choice=parse_tool_choice(body, tools),
        reasoning=reasoning,
        echoed={
            "instructions": optional(body, "instructions", str, None),
            "parallel_tool_calls": optional(body, "parallel_tool_calls", bool, True),
            "temperature": optional(body, "temperature", float, 1.0),
            "top_p": optional(body, "top_p", float, 1.0),
            "truncation": one_of(body, "truncation", ("auto", "disabled"), "disabled"),
            "prompt_cache_key": optional(body, "prompt_cache_key", str, None),
            "safety_identifier": optional(body, "safety_identifier", str, None),
            "user": optional(body, "user", str, None),
        },
    )


def parse_max_output(body: Json) -> int | None:
    limit: int | None = optional(body, "max_output_tokens", int, None)
    if limit is not None and limit < 16:
        message = f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit}."
        raise WireError(400, message, param="max_output_tokens", code="integer_below_min_value")
    return limit


def parse_effort(body: Json, model: str) -> tuple[Json, str | None]:
    """The reasoning settings to echo, and the effort: None for a model that does not reason."""
    reasoning = body.get("reasoning") or {}
    if not isinstance(reasoning, dict):
        raise invalid_type("reasoning", "an object")
    effort = reasoning.get("effort")
    if effort is not None and effort not in EFFORTS:
        raise invalid_value("reasoning.effort", EFFORTS)
    no_effort = not is_reasoning_model(model) or model.startswith(("o1-mini", "o1-preview"))
    if effort is not None and no_effort:
        message = "Unsupported parameter: 'reasoning.effort' is not supported with this model."
        raise WireError(400, message, param="reasoning.effort", code="unsupported_parameter")
    if not is_reasoning_model(model):
        return {"effort": None, "summary": None}, None
    default = "none" if model.startswith("gpt-5.1") else "medium"
    return {"effort": None if no_effort else effort or default, "summary": reasoning.get("summary")}, effort or default


def parse_metadata(body: Json) -> dict[str, str]:
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise invalid_type("metadata", "an object")
    if len(metadata) > MAX_METADATA_PAIRS:
        message = (
            f"Invalid 'metadata': too many properties. Expected an object with at most {MAX_METADATA_PAIRS} properties."
        )
        raise WireError(400, message, param="metadata", code="object_above_max_properties")
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > 512 or len(key) > 64:
            message = "Invalid 'metadata': keys are strings of up to 64 characters, values strings of up to 512."
            raise WireError(400, message, param="metadata", code="invalid_value")
    return metadata


def parse_text(body: Json) -> Json:
    text = body.get("text") or {}
    if not isinstance(text, dict):
        raise invalid_type("text", "an object")
    text_format = text.get("format") or {"type": "text"}
    if not isinstance(text_format, dict) or text_format.get("type") not in ("text", "json_object", "json_schema"):
        raise invalid_value("text.format.type", ("text", "json_object", "json_schema"))
    if text_format["type"] == "json_schema" and not (
        isinstance(text_format.get("schema"), dict) and isinstance(text_format.get("name"), str)
    ):
        raise missing_parameter("text.format.schema")
    return {"format": text_format, "verbosity": one_of(text, "verbosity", ("low", "medium", "high"), "medium")}


def parse_tools(body: Json) -> list[Json]:
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise invalid_type("tools", "an array of objects")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            message = "This stand-in serves function tools only."
            raise WireError(400, message, param=f"tools[{index}].type", code="unsupported_value")
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise missing_parameter(f"tools[{index}].name")
    return [{"parameters": None, "strict": True, "description": None, **tool} for tool in tools]


def parse_tool_choice(body: Json, tools: Sequence[Json]) -> Any:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto"
    if isinstance(choice, dict):
        names = {tool["name"] for tool in tools}
        if choice.get("type") == "function" and choice.get("name") not in names:
            raise WireError(
                400, "Tool choice names a function that is not in 'tools'.", param="tool_choice", code="invalid_value"
            )
        return choice
    one_of(body, "tool_choice", ("none", "auto", "required"), "auto")
    if choice == "required" and not tools:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise WireError(400, message, param="tool_choice", code="invalid_value")
    return choice


def parse_input(body: Json) -> tuple[str, list[str], int, int]:
    """The question, all texts, the number of items, and the number of images and files."""
    items = body.get("input")
    if items is None:
        raise missing_parameter("input")
    if isinstance(items, str):
        return items, [items], 1, 0
    if not isinstance(items, list):
        raise invalid_type("input", "a string or an array of items")
    question, texts, images = "", [], 0
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise invalid_type(f"input[{index}]", "an object")
        item_texts, item_images = parse_item(item, index)
        texts += item_texts
        images += item_images
        if item.get("role") == "user":
            question = "\n".join(item_texts)
    return question, texts, len(items), images


def parse_item(item: Json, index: int) -> tuple[list[str], int]:
    kind = item.get("type", "message")
    if kind != "message":
        return [value for name in ("arguments", "output", "name") if isinstance(value := item.get(name), str)], 0
    if item.get("role") not in ("user", "assistant", "system", "developer"):
        raise invalid_value(f"input[{index}].role", ("assistant", "system", "developer", "user"))
    content = item.get("content")
    if isinstance(content, str):
        return [content], 0
    if not isinstance(content, list):
        raise invalid_type(f"input[{index}].content", "a string or an array of parts")
    parts = [part for part in content if isinstance(part, dict)]
    if len(parts) < len(content):
        raise invalid_type(f"input[{index}].content", "an array of objects")
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return texts, sum(part.get("type") in ("input_image", "input_file") for part in parts)
