"""The maximum cost of a call, known before the call is made.

A hold equals this maximum. If a call cost more, it could exceed a budget.

**Input.** The tokenizers of the models are byte-level BPE: each token stands for at least one byte, so a text never has
more tokens than bytes. Texts that the model reads unchanged (instructions, messages, calls and their outputs) count
their UTF-8 bytes. Tools and schemas are rendered in another form: see `rendering`. `_PER_REQUEST` and the like cover
what the provider adds. Images, files and encrypted reasoning cannot be bounded and count as the whole context window,
which is also the limit for any input.

**Output.** `max_output_tokens`, which includes reasoning. Without it, the maximum of the model.

**Price.** The highest that can apply: of all rows valid on any day on which the call may be made, including those for
long contexts if the input may be that long, with all input at the highest of the plain, cached and cache-write prices.
"""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import Price, ServiceTier, Tokens, Usd, exact_sum, tokens_usd
from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request.items import (
    ContentPart,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Reasoning,
    Refusal,
)
from afterthought.domain.request.rendering import (
    max_arguments_bytes,
    max_json_bytes,
    max_quoted_bytes,
    max_rewritten_bytes,
)
from afterthought.domain.request.request import CreateResponse, FunctionTool, JsonSchema, NamedTool, Tool

# Tokens that the provider adds, with a wide margin: its system message with the headings of tools and schemas; the
# markers around each item with role, channel and recipient; those around each content part and each tool.
_PER_REQUEST = 512
_PER_ITEM = 64
_PER_PART = 16
_PER_TOOL = 128

# Only for estimates, never for holds: text in common languages, a typical image and a typical document.
_BYTES_PER_TOKEN = 4
_TYPICAL_IMAGE_TOKENS = 1_000
_TYPICAL_FILE_TOKENS = 10_000

_Kind = Literal["overhead", "text", "quoted", "rewritten", "arguments", "json", "image", "file", "encrypted"]
_Piece = tuple[_Kind, Any]


class MaxCost(BaseModel):
    """The maximum cost of one call, in dollars, by part. `price_id` is the price row that leads to it.

    `tools_usd` is 0: tools with fees (hosted tools) are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Tokens
    output_tokens: Tokens
    input_usd: Usd
    output_usd: Usd
    tools_usd: Usd
    total_usd: Usd
    price_id: str


def max_cost(request: CreateResponse, model: Model, tier: ServiceTier, *, first: date, last: date) -> MaxCost:
    """The maximum cost of a call on any day from `first` to `last`.

    Raises NoPrice if the tier has no price on `first`.
    """
    input_tokens = max_input_tokens(request, model)
    output_tokens = _max_output_tokens(request, model)
    rows = _applicable_rows(model, tier, input_tokens, first, last)
    return max((_cost_by_row(row, input_tokens, output_tokens) for row in rows), key=lambda cost: cost.total_usd)


def fitting_output_tokens(
    request: CreateResponse, model: Model, tier: ServiceTier, *, first: date, last: date, cap_usd: Decimal
) -> int | None:
    """The largest `max_output_tokens`, not above the requested value, with a maximum cost of at most `cap_usd`.

    None if even the smallest allowed value costs more. Raises NoPrice as `max_cost` does.
    """
    input_tokens = max_input_tokens(request, model)
    fitting = _max_output_tokens(request, model)
    for row in _applicable_rows(model, tier, input_tokens, first, last):
        left = exact_sum(cap_usd, tokens_usd(input_tokens, row.max_input_price).copy_negate())
        if left < 0:
            return None
        if row.output:
            fitting = min(fitting, _tokens_within(left, row.output))
    return fitting if fitting >= MIN_OUTPUT_TOKENS else None


def max_input_tokens(request: CreateResponse, model: Model) -> int:
    """An upper bound of the input tokens that the provider can count."""
    limit = model.context_window_input
    total = 0
    for kind, content in _prompt(request):
        total += _max_tokens(kind, content, limit)
        if total >= limit:
            return limit
    return total


def estimated_tokens(request: CreateResponse, model: Model) -> int:
    """The tokens that count against a rate limit until the usage is known: typical input tokens plus
    `max_output_tokens`, or the model's typical output."""
    images = files = size = 0
    for kind, content in _prompt(request):
        if kind == "image":
            images += 1
        elif kind == "file":
            files += 1
        elif kind == "json":
            size += len(json.dumps(content, ensure_ascii=False).encode())
        elif kind != "overhead":
            size += len(content.encode())
    tokens = -(-size // _BYTES_PER_TOKEN) + images * _TYPICAL_IMAGE_TOKENS + files * _TYPICAL_FILE_TOKENS
    output = model.typical_output_tokens if request.max_output_tokens is None else request.max_output_tokens
    return min(tokens, model.context_window_input) + output


def _max_output_tokens(request: CreateResponse, model: Model) -> int:
    return model.max_output_tokens if request.max_output_tokens is None else request.max_output_tokens


def _tokens_within(usd: Decimal, usd_per_million: Decimal) -> int:
    """The most tokens for an amount. Uses integers, because a division of decimals may round up."""
    numerator, denominator = usd.as_integer_ratio()
    price_numerator, price_denominator = usd_per_million.as_integer_ratio()
    return numerator * price_denominator * 1_000_000 // (denominator * price_numerator)


def _prompt(request: CreateResponse) -> Iterator[_Piece]:
    """Everything that the model reads. Metadata, tags, cache keys and user ids are not sent."""
    yield "overhead", _PER_REQUEST
    if request.instructions is not None:
        yield from (("overhead", _PER_ITEM), ("text", request.instructions))
    for tool in request.tools or ():
        yield from _tool(tool)
    if isinstance(request.tool_choice, NamedTool):
        yield "rewritten", request.tool_choice.name
    text_format = request.text.format if request.text else None
    if isinstance(text_format, JsonSchema):
        yield from (("rewritten", text_format.name), ("rewritten", text_format.description or ""))
        yield "json", text_format.schema_
    if isinstance(request.input, str):
        yield from (("overhead", _PER_ITEM), ("text", request.input))
        return
    # The output of a tool is rendered with the tool's name, which only the call contains.
    names = (item.name for item in request.input if isinstance(item, FunctionCall | CustomToolCall))
    longest_name = max(names, key=len, default="")
    for item in request.input:
        yield "overhead", _PER_ITEM
        yield from _item(item, longest_name)


def _tool(tool: Tool) -> Iterator[_Piece]:
    yield from (("overhead", _PER_TOOL), ("rewritten", tool.name), ("rewritten", tool.description or ""))
    yield "json", tool.parameters if isinstance(tool, FunctionTool) else tool.format


def _item(item: Item, longest_name: str) -> Iterator[_Piece]:
    match item:
        case Message():
            yield from _parts("text", item.content)
        case FunctionCall():
            yield from (("text", item.call_id), ("text", item.name), ("arguments", item.arguments))
        case CustomToolCall():
            yield from (("text", item.call_id), ("text", item.name), ("quoted", item.input))
        case FunctionCallOutput() | CustomToolCallOutput():
            yield from (("text", item.call_id), ("text", longest_name))
            yield from _parts("quoted", item.output)
        case Reasoning():
            yield "encrypted", item.encrypted_content


def _parts(kind: _Kind, content: str | list[ContentPart]) -> Iterator[_Piece]:
    if isinstance(content, str):
        yield kind, content
        return
    for part in content:
        yield "overhead", _PER_PART
        match part:
            case InputText() | OutputText():
                yield kind, part.text
            case Refusal():
                yield kind, part.refusal
            case InputImage():
                yield "image", part
            case InputFile():
                yield "file", part
        if isinstance(part, OutputText):
            yield from (("json", part.annotations), ("json", part.logprobs))


def _max_tokens(kind: _Kind, content: Any, limit: int) -> int:
    match kind:
        case "overhead":
            return int(content)
        case "text":
            return len(content.encode())
        case "quoted":
            return max_quoted_bytes(content)
        case "rewritten":
            return max_rewritten_bytes(content)
        case "arguments":
            return max_arguments_bytes(content, limit)
        case "json":
            return max_json_bytes(content, limit)
        case "image" | "file" | "encrypted":
            return limit


def _applicable_rows(model: Model, tier: ServiceTier, input_tokens: int, first: date, last: date) -> list[Price]:
    """All rows that may price the call; the short-context row of the first day comes first."""
    if not model.price_rows(tier, first):
        raise NoPrice(model.id, tier, first, model.priced_tiers(first))
    changes = {price.effective_from for price in model.prices if price.tier == tier}
    days = [first, *sorted(day for day in changes if first < day <= last)]
    return [
        row
        for day in days
        for row in model.price_rows(tier, day)
        if row.above_input_tokens == 0 or input_tokens > row.above_input_tokens
    ]


def _cost_by_row(row: Price, input_tokens: int, output_tokens: int) -> MaxCost:
    input_usd = tokens_usd(input_tokens, row.max_input_price)
    output_usd = tokens_usd(output_tokens, row.output)
    return MaxCost(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        input_usd=input_usd,
        output_usd=output_usd,
        tools_usd=Decimal(0),
        total_usd=exact_sum(input_usd, output_usd),
        price_id=row.id,
    )
