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

from afterthought.domain.pricing import format_usd

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
    """Options that are not part of OpenAI's API.

    `webhook_url` receives the completion event. `max_cost_usd` limits the cost of all attempts together. Usage is
    reported by `tags`. `deadline_seconds` counts from acceptance. The default of each policy is its first value.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    webhook_url: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    max_cost_usd: Dollars | None = None
    tags: Tags | None = None
    # Not part of the canonical form: a dry run is never stored.
    dry_run: bool | None = Field(default=None, exclude=True)
    deadline_seconds: DeadlineSeconds | None = None
    model_policy: Literal["exact", "successor"] | None = None
    on_unknown: Literal["fail", "retry"] | None = None
    on_starved: Literal["keep", "retry"] | None = None
