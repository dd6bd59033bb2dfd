"""The objects that the API answers with. The functions that render them are checked against these types, and the
OpenAPI document is generated from them, docstrings included.

Import this module for type checking only: creating the types would lengthen each cold start. They are typed
dictionaries, not models, because answers need no validation. Times named `_at` are seconds since 1970, UTC.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from afterthought.domain.jobs.attempt import AttemptReason
from afterthought.domain.jobs.status import Status
from afterthought.domain.models.provider import Mode

Dollars = Annotated[str, WithJsonSchema({"type": "string", "format": "decimal"})]
Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
DateTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class InputTokensDetails(TypedDict):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(TypedDict):
    reasoning_tokens: int


class Usage(TypedDict):
    """Tokens as the provider counts them. Cached and cache-write tokens are included in the input tokens, reasoning
    tokens in the output tokens."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int
    cost: NotRequired[float]
    """Only in the usage of a response: the dollars spent on the job so far, all attempts included, as a number. For
    display; use `afterthought.cost` for calculations."""


class Cost(TypedDict):
    """What the job can cost, holds and has cost, in exact dollars. The parts are those of the newest attempt. They are
    null before the end, and when the provider did not report usage."""

    max_cost_usd: Dollars | None
    """As in the request."""
    bound_usd: Dollars | None
    """The maximum cost of the newest attempt. This amount is held for it."""
    held_usd: Dollars
    """The amount held now. 0 after the end."""
    total_usd: Dollars | None
    """The cost of all attempts together, after the end."""
    input_usd: Dollars | None
    """Input tokens that were neither read from nor written to the provider's cache."""
    cached_input_usd: Dollars | None
    cache_write_usd: Dollars | None
    output_usd: Dollars | None
    """Output tokens, reasoning included."""
    reasoning_usd: Dollars | None
    """The part of `output_usd` that was reasoning. Do not add it again."""
    tools_usd: Dollars | None
    """Always 0: no tool with its own fee is offered."""
    price_id: str | None
    """The price row in force when the call was made."""
    price_date: Day | None
    """The first day on which that price row was in force."""
    estimated: bool
    """True if the provider did not report usage. The cost is then the amount that was held, and is corrected if the
    provider reports usage later."""
    overrun: bool
    """True if the cost exceeded the amount held. This indicates a defect; the full cost is recorded."""


WireState = Literal["held", "submitting", "submitted", "unknown", "settled", "refused", "released"]


class Attempt(TypedDict):
    """One call of a model."""

    number: int
    """Starts at 1."""
    state: WireState
    """`held`: the money is held, the call is not made yet. `submitting`, `submitted`: the call is running. `unknown`:
    the connection was lost; the provider may still report the result. `settled`: ended, with a cost. `refused` (by the
    provider) and `released` (never called): ended at no cost."""
    because: AttemptReason | None
    """Why this attempt calls another model or repeats a call. `model_retired`: the requested model is retired.
    `model_not_found`: the provider does not know the requested model. `outcome_unknown`: the result of the previous
    attempt is unknown. `reasoning_starved`: the previous attempt produced no visible output."""
    model: str
    """The model to call."""
    effort: str | None
    """The effort used in the call, including the model's default."""
    max_output_tokens: int | None
    """The limit used in the call. Null: the model's own maximum."""
    served_model: str | None
    """The model that answered, as named by the provider."""
    provider: str | None
    called_at: float | None
    """Decides which price row applies."""
    usage: Usage | None
    """Null until the provider reports it."""
    hold_usd: Dollars
    """The maximum cost of this attempt, held until it ends."""
    cost_usd: Dollars | None
    price_id: str | None
    """The price row used for the cost."""
    estimated: bool
    """True if the cost is the amount held, because the provider did not report usage."""
    overrun: bool
    """True if the cost exceeded the amount held."""


class Timeline(TypedDict):
    """Times with milliseconds."""

    created_at: float
    """When the job was accepted."""
    submitted_at: float | None
    """When the provider accepted the newest attempt."""
    finished_at: float | None
    """When the result was recorded."""
    queued_seconds: float | None
    """From `created_at` to `submitted_at`. Includes earlier attempts."""
    thinking_seconds: float | None
    """From `submitted_at` to `finished_at`."""


class AfterthoughtResult(TypedDict):
    """The fields that Afterthought adds to OpenAI's Response object."""

    requested_model: str
    served_model: str | None
    """The model that answered, as named by the provider."""
    substituted_because: Literal["model_retired", "model_not_found"] | None
    """Why a successor runs instead of the requested model: that model is retired, or the provider does not know it.
    Only with `model_policy: "successor"`."""
    provider: str | None
    """The provider that was called."""
    mode: Mode
    """`background`: the provider runs the job on its own. `direct`: the service waits for the provider's answer;
    cancelling closes the connection."""
    stand_in: bool
    """True if a local stand-in answered instead of a model."""
    error_code: str | None
    """Why the job failed: one of the codes listed under Failed jobs, or a code of the provider."""
    incomplete_reason: str | None
    """Why the response is incomplete. `reasoning_starved`: reasoning used all of `max_output_tokens`, so there is no
    visible output. Raise the limit, lower the effort, or set `on_starved` to `retry`."""
    deadline_at: float
    """When the job is cancelled if it has not ended."""
    cancel_requested_at: float | None
    """When a cancel was requested while a model was running."""
    tags: list[str]
    """As in the request, sorted."""
    cost: Cost
    attempts: list[Attempt]
    """Every paid call for this job, recorded before it is made. Usually one. Output, usage, cost parts and times of the
    response are those of the newest."""
    timeline: Timeline


class ResponseError(TypedDict):
    code: str
    message: str


class IncompleteDetails(TypedDict):
    reason: str | None


class ResponseReasoning(TypedDict):
    effort: str | None
    """The effort used, including the model's default."""
    summary: str | None


class OutputItem(TypedDict):
    """One of OpenAI's output items, as the model produced it. It has more fields, depending on its type."""

    type: str


class Response(TypedDict):
    """OpenAI's Response object. The fields added by Afterthought are under `afterthought`. Parameters of the request
    are returned as they were sent, except `instructions`, `tools` and `text` of more than 256 KiB together. After the
    content has expired, they have their default values."""

    id: Annotated[str, Field(pattern="^resp_[0-9a-f]{48}$")]
    object: Literal["response"]
    created_at: int
    completed_at: float | None
    """When it completed; null unless `status` is `completed`."""
    status: Status
    """The last four are final. A job returns to `queued` when the provider is busy or a call is repeated."""
    background: Literal[True]
    store: Literal[True]
    error: ResponseError | None
    """Why the job failed. `code` is one of OpenAI's codes; any other code is shown as `server_error` here and in full
    as `afterthought.error_code`."""
    incomplete_details: IncompleteDetails | None
    """Why the response is incomplete, as one of OpenAI's reasons. See also `afterthought.incomplete_reason`. Incomplete
    responses are billed."""
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str
    """The model that answered, as named by the provider. Before that, the model to call."""
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None
    prompt_cache_key: str | None
    reasoning: ResponseReasoning
    safety_identifier: str | None
    service_tier: str
    """The tier that was used. Before that, the requested tier."""
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: str
    usage: Usage | None
    """The tokens of the newest attempt and the cost of the job. Null until the provider reports usage."""
    user: str | None
    afterthought: AfterthoughtResult


class ErrorDetail(TypedDict):
    """OpenAI's error object."""

    message: str
    """What is wrong and what is allowed."""
    type: Literal["invalid_request_error", "insufficient_quota", "requests", "tokens", "server_error"]
    param: str | None
    """The path of the field, such as `input[0].content[1].type`."""
    code: str
    """One of the codes listed under Errors."""
    afterthought: NotRequired[dict[str, Any]]
    """Figures that explain some errors. They are listed under Errors."""


class Error(TypedDict):
    error: ErrorDetail


class EventData(TypedDict):
    id: str
    """The id of the response."""


class Event(TypedDict):
    """A response has ended. As in OpenAI's webhooks, the event contains only the id of the response."""

    id: str
    """The same in every delivery of this event."""
    object: Literal["event"]
    created_at: int
    """When the response ended."""
    type: str
    """`response.` followed by the status."""
    data: EventData


class Health(TypedDict):
    status: Literal["ok"]
