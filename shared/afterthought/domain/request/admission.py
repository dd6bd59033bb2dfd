"""Checks whether a model supports a request: what the provider would certainly refuse is refused here."""

import re
from collections.abc import Iterator
from datetime import date

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.models.effort import successor_effort
from afterthought.domain.models.model import Effort, Model
from afterthought.domain.models.pricing import TIERS_BY_WIRE_NAME, WIRE_NAMES
from afterthought.domain.request.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    OutputText,
)
from afterthought.domain.request.request import CreateResponse, NamedTool, ReasoningOptions

MIN_OUTPUT_TOKENS = 16
"""The provider's minimum for `max_output_tokens`."""

# The o200k tokenizers never put two words or more than three digits into one token. So each letter after white space
# starts a token, and each three digits need one.
_CERTAIN_TOKENS = re.compile(r"(?<=[ \t\n\r])[A-Za-z]|[0-9]{1,3}", re.ASCII)


def min_tokens(text: str) -> int:
    """A lower bound of the tokens of a text, often far below the real number."""
    return sum(1 for _ in _CERTAIN_TOKENS.finditer(text))


def check(request: CreateResponse, model: Model, *, on: date) -> None:
    """Raises InvalidRequest if the model does not support the request. `on` is the day whose prices apply."""
    _check_effort(request, model)
    _check_output_cap(request, model)
    _check_tools(request, model)
    _check_modalities(request, model)
    _check_tier(request, model, on)
    _check_length(request, model)


def effective_effort(request: CreateResponse, model: Model) -> Effort | None:
    """The requested effort, or the default of the model."""
    return requested_effort(request) or model.default_effort


def requested_effort(request: CreateResponse) -> Effort | None:
    return request.reasoning.effort if request.reasoning else None


def override(
    request: CreateResponse, *, model: str, effort: str | None, max_output_tokens: int | None
) -> CreateResponse:
    """A copy with another model, effort and `max_output_tokens`, for an attempt that differs from the request."""
    reasoning = request.reasoning or ReasoningOptions()
    reasoning = reasoning.model_copy(update={"effort": effort})
    return request.model_copy(
        update={
            "model": model,
            # A model without reasoning refuses even an empty object.
            "reasoning": None if reasoning == ReasoningOptions() else reasoning,
            "max_output_tokens": max_output_tokens,
        }
    )


def for_successor(request: CreateResponse, requested: Model, successor: Model) -> CreateResponse:
    """The request for the successor of the requested model. The result still has to be checked."""
    cap = request.max_output_tokens
    if cap is not None and cap <= requested.max_output_tokens:
        cap = min(cap, successor.max_output_tokens)
    return override(
        request,
        model=successor.id,
        effort=successor_effort(requested_effort(request), requested, successor),
        max_output_tokens=cap,
    )


def service_tier(request: CreateResponse) -> str:
    """The service tier for the provider, by its wire name. Never `auto`, whose price is only known afterwards."""
    return request.service_tier if request.service_tier in ("flex", "priority") else WIRE_NAMES["standard"]


def _check_effort(request: CreateResponse, model: Model) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if not model.reasoning:
        raise InvalidRequest(
            f"{model.id} does not reason: leave reasoning out.", param="reasoning", code="unsupported_parameter"
        )
    if reasoning.effort is None or reasoning.effort in model.efforts:
        return
    if not model.efforts:
        raise InvalidRequest(
            f"{model.id} has no reasoning effort: leave reasoning.effort out.",
            param="reasoning.effort",
            code="unsupported_parameter",
        )
    raise InvalidRequest(
        f"{model.id} does not support the effort '{reasoning.effort}'; it supports {', '.join(model.efforts)}.",
        param="reasoning.effort",
        code="unsupported_value",
    )


def _check_output_cap(request: CreateResponse, model: Model) -> None:
    cap = request.max_output_tokens
    if cap is not None and not MIN_OUTPUT_TOKENS <= cap <= model.max_output_tokens:
        raise InvalidRequest(
            f"max_output_tokens is {cap}; {model.id} allows {MIN_OUTPUT_TOKENS} to {model.max_output_tokens}.",
            param="max_output_tokens",
            code="integer_below_min_value" if cap < MIN_OUTPUT_TOKENS else "integer_above_max_value",
        )


def _check_tools(request: CreateResponse, model: Model) -> None:
    if not model.tools:
        for param, value in (("tools", request.tools), ("tool_choice", request.tool_choice)):
            if value and value not in ("none", "auto"):
                raise InvalidRequest(
                    f"{model.id} has no function calling: leave {param} out.",
                    param=param,
                    code="unsupported_parameter",
                )
    _check_tool_choice(request, model)
    text_format = request.text.format.type if request.text and request.text.format else "text"
    if text_format != "text" and not model.structured_outputs:
        raise InvalidRequest(
            f"{model.id} has no structured outputs: text.format must be of type text.",
            param="text.format",
            code="unsupported_value",
        )


def _check_tool_choice(request: CreateResponse, model: Model) -> None:
    names = {tool.name for tool in request.tools or ()}
    choice = request.tool_choice
    if choice == "required" and not names:
        raise InvalidRequest('tool_choice is "required", but there are no tools.', param="tool_choice")
    if isinstance(choice, NamedTool) and choice.name not in names:
        raise InvalidRequest(f"tool_choice names '{choice.name}', which is not one of the tools.", param="tool_choice")
    if request.parallel_tool_calls and names and not model.parallel_tool_calls:
        raise InvalidRequest(
            f"{model.id} calls one tool at a time: leave parallel_tool_calls out, or set it to false.",
            param="parallel_tool_calls",
            code="unsupported_value",
        )


def _check_modalities(request: CreateResponse, model: Model) -> None:
    for path, part in _parts(request):
        if isinstance(part, InputFile) and not (part.file_data or part.file_url):
            raise InvalidRequest(f"{path} needs file_data or file_url.", param=path, code="missing_required_parameter")
        kind = "image" if isinstance(part, InputImage) else "file" if isinstance(part, InputFile) else "text"
        if kind not in model.input_modalities:
            raise InvalidRequest(
                f"{model.id} does not support {kind} input; it supports {', '.join(model.input_modalities)}.",
                param=path,
                code="unsupported_value",
            )


def _check_tier(request: CreateResponse, model: Model, on: date) -> None:
    requested = service_tier(request)
    priced = model.priced_tiers(on)
    if TIERS_BY_WIRE_NAME[requested] not in priced:
        offered = ", ".join(WIRE_NAMES[tier] for tier in priced if tier in WIRE_NAMES)
        raise InvalidRequest(
            f"{model.id} is not offered in the service tier '{requested}'; it is offered in {offered}.",
            param="service_tier",
            code="unsupported_value",
        )


def _check_length(request: CreateResponse, model: Model) -> None:
    tokens = sum(min_tokens(text) for text in _texts(request))
    if tokens > model.context_window_input:
        raise InvalidRequest(
            f"The input has at least {tokens} tokens; {model.id} allows at most {model.context_window_input}.",
            param="input",
            code="context_length_exceeded",
        )


def _parts(request: CreateResponse) -> Iterator[tuple[str, object]]:
    if isinstance(request.input, str):
        return
    for index, item in enumerate(request.input):
        if isinstance(item, Message):
            path, content = f"input[{index}].content", item.content
        elif isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            path, content = f"input[{index}].output", item.output
        else:
            continue
        if not isinstance(content, str):
            yield from ((f"{path}[{number}]", part) for number, part in enumerate(content))


def _texts(request: CreateResponse) -> Iterator[str]:
    yield request.instructions or ""
    if isinstance(request.input, str):
        yield request.input
        return
    for item in request.input:
        content = item.content if isinstance(item, Message) else getattr(item, "output", None)
        if isinstance(content, str):
            yield content
    for _, part in _parts(request):
        if isinstance(part, InputText | OutputText):
            yield part.text
