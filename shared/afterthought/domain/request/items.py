"""The input of a request: items and their content parts."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, StringConstraints, Tag
from typing_extensions import TypeAliasType

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+$")]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Schema = dict[str, Any]


class RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class InputText(RequestModel):
    type: Literal["input_text"]
    text: str


class OutputText(RequestModel):
    """Text of an earlier answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(RequestModel):
    type: Literal["refusal"]
    refusal: str


class InputImage(RequestModel):
    """An image as an `https://` or `data:` URL. A `file_id` is refused."""

    type: Literal["input_image"]
    image_url: Annotated[str, StringConstraints(min_length=1)]
    """An `https://` or `data:` URL."""
    detail: Literal["low", "high", "auto", "original"] = "auto"


class InputFile(RequestModel):
    """A file as a URL or as base64 in `file_data`. A `file_id` is refused."""

    type: Literal["input_file"]
    filename: str | None = None
    file_data: str | None = None
    """A base64 `data:` URL."""
    file_url: str | None = None
    """An `https://` URL."""
    detail: Literal["low", "high", "auto"] | None = None


ContentPart = Annotated[InputText | OutputText | Refusal | InputImage | InputFile, Field(discriminator="type")]


def _json_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<array>" if isinstance(value, list) else None


# A discriminated union reports one error, of the branch that applies, instead of one for each branch.
_BY_JSON_KIND = Discriminator(
    _json_kind, custom_error_type="form", custom_error_message="must be a string or an array", custom_error_context={}
)
# A fail-fast list stops at its first invalid item, so that a million invalid items cost one error.
ContentParts = TypeAliasType("ContentParts", Annotated[list[ContentPart], FailFast()])
Parts = Annotated[Annotated[str, Tag("<string>")] | Annotated[ContentParts, Tag("<array>")], _BY_JSON_KIND]


class Message(RequestModel):
    """A message of the conversation. `id` and `status` of an earlier answer are accepted and not sent to the model."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts
    phase: Literal["commentary", "final_answer"] | None = None
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class FunctionCall(RequestModel):
    type: Literal["function_call"]
    call_id: CallId
    name: Name
    arguments: str
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class FunctionCallOutput(RequestModel):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Parts
    id: str | None = Field(default=None, exclude=True)
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(default=None, exclude=True)


class CustomToolCall(RequestModel):
    type: Literal["custom_tool_call"]
    call_id: CallId
    name: Name
    input: str
    id: str | None = Field(default=None, exclude=True)


class CustomToolCallOutput(RequestModel):
    type: Literal["custom_tool_call_output"]
    call_id: CallId
    output: Parts
    id: str | None = Field(default=None, exclude=True)


class Summary(RequestModel):
    type: Literal["summary_text"]
    text: str


Summaries = TypeAliasType("Summaries", Annotated[list[Summary], FailFast()])


class Reasoning(RequestModel):
    """Reasoning of an earlier answer, in encrypted form. An id alone is refused."""

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
        item_type = value.get("type", "message" if "role" in value else None)
        if item_type in ITEM_TYPES:
            return f"<{item_type}>"
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
InputString = TypeAliasType("InputString", Annotated[str, StringConstraints(min_length=1)])
Input = Annotated[Annotated[InputString, Tag("<string>")] | Annotated[Items, Tag("<array>")], _BY_JSON_KIND]
