"""What a request to create a response must look like, checked as the provider checks it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.standin.wire import Json, WireError, invalid_type, invalid_value, model_not_found, one_of, typed

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# What is asked for on the left, what the response then says was served on the right.
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
NOT_SERVED = ("conversation", "previous_response_id", "prompt")
MAX_METADATA_PAIRS = 16


@dataclass(frozen=True)
class Request:
    """A request that was accepted. `question` is what the user said last, `prompt` all that counts as input."""

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
        """The function that the request makes the model call, if it makes it call one."""
        choice = self.tool_choice
        functions = [tool for tool in self.tools if tool.get("type") == "function"]
        if isinstance(choice, dict) and choice.get("type") == "function":
            return next((tool for tool in functions if tool["name"] == choice.get("name")), None)
        forced = choice == "required" or (isinstance(choice, dict) and choice.get("mode") == "required")
        return functions[0] if forced and functions else None


def reasons(model: str) -> bool:
    """Whether a model thinks before it answers, by its name alone: the stand-in has no catalogue."""
    return not model.startswith(("gpt-3", "gpt-4"))


def read(body: Json, serves: Callable[[str], bool]) -> Request:
    """Check a request as the provider would. Raises WireError."""
    for name in body:
        if name not in PARAMETERS:
            raise WireError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in NOT_SERVED:
        if body.get(name) is not None:
            raise WireError(400, f"This stand-in does not serve '{name}'.", param=name, code="unsupported_parameter")
    if body.get("stream"):
        raise WireError(400, "This stand-in does not stream.", param="stream", code="unsupported_parameter")
    model = typed(body, "model", str, None)
    if not model:
        raise WireError(400, "Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    if not serves(model):
        raise model_not_found(model)
    background, store = typed(body, "background", bool, False), typed(body, "store", bool, True)
    if background and not store:
        raise WireError(400, "Background mode requires 'store' to be true.", param="store", code="invalid_value")
    question, texts, items, images = read_input(body)
    tools, text = read_tools(body), read_text(body)
    reasoning, effort = read_effort(body, model)
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
        max_output_tokens=read_max_output(body),
        background=background,
        store=store,
        metadata=read_metadata(body),
        service_tier=TIERS[one_of(body, "service_tier", TIERS, "auto")],
        text=text,
        tools=tools,
        tool_choice=read_tool_choice(body, tools),
        reasoning=reasoning,
        echoed={
            "instructions": typed(body, "instructions", str, None),
            "parallel_tool_calls": typed(body, "parallel_tool_calls", bool, True),
            "temperature": typed(body, "temperature", float, 1.0),
            "top_p": typed(body, "top_p", float, 1.0),
            "truncation": one_of(body, "truncation", ("auto", "disabled"), "disabled"),
            "prompt_cache_key": typed(body, "prompt_cache_key", str, None),
            "safety_identifier": typed(body, "safety_identifier", str, None),
            "user": typed(body, "user", str, None),
        },
    )


def read_max_output(body: Json) -> int | None:
    most: int | None = typed(body, "max_output_tokens", int, None)
    if most is not None and most < 16:
        message = f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {most}."
        raise WireError(400, message, param="max_output_tokens", code="integer_below_min_value")
    return most


def read_effort(body: Json, model: str) -> tuple[Json, str | None]:
    """The reasoning settings as echoed, and the effort to think with: None for a model that does not reason."""
    given = body.get("reasoning") or {}
    if not isinstance(given, dict):
        raise invalid_type("reasoning", "an object")
    effort = given.get("effort")
    if effort is not None and effort not in EFFORTS:
        raise invalid_value("reasoning.effort", EFFORTS)
    takes_none = not reasons(model) or model.startswith(("o1-mini", "o1-preview"))
    if effort is not None and takes_none:
        message = "Unsupported parameter: 'reasoning.effort' is not supported with this model."
        raise WireError(400, message, param="reasoning.effort", code="unsupported_parameter")
    if not reasons(model):
        return {"effort": None, "summary": None}, None
    default = "none" if model.startswith("gpt-5.1") else "medium"
    return {"effort": None if takes_none else effort or default, "summary": given.get("summary")}, effort or default


def read_metadata(body: Json) -> dict[str, str]:
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


def read_text(body: Json) -> Json:
    text = body.get("text") or {}
    if not isinstance(text, dict):
        raise invalid_type("text", "an object")
    form = text.get("format") or {"type": "text"}
    if not isinstance(form, dict) or form.get("type") not in ("text", "json_object", "json_schema"):
        raise invalid_value("text.format.type", ("text", "json_object", "json_schema"))
    if form["type"] == "json_schema" and not (
        isinstance(form.get("schema"), dict) and isinstance(form.get("name"), str)
    ):
        raise WireError(400, "Missing required parameter: 'text.format.schema'.", param="text.format.schema")
    return {"format": form, "verbosity": one_of(text, "verbosity", ("low", "medium", "high"), "medium")}


def read_tools(body: Json) -> list[Json]:
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise invalid_type("tools", "an array of objects")
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            message = "This stand-in serves function tools only."
            raise WireError(400, message, param=f"tools[{place}].type", code="unsupported_value")
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            param = f"tools[{place}].name"
            raise WireError(
                400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            )
    return [{"parameters": None, "strict": True, "description": None, **tool} for tool in tools]


def read_tool_choice(body: Json, tools: Sequence[Json]) -> Any:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto"
    if isinstance(choice, dict):
        named = {tool["name"] for tool in tools}
        if choice.get("type") == "function" and choice.get("name") not in named:
            raise WireError(400, "Tool choice names no tool of 'tools'.", param="tool_choice", code="invalid_value")
        return choice
    one_of(body, "tool_choice", ("none", "auto", "required"), "auto")
    if choice == "required" and not tools:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise WireError(400, message, param="tool_choice", code="invalid_value")
    return choice


def read_input(body: Json) -> tuple[str, list[str], int, int]:
    """The question, every text in the input, the number of items, and the number of images and files."""
    given = body.get("input")
    if given is None:
        raise WireError(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if isinstance(given, str):
        return given, [given], 1, 0
    if not isinstance(given, list):
        raise invalid_type("input", "a string or an array of items")
    question, texts, images = "", [], 0
    for place, item in enumerate(given):
        if not isinstance(item, dict):
            raise invalid_type(f"input[{place}]", "an object")
        said, others = read_item(item, place)
        texts += said
        images += others
        if item.get("role") == "user":
            question = "\n".join(said)
    return question, texts, len(given), images


def read_item(item: Json, place: int) -> tuple[list[str], int]:
    kind = item.get("type", "message")
    if kind != "message":
        return [value for name in ("arguments", "output", "name") if isinstance(value := item.get(name), str)], 0
    if item.get("role") not in ("user", "assistant", "system", "developer"):
        raise invalid_value(f"input[{place}].role", ("assistant", "system", "developer", "user"))
    content = item.get("content")
    if isinstance(content, str):
        return [content], 0
    if not isinstance(content, list):
        raise invalid_type(f"input[{place}].content", "a string or an array of parts")
    parts = [part for part in content if isinstance(part, dict)]
    if len(parts) < len(content):
        raise invalid_type(f"input[{place}].content", "an array of objects")
    said = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return said, sum(part.get("type") in ("input_image", "input_file") for part in parts)
