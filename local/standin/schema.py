"""A value that a simple JSON schema accepts, with what was computed where its names ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from local.standin.answers import Answer

MAX_DEPTH = 16
MAX_NODES = 2000
ANSWER_NAMES = frozenset({"answer", "final_answer", "result", "value", "solution", "number", "output", "total", "sum"})
STEP_NAMES = frozenset({"steps", "explanation", "reasoning", "working", "thoughts", "work"})


@dataclass
class Filler:
    """Fills one schema. `nodes` bounds the work: a schema may refer to itself."""

    answer: Answer
    root: Mapping[str, Any]
    nodes: int = 0

    def fill(self, schema: object, name: str = "", depth: int = 0) -> Any:
        self.nodes += 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self.nodes > MAX_NODES:
            return None
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self.chosen(schema["enum"])
        if "$ref" in schema:
            return self.fill(self.referred(schema["$ref"]), name, depth + 1)
        for choice in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(choice), list) and schema[choice]:
                return self.fill(schema[choice][0], name, depth + 1)
        return self.typed(schema, name, depth)

    def typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0] if kind else "null"
        match kind:
            case "object":
                properties = schema.get("properties")
                fields = properties if isinstance(properties, Mapping) else {}
                return {key: self.fill(value, key, depth + 1) for key, value in fields.items()}
            case "array":
                return self.listed(schema, name, depth)
            case "number" | "integer":
                return self.number(schema, name, whole=kind == "integer")
            case "boolean":
                return self.answer.text.startswith("Yes")
            case "null":
                return None
            case _:
                return self.text(name)

    def listed(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items")
        if name in STEP_NAMES and isinstance(items, Mapping) and items.get("type") == "string" and self.answer.steps:
            return list(self.answer.steps)
        least = schema.get("minItems", 1)
        count = min(least if isinstance(least, int) else 1, 100)
        return [self.fill(items, name, depth + 1) for _ in range(count)]

    def number(self, schema: Mapping[str, Any], name: str, *, whole: bool) -> int | float:
        value = self.answer.values.get(name)
        if value is None and (name in ANSWER_NAMES or not name):
            value = self.answer.value
        if value is None:
            value = Fraction(0)
            least, most = schema.get("minimum"), schema.get("maximum")
            if isinstance(least, int | float) and value < least:
                value = Fraction(least)
            if isinstance(most, int | float) and value > most:
                value = Fraction(most)
        if whole or value.denominator == 1 or abs(value) > 10**300:
            return round(value)
        return value.numerator / value.denominator

    def text(self, name: str) -> str:
        if name in STEP_NAMES:
            return "\n".join(self.answer.steps) or self.answer.text
        return self.answer.text

    def chosen(self, options: Sequence[Any]) -> Any:
        """The option that the answer names, where one does; else the first."""
        said = self.answer.text.lower()
        named = [option for option in options if isinstance(option, str) and option and option.lower() in said]
        return named[0] if named else options[0]

    def referred(self, reference: object) -> object:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: object = self.root
        for part in reference[1:].strip("/").split("/"):
            if part:
                found = found.get(part) if isinstance(found, Mapping) else None
        return found


def fill(schema: Mapping[str, Any], answer: Answer) -> Any:
    """A value for the schema: by type, and computed for number fields named after the answer or an unknown."""
    return Filler(answer, schema).fill(schema)
