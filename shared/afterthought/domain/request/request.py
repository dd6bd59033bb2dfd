"""The models of the body of `POST /v1/responses`.

Names and types follow OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses/create). Any
other parameter is refused by name. `admission` checks whether a model supports the request.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, StringConstraints
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from afterthought.domain.models.model import Effort
from afterthought.domain.request.items import Input, Name, RequestModel, Schema
from afterthought.domain.request.options import AfterthoughtOptions

MAX_METADATA_PAIRS = 16
MAX_TOOLS = 128


class FunctionTool(RequestModel):
    type: Literal["function"]
    name: Name
    parameters: Schema | None = None
    strict: bool | None = True
    description: str | None = None


class CustomTool(RequestModel):
    type: Literal["custom"]
    name: Name
    description: str | None = None
    format: Schema | None = None


TOOL_TYPES = ("function", "custom")
Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
Tools = TypeAliasType("Tools", Annotated[list[Tool], FailFast(), Field(max_length=MAX_TOOLS)])


class NamedTool(RequestModel):
    """The tool of the request that the model must call."""

    type: Literal["function", "custom"]
    name: Name


class TextFormat(RequestModel):
    type: Literal["text"]


class JsonObject(RequestModel):
    type: Literal["json_object"]


class JsonSchema(RequestModel):
    type: Literal["json_schema"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class Text(RequestModel):
    format: Annotated[TextFormat | JsonObject | JsonSchema, Field(discriminator="type")] | None = None
    """Default: `text`."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How long the answer is."""


class ReasoningOptions(RequestModel):
    effort: Effort | None = None
    """One of the model's efforts, see `GET /v1/models`. Default: the model's own default. Some models take none."""
    summary: Literal["auto", "concise", "detailed"] | None = None
    """Adds a summary of the reasoning to the output, if the model provides one."""


Include = TypeAliasType("Include", Annotated[list[Literal["reasoning.encrypted_content"]], FailFast()])
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=MAX_METADATA_PAIRS),
]


def _boolean(value: Any) -> Any:
    if value is not None and not isinstance(value, bool):
        # pydantic accepts 1 as Literal[True].
        raise PydanticCustomError("literal_error", "must be a boolean")
    return value


class CreateResponse(RequestModel):
    """The supported parameters of OpenAI's Responses API. Any other parameter is refused by name, in particular those
    that name an object at the provider (`previous_response_id`, `conversation`, `prompt`, any `file_id`), because all
    tenants share one provider account, and `top_logprobs`. Null is the same as absent."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """A model's id or one of its snapshots, see `GET /v1/models`. A retired model is refused with the name of its
    successor, unless `afterthought.model_policy` is `successor`."""
    input: Input
    """The question: a text, or the turns of a conversation."""
    instructions: str | None = None
    """System instructions, placed before the input."""
    reasoning: ReasoningOptions | None = None
    """Only for reasoning models."""
    max_output_tokens: int | None = None
    """Limits output tokens, reasoning included. Allowed: 16 up to the model's own maximum, which is the default."""
    metadata: Metadata | None = None
    """Your own key-value pairs, returned with the response. They are not sent to the provider."""
    text: Text | None = None
    """The format of the answer: plain text, JSON, or JSON that follows a schema."""
    tools: Tools | None = None
    """Functions and custom tools that you run yourself. Only for models with function calling. Hosted tools are not
    offered."""
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    """Whether the model may, must or must not call a tool, or which tool it must call. Only for models with function
    calling."""
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once. Only for models with function calling."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Passed to the model unchanged. Reasoning models may refuse it."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Passed to the model unchanged. Reasoning models may refuse it."""
    truncation: Literal["auto", "disabled"] | None = None
    """What to do with an input that is too long. `auto`: drop old turns. `disabled`: fail."""
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    """`flex` and `priority` for models that offer them; anything else runs as `default`. The tier is always sent to the
    provider explicitly, so that the price is known."""
    include: Include | None = None
    """Additional output."""
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    """The maximum number of tool calls in one response."""
    prompt_cache_key: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Requests with the same key and the same prefix share the provider's cache. Keys of different tenants are kept
    apart."""
    safety_identifier: Annotated[str, StringConstraints(max_length=64)] | None = None
    """A stable id of your user. Returned with the response, not sent to the provider."""
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    """As `safety_identifier`, for older clients."""
    background: bool | None = None
    """Ignored: every response runs in the background."""
    store: Annotated[Literal[True] | None, BeforeValidator(_boolean)] = None
    """Responses are always stored."""
    stream: Annotated[Literal[False] | None, BeforeValidator(_boolean)] = None
    """Streaming is not offered."""
    afterthought: AfterthoughtOptions | None = None
    """The parameters added by AfterthoughtOptions."""


_PROVIDER_OBJECT = "it names an object at the model provider. Send {} instead."
UNSUPPORTED_PARAMETERS = {
    "previous_response_id": _PROVIDER_OBJECT.format("the earlier messages in input"),
    "conversation": _PROVIDER_OBJECT.format("the earlier messages in input"),
    "prompt": _PROVIDER_OBJECT.format("the text of the prompt in instructions and input"),
    "top_logprobs": "a long answer with log probabilities would exceed the maximum size of a response.",
}
"""Known parameters that are refused, with the reason. All tenants share one account at the provider, so a request must
not name an object there."""
