"""The options of a request under `afterthought`. Equal options have one canonical form."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from afterthought.domain.models.pricing import format_usd

MAX_TAGS = 5
MIN_DEADLINE_SECONDS, MAX_DEADLINE_SECONDS = 60, 86_400
"""The maximum is also the default: one day."""
_DOLLARS = "[0-9]{1,9}([.][0-9]{1,12})?"


def _dollars(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        # A JSON number with a decimal point has been parsed as a float and is no longer exact.
        raise PydanticCustomError(
            "dollars_type",
            'must be a string such as "0.25", or a whole number: a JSON number with a decimal point is not exact',
        )
    text = format_usd(value) if isinstance(value, Decimal) else str(value)
    if not re.fullmatch(_DOLLARS, text) or not Decimal(text):
        raise PydanticCustomError(
            "dollars",
            'must be dollars above 0, such as "0.25": at most 9 digits before the decimal point and 12 after it',
        )
    return Decimal(text)


Dollars = Annotated[
    Decimal,
    BeforeValidator(_dollars),
    PlainSerializer(format_usd, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_DOLLARS}$"},
                {"type": "integer", "minimum": 1, "maximum": 10**9 - 1},
            ]
        }
    ),
]


def _tags(tags: list[str]) -> list[str]:
    """Sorts the tags: their order does not make a different request."""
    if len(set(tags)) != len(tags):
        duplicate = next(tag for tag in tags if tags.count(tag) > 1)
        raise PydanticCustomError("tags", "must not contain '{tag}' twice", {"tag": duplicate})
    return sorted(tags)


_TAG = "[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}"
TAG_FORMAT = "1 to 64 characters of A-Z, a-z, 0-9 and _ . : / -, the first a letter or a digit"


def _tag(tag: str) -> str:
    if not re.fullmatch(_TAG, tag):
        raise PydanticCustomError("tag", f"must be {TAG_FORMAT}")
    return tag


TagName = Annotated[
    str, AfterValidator(_tag), WithJsonSchema({"type": "string", "pattern": f"^{_TAG}$", "maxLength": 64})
]
Tags = TypeAliasType(
    "Tags",
    Annotated[
        list[TagName],
        FailFast(),
        Field(max_length=MAX_TAGS, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_tags),
    ],
)


def _deadline(seconds: int) -> int:
    if not MIN_DEADLINE_SECONDS <= seconds <= MAX_DEADLINE_SECONDS:
        raise PydanticCustomError(
            "deadline", f"must be {MIN_DEADLINE_SECONDS} to {MAX_DEADLINE_SECONDS} seconds, a whole number"
        )
    return seconds


DeadlineSeconds = Annotated[
    int,
    AfterValidator(_deadline),
    WithJsonSchema({"type": "integer", "minimum": MIN_DEADLINE_SECONDS, "maximum": MAX_DEADLINE_SECONDS}),
]


class AfterthoughtOptions(BaseModel):
    """The parameters added by Afterthought."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    webhook_url: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    """Receives the completion event. An `https://` URL with a public host name and without credentials. Private
    addresses are never called."""
    max_cost_usd: Dollars | None = None
    """The maximum cost of the job, all attempts together, in dollars: at most 9 digits before and 12 after the point.
    Use a string, because JSON numbers with a point are not exact. A job that could cost more is refused, with the
    `max_output_tokens` that would fit."""
    tags: Tags | None = None
    """Names under which usage is reported, such as a team or a product. Returned sorted. Use `metadata` for data about
    your users."""
    # A dry run is never stored, so nothing that is stored says whether it is one.
    dry_run: bool | None = Field(default=None, exclude=True)
    """Returns the maximum cost and every error that the request would get, and stores nothing. An invalid request is
    refused as usual."""
    deadline_seconds: DeadlineSeconds | None = None
    """The maximum time from acceptance to the end, waiting included. A job that is still running then is cancelled at
    the provider within about a minute and fails with `deadline_exceeded`. Default: 86400, one day."""
    model_policy: Literal["exact", "successor"] | None = None
    """What happens if the model is retired or unknown to the provider. `exact` (default): the request is refused, or
    the job fails with `model_not_found`. `successor`: the first served successor recommended by the model's maker runs
    it, held and billed at its own prices. Its effort is the requested one or the nearest that it takes (of two equally
    near, the higher); without a requested effort, the default of the named model, or `none` if that model does not
    reason. A `max_output_tokens` above its maximum is lowered to the maximum."""
    on_unknown: Literal["fail", "retry"] | None = None
    """What happens if the result of a call is unknown, because the connection broke or the worker crashed. `fail`
    (default): the job fails with `outcome_unknown`. `retry`: the call is repeated once, with its own hold. The lost
    call is recorded at the amount held, `estimated`, until the provider reports its usage."""
    on_starved: Literal["keep", "retry"] | None = None
    """What happens if reasoning uses all of `max_output_tokens` and there is no visible output. `keep` (default): the
    response is `incomplete` with `reasoning_starved`. `retry`: the call is repeated once, with its own hold and four
    times the `max_output_tokens` (at most the model's maximum). If that does not fit `max_cost_usd` or the budgets, it
    is repeated with the next lower effort. The starved answer is billed."""
