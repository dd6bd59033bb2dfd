"""A provider's response, read from its bytes. What a provider answers is checked before it is believed.

Servers of one's own leave out much of what OpenAI sends: the details of usage, the metadata, the service tier.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afterthought.domain.errors import OutcomeUnknown
from afterthought.domain.pricing import Usage
from afterthought.domain.provider import Provider
from afterthought.domain.record import Status
from afterthought.domain.redaction import redacted
from afterthought.services.ports import Generation

MOST_CODE_CHARACTERS = 64
MOST_MESSAGE_CHARACTERS = 500
"""Both come to stand in the job's STATE, which must stay small."""


class _Details(BaseModel):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    input_tokens: int
    input_tokens_details: _Details | None = None
    output_tokens: int
    output_tokens_details: _Details | None = None


class _Error(BaseModel):
    # vLLM has the HTTP status for a code, as a number.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    code: str | None = None
    message: str | None = None


class _Incomplete(BaseModel):
    reason: Annotated[str, Field(max_length=256)] | None = None


class _Response(BaseModel):
    """What is read of a provider's response; all else in it is left alone."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(min_length=1, max_length=256)
    status: Status
    metadata: dict[str, str] | None = None
    model: Annotated[str, Field(max_length=256)] | None = None
    service_tier: str | None = None
    output: tuple[dict[str, Any], ...] | None = None
    usage: _Usage | None = None
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None


def read(content: bytes, provider: Provider, known: Iterable[str] = ()) -> Generation:
    """Raises OutcomeUnknown where it is no response. `known` are secrets that its words must not show."""
    try:
        wire = _Response.model_validate_json(content)
    except ValidationError:
        # The chain is cut: it would show the answer's text.
        raise OutcomeUnknown("The provider's answer could not be read.", code="bad_answer") from None
    error = wire.error or _Error()
    return Generation(
        response_id=wire.id,
        status=wire.status,
        metadata=wire.metadata or {},
        model=None if wire.model is None else provider.means(wire.model),
        service_tier=wire.service_tier,
        usage=_usage(wire.usage),
        output=wire.output or (),
        error_code=code(error.code),
        error_message=None if error.message is None else message(error.message, known),
        incomplete_reason=wire.incomplete_details.reason if wire.incomplete_details else None,
    )


def code(told: str | None) -> str | None:
    """A provider's code as it is kept."""
    return told[:MOST_CODE_CHARACTERS] if told else None


def message(told: str, known: Iterable[str]) -> str:
    """A provider's words as they are kept. Taken out before they are cut: half a key is no pattern any more."""
    return redacted(told, known)[:MOST_MESSAGE_CHARACTERS]


def _usage(wire: _Usage | None) -> Usage | None:
    if wire is None:
        return None
    read, written = wire.input_tokens_details or _Details(), wire.output_tokens_details or _Details()
    try:
        return Usage(
            input_tokens=wire.input_tokens,
            cached_input_tokens=read.cached_tokens or 0,
            cache_write_tokens=read.cache_write_tokens or 0,
            output_tokens=wire.output_tokens,
            reasoning_tokens=written.reasoning_tokens or 0,
        )
    except ValidationError:
        # Amounts that contradict each other are no usage to bill by.
        return None
