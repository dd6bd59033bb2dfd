"""Parses and validates a provider's response.

Self-hosted servers omit much of what OpenAI sends: usage details, metadata, the service tier.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afterthought.domain.errors import OutcomeUnknown
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.status import Status
from afterthought.domain.models.pricing import Usage
from afterthought.domain.models.provider import Provider
from afterthought.domain.redaction import redact

MAX_CODE_CHARACTERS = 64
MAX_MESSAGE_CHARACTERS = 500
"""Both are stored in the job's STATE item, which must stay small."""


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
    # vLLM sends the HTTP status as a numeric code.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    code: str | None = None
    message: str | None = None


class _Incomplete(BaseModel):
    reason: Annotated[str, Field(max_length=256)] | None = None


class _Response(BaseModel):
    """The fields that are used; all others are ignored."""

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


def read(content: bytes, provider: Provider, secrets: Iterable[str] = ()) -> Generation:
    """Raises OutcomeUnknown when the content is not a response. `secrets` are redacted from its error message."""
    try:
        wire = _Response.model_validate_json(content)
    except ValidationError:
        # The original error would contain the response's text.
        raise OutcomeUnknown("The provider's response could not be read.", code="bad_answer") from None
    error = wire.error or _Error()
    return Generation(
        response_id=wire.id,
        status=wire.status,
        metadata=wire.metadata or {},
        model=None if wire.model is None else provider.model_named(wire.model),
        service_tier=wire.service_tier,
        usage=_usage(wire.usage),
        output=wire.output or (),
        error_code=code(error.code),
        error_message=None if error.message is None else message(error.message, secrets),
        incomplete_reason=wire.incomplete_details.reason if wire.incomplete_details else None,
    )


def code(text: str | None) -> str | None:
    """A provider's error code, truncated."""
    return text[:MAX_CODE_CHARACTERS] if text else None


def message(text: str, secrets: Iterable[str]) -> str:
    """A provider's error message, redacted and then truncated: a truncated key would not match its pattern."""
    return redact(text, secrets)[:MAX_MESSAGE_CHARACTERS]


def _usage(wire: _Usage | None) -> Usage | None:
    if wire is None:
        return None
    inputs, outputs = wire.input_tokens_details or _Details(), wire.output_tokens_details or _Details()
    try:
        return Usage(
            input_tokens=wire.input_tokens,
            cached_input_tokens=inputs.cached_tokens or 0,
            cache_write_tokens=inputs.cache_write_tokens or 0,
            output_tokens=wire.output_tokens,
            reasoning_tokens=outputs.reasoning_tokens or 0,
        )
    except ValidationError:
        # Contradictory counts cannot be billed.
        return None
