"""What a call can cost at most, known before it is made.

The law of the money rests on this: a hold is the bound, so a cost above it would be money spent that nobody granted.

**Input.** The tokenizers of the models are byte-level BPE: every token stands for at least one byte of the prompt, so
there are never more tokens than bytes, whatever the language. Texts that the model reads as they are (instructions,
messages, calls and their outputs) count their UTF-8 bytes. Tools and schemas reach the model in another form, as JSON
with other white space and escapes or as TypeScript types with the descriptions as comments: see `rendering`. What the
provider adds of its own is `_PER_REQUEST` and its like. What nothing in the request bounds (images, files, encrypted
reasoning) counts as the whole context window, and nothing counts as more, since no model reads more than that.

**Output.** `max_output_tokens`, which counts reasoning too; without it the model's own maximum, not what is usual.

**Price.** The dearest that can apply: of the rows in force on any day on which the call may be made, of those for long
contexts if the input may be so long, and all input at the dearest of plain, cached and cache-write.
"""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.model import Model, NoPrice
from afterthought.domain.pricing import Price, ServiceTier, Tokens, Usd, exact_sum, tokens_usd
from afterthought.domain.rendering import arguments_at_most, quoted_at_most, rewritten_at_most, structure_at_most
from afterthought.domain.request import (
    ContentPart,
    CreateResponse,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    FunctionTool,
    InputFile,
    InputImage,
    InputText,
    Item,
    JsonSchema,
    Message,
    NamedTool,
    OutputText,
    Reasoning,
    Refusal,
    Tool,
)

# Tokens that the provider adds of its own, far above what it is known to: its system message with the headings of tools
# and schemas; the markers around each turn with role, channel and recipient; around each part; around each tool.
_PER_REQUEST = 512
_PER_ITEM = 64
_PER_PART = 16
_PER_TOOL = 128

# Estimates, never used for holds: text in the usual languages, an image and a document of usual size.
_BYTES_PER_TOKEN = 4
_TYPICAL_IMAGE_TOKENS = 1_000
_TYPICAL_FILE_TOKENS = 10_000

_Kind = Literal["overhead", "text", "quoted", "rewritten", "arguments", "structure", "image", "file", "sealed"]
_Piece = tuple[_Kind, Any]


class Bound(BaseModel):
    """The most that one call can cost, in dollars, by part. `price_id` names the row by which it would.

    `tools_usd` is 0: no tool that has a fee of its own is admitted (hosted tools are refused by name).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Tokens
    output_tokens: Tokens
    input_usd: Usd
    output_usd: Usd
    tools_usd: Usd
    total_usd: Usd
    price_id: str


def bound(request: CreateResponse, model: Model, tier: ServiceTier, *, first: date, last: date) -> Bound:
    """The bound of a call that is made on any day from `first` to `last`, a price change between them included.

    Raises NoPrice when the tier has no price on `first`.
    """
    input_tokens = input_tokens_at_most(request, model)
    output_tokens = output_tokens_at_most(request, model)
    rows = _rows(model, tier, input_tokens, first, last)
    return max((_under(row, input_tokens, output_tokens) for row in rows), key=lambda each: each.total_usd)


def fitting_output_tokens(
    request: CreateResponse, model: Model, tier: ServiceTier, *, first: date, last: date, cap_usd: Decimal
) -> int | None:
    """The largest `max_output_tokens`, up to what the request asks for, with which its bound is at most `cap_usd`.

    None when even the least that a request may ask for costs more. Raises NoPrice as `bound` does.
    """
    input_tokens = input_tokens_at_most(request, model)
    fitting = output_tokens_at_most(request, model)
    for row in _rows(model, tier, input_tokens, first, last):
        left = exact_sum(cap_usd, tokens_usd(input_tokens, row.max_input_price).copy_negate())
        if left < 0:
            return None
        if row.output:
            fitting = min(fitting, _tokens_within(left, row.output))
    return fitting if fitting >= MIN_OUTPUT_TOKENS else None


def _tokens_within(usd: Decimal, usd_per_million: Decimal) -> int:
    """The most tokens that cost no more than that, by whole numbers: a division of decimals could round up."""
    dollars, of_dollars = usd.as_integer_ratio()
    price, of_price = usd_per_million.as_integer_ratio()
    return dollars * of_price * 1_000_000 // (of_dollars * price)


def output_tokens_at_most(request: CreateResponse, model: Model) -> int:
    return model.max_output_tokens if request.max_output_tokens is None else request.max_output_tokens


def input_tokens_at_most(request: CreateResponse, model: Model) -> int:
    """As many tokens as the prompt can have: never fewer than the provider will count."""
    most = model.context_window_input
    total = 0
    for kind, held in _prompt(request):
        total += _at_most(kind, held, most)
        if total >= most:
            return most
    return total


def estimated_tokens(request: CreateResponse, model: Model) -> int:
    """What a rate tier counts before the truth is known: a usual prompt's tokens, and the output that was asked for or
    is typical of the model."""
    images = files = size = 0
    for kind, held in _prompt(request):
        if kind == "image":
            images += 1
        elif kind == "file":
            files += 1
        elif kind == "structure":
            size += len(json.dumps(held, ensure_ascii=False).encode())
        elif kind != "overhead":
            size += len(held.encode())
    tokens = -(-size // _BYTES_PER_TOKEN) + images * _TYPICAL_IMAGE_TOKENS + files * _TYPICAL_FILE_TOKENS
    output = model.typical_output_tokens if request.max_output_tokens is None else request.max_output_tokens
    return min(tokens, model.context_window_input) + output


def _prompt(request: CreateResponse) -> Iterator[_Piece]:
    """All of the request that reaches the model. Metadata, tags, cache keys and users' ids do not."""
    yield "overhead", _PER_REQUEST
    if request.instructions is not None:
        yield from (("overhead", _PER_ITEM), ("text", request.instructions))
    for tool in request.tools or ():
        yield from _tool(tool)
    if isinstance(request.tool_choice, NamedTool):
        yield "rewritten", request.tool_choice.name
    wanted = request.text.format if request.text else None
    if isinstance(wanted, JsonSchema):
        yield from (("rewritten", wanted.name), ("rewritten", wanted.description or ""), ("structure", wanted.schema_))
    if isinstance(request.input, str):
        yield from (("overhead", _PER_ITEM), ("text", request.input))
        return
    # What a tool gave back is headed by the tool's name, which stands in the call alone.
    names = (item.name for item in request.input if isinstance(item, FunctionCall | CustomToolCall))
    longest = max(names, key=len, default="")
    for item in request.input:
        yield "overhead", _PER_ITEM
        yield from _item(item, longest)


def _tool(tool: Tool) -> Iterator[_Piece]:
    yield from (("overhead", _PER_TOOL), ("rewritten", tool.name), ("rewritten", tool.description or ""))
    yield "structure", tool.parameters if isinstance(tool, FunctionTool) else tool.format


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
            yield "sealed", item.encrypted_content


def _parts(kind: _Kind, held: str | list[ContentPart]) -> Iterator[_Piece]:
    if isinstance(held, str):
        yield kind, held
        return
    for part in held:
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
            yield from (("structure", part.annotations), ("structure", part.logprobs))


def _at_most(kind: _Kind, held: Any, most: int) -> int:
    match kind:
        case "overhead":
            return int(held)
        case "text":
            return len(held.encode())
        case "quoted":
            return quoted_at_most(held)
        case "rewritten":
            return rewritten_at_most(held)
        case "arguments":
            return arguments_at_most(held, most)
        case "structure":
            return structure_at_most(held, most)
        case "image" | "file" | "sealed":
            return most


def _rows(model: Model, tier: ServiceTier, input_tokens: int, first: date, last: date) -> list[Price]:
    """Every row that may price the call, the one in force first for short inputs at the head."""
    if not model.rows(tier, first):
        raise NoPrice(model.id, tier, first, model.tiers(first))
    changes = {price.effective_from for price in model.prices if price.tier == tier}
    days = [first, *sorted(day for day in changes if first < day <= last)]
    return [
        row
        for day in days
        for row in model.rows(tier, day)
        if row.above_input_tokens == 0 or input_tokens > row.above_input_tokens
    ]


def _under(row: Price, input_tokens: int, output_tokens: int) -> Bound:
    input_usd = tokens_usd(input_tokens, row.max_input_price)
    output_usd = tokens_usd(output_tokens, row.output)
    return Bound(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        input_usd=input_usd,
        output_usd=output_usd,
        tools_usd=Decimal(0),
        total_usd=exact_sum(input_usd, output_usd),
        price_id=row.id,
    )
