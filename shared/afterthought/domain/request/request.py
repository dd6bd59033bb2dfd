"""The request of `POST /v1/responses`: which parameters there are and what form they have.

The names and forms are those of OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses/create).
What is not listed is refused by name. Whether a model can serve the request is another question: see `admission`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, FailFast, Field, StringConstraints, Tag
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from afterthought.domain.models.model import Effort
from afterthought.domain.request.options import Afterthought

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+$")]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Schema = dict[str, Any]
MAX_METADATA_PAIRS = 16
MAX_TOOLS = 128


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class InputText(_Part):
    type: Literal["input_text"]
    text: str


class OutputText(_Part):
    """A former answer, handed back as history."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(_Part):
    type: Literal["refusal"]
    refusal: str


class InputImage(_Part):
    """An image by URL or as a data URL. A `file_id` names an object at the provider and is refused."""

    type: Literal["input_image"]
    image_url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["low", "high", "auto", "original"] = "auto"


class InputFile(_Part):
    """A file by URL or as base64 in `file_data`. A `file_id` names an object at the provider and is refused."""

    type: Literal["input_file"]
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    detail: Literal["low", "high", "auto"] | None = None


ContentPart = Annotated[InputText | OutputText | Refusal | InputImage | InputFile, Field(discriminator="type")]


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<array>" if isinstance(value, list) else None


# A union told apart by what is there gives one error, of the branch that was meant, instead of one for each branch.
_BY_FORM = Discriminator(
    _form, custom_error_type="form", custom_error_message="must be a string or an array", custom_error_context={}
)
# Fail-fast lists stop at the first bad item: a million bad items cost one error, not a million.
ContentParts = TypeAliasType("ContentParts", Annotated[list[ContentPart], FailFast()])
Parts = Annotated[Annotated[str, Tag("<string>")] | Annotated[ContentParts, Tag("<array>")], _BY_FORM]


class Message(_Part):
    """A turn of the conversation. The `id` and `status` of a former answer are taken and left out of the call: an id
    names an object at the provider."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts
    phase: Literal["commentary", "final_answer"] | None = None
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class FunctionCall(_Part):
    type: Literal["function_call"]
    call_id: CallId
    name: Name
    arguments: str
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class FunctionCallOutput(_Part):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Parts
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class CustomToolCall(_Part):
    type: Literal["custom_tool_call"]
    call_id: CallId
    name: Name
    input: str
    id: str | None = Field(default=None, exclude=True)


class CustomToolCallOutput(_Part):
    type: Literal["custom_tool_call_output"]
    call_id: CallId
    output: Parts
    id: str | None = Field(default=None, exclude=True)


class Summary(_Part):
    type: Literal["summary_text"]
    text: str


Summaries = TypeAliasType("Summaries", Annotated[list[Summary], FailFast()])


class Reasoning(_Part):
    """Former reasoning, handed back. Only its encrypted form: an id alone would name an object at the provider."""

    type: Literal["reasoning"]
    encrypted_content: Annotated[str, StringConstraints(min_length=1)]
    summary: Summaries = []
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


ITEM_TYPES = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
)


def _item_type(value: Any) -> str | None:
    if isinstance(value, dict):
        kind = value.get("type", "message" if "role" in value else None)
        if kind in ITEM_TYPES:
            return f"<{kind}>"
    return None


Item = Annotated[
    Annotated[Message, Tag("<message>")]
    | Annotated[FunctionCall, Tag("<function_call>")]
    | Annotated[FunctionCallOutput, Tag("<function_call_output>")]
    | Annotated[CustomToolCall, Tag("<custom_tool_call>")]
    | Annotated[CustomToolCallOutput, Tag("<custom_tool_call_output>")]
    | Annotated[Reasoning, Tag("<reasoning>")],
    Discriminator(
        _item_type,
        custom_error_type="item_type",
        custom_error_message=f"must be an item of type {', '.join(ITEM_TYPES)}",
        custom_error_context={},
    ),
]
Items = TypeAliasType("Items", Annotated[list[Item], FailFast(), Field(min_length=1)])
Question = TypeAliasType("Question", Annotated[str, StringConstraints(min_length=1)])
Input = Annotated[Annotated[Question, Tag("<string>")] | Annotated[Items, Tag("<array>")], _BY_FORM]


class FunctionTool(_Part):
    type: Literal["function"]
    name: Name
    parameters: Schema | None = None
    strict: bool | None = True
    description: str | None = None


class CustomTool(_Part):
    type: Literal["custom"]
    name: Name
    description: str | None = None
    format: Schema | None = None


TOOL_TYPES = ("function", "custom")
Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
Tools = TypeAliasType("Tools", Annotated[list[Tool], FailFast(), Field(max_length=MAX_TOOLS)])


class NamedTool(_Part):
    """Which of the request's tools the model must call."""

    type: Literal["function", "custom"]
    name: Name


class TextFormat(_Part):
    type: Literal["text"]


class JsonObject(_Part):
    type: Literal["json_object"]


class JsonSchema(_Part):
    type: Literal["json_schema"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class Text(_Part):
    format: Annotated[TextFormat | JsonObject | JsonSchema, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(_Part):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


Extra = Literal["reasoning.encrypted_content"]
Include = TypeAliasType("Include", Annotated[list[Extra], FailFast()])
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=MAX_METADATA_PAIRS),
]


def _boolean(value: Any) -> Any:
    if value is not None and not isinstance(value, bool):
        # To a Literal 1 is True.
        raise PydanticCustomError("literal_error", "must be a boolean")
    return value


class CreateResponse(_Part):
    """The whole request. `max_output_tokens` counts reasoning and answer together, as OpenAI's does."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    input: Input
    instructions: str | None = None
    reasoning: ReasoningOptions | None = None
    max_output_tokens: int | None = None
    metadata: Metadata | None = None
    text: Text | None = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    include: Include | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    prompt_cache_key: Annotated[str, StringConstraints(max_length=64)] | None = None
    safety_identifier: Annotated[str, StringConstraints(max_length=64)] | None = None
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    background: bool | None = None
    store: Annotated[Literal[True] | None, BeforeValidator(_boolean)] = None
    stream: Annotated[Literal[False] | None, BeforeValidator(_boolean)] = None
    afterthought: Afterthought | None = None


_AT_THE_PROVIDER = "it names an object at the model provider. Send {} instead."
REFUSED_FOR_NOW = {
    "previous_response_id": _AT_THE_PROVIDER.format("the former turns in input"),
    "conversation": _AT_THE_PROVIDER.format("the former turns in input"),
    "prompt": _AT_THE_PROVIDER.format("the prompt's text in instructions and input"),
    "top_logprobs": "a long answer with log probabilities is larger than a function may give back.",
}
"""Parameters with the reason why they are not taken. All tenants share one provider account, so nothing that names an
object there is taken until it can be mapped to something that this tenant owns."""
