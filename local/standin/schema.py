"""The simplest value that a JSON schema accepts, with the answer as its texts and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.standin.arithmetic import Answer
from local.standin.wire import WireError

MAX_DEPTH = 32
MAX_VALUES = 2000


def fill(schema: Mapping[str, Any], answer: Answer) -> Any:
    """A value for the schema. Raises WireError 400 if it is not a JSON schema."""
    try:
        return Filler(schema, answer).fill(schema)
    except (AttributeError, LookupError, TypeError):
        raise WireError(400, "Invalid JSON schema.", code="invalid_json_schema") from None


@dataclass
class Filler:
    """`values` counts the values made: a schema that refers to itself has no end."""

    root: Mapping[str, Any]
    answer: Answer
    values: int = 0

    def fill(self, schema: Any, depth: int = 0) -> Any:
        self.values += 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self.values > MAX_VALUES:
            return None
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        if schema.get("enum"):
            return schema["enum"][0]
        if "$ref" in schema:
            return self.fill(self.resolve(schema["$ref"]), depth + 1)
        for name in ("anyOf", "oneOf", "allOf"):
            if options := schema.get(name):
                # Null ends a schema that refers to itself.
                return None if {"type": "null"} in options else self.fill(options[0], depth + 1)
        return self.typed(schema, depth)

    def typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = "null" if "null" in kind else kind[0]
        match kind:
            case "object":
                return {name: self.fill(part, depth + 1) for name, part in schema.get("properties", {}).items()}
            case "array":
                return [self.fill(schema.get("items"), depth + 1) for _ in range(min(schema.get("minItems", 0), 100))]
            case "number" | "integer":
                return self.number(schema, whole=kind == "integer")
            case "boolean":
                return False
            case "null":
                return None
        return self.answer.text

    def number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        """The computed value if the schema allows it, else the allowed number that is nearest to 0."""
        low: float = schema.get("minimum", float("-inf"))
        high: float = schema.get("maximum", float("inf"))
        value = self.answer.value
        if value is None or not low <= value <= high or (whole and value.denominator != 1):
            return max(low, min(high, 0))
        return value.numerator if value.denominator == 1 else float(value)

    def resolve(self, reference: str) -> Any:
        """The part of the schema that a local reference such as `#/$defs/name` names, or None."""
        part: Any = self.root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                part = part.get(name) if isinstance(part, Mapping) else None
        return part
