"""The terms on which a job is taken, in the one form that each has: its cap in dollars, and its tags."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from afterthought.domain.pricing import format_usd

MAX_TAGS = 5
_DOLLARS = "[0-9]{1,9}([.][0-9]{1,12})?"


def _dollars(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        # A JSON number with a point is a float by now: 0.1 would no longer be 0.1.
        raise PydanticCustomError(
            "dollars_type", 'must be a string such as "0.25", or a whole number: other numbers are not exact in JSON'
        )
    written = format_usd(value) if isinstance(value, Decimal) else str(value)
    if not re.fullmatch(_DOLLARS, written) or not Decimal(written):
        raise PydanticCustomError(
            "dollars", 'must be dollars above 0, such as "0.25": at most 9 digits before the point and 12 after it'
        )
    return Decimal(written)


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
    """In order, so that the order in which they were given makes no other request."""
    if len(set(tags)) != len(tags):
        twice = next(tag for tag in tags if tags.count(tag) > 1)
        raise PydanticCustomError("tags", "must differ from each other; '{twice}' is there twice", {"twice": twice})
    return sorted(tags)


_TAG = "[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}"
TAG_FORM = "1 to 64 characters of A-Z, a-z, 0-9 and _ . : / -, the first a letter or a digit"


def _tag(tag: str) -> str:
    if not re.fullmatch(_TAG, tag):
        raise PydanticCustomError("tag", f"must be {TAG_FORM}")
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
