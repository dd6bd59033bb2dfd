"""A schema in words, for people: what a field may be, and the fields of an object."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schemas = Mapping[str, Any]

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} pairs",
    "minimum": "from {}",
    "maximum": "to {}",
}


@dataclass(frozen=True)
class Marks:
    """How a page writes the value of a constant, and the name of a schema that it shows elsewhere."""

    value: Callable[[str], str]
    link: Callable[[str], str]


@dataclass(frozen=True)
class Field:
    name: str
    form: str
    required: bool
    description: str


def fields(schema: Mapping[str, Any], schemas: Schemas, marks: Marks) -> Iterator[Field]:
    """The fields of an object. Those of an object that has no name of its own follow it, as `field.inner`."""
    required = schema.get("required", [])
    # What is sent to us is closed, what we answer is open. Of an answer's fields it is no news that they are there.
    asked = schema.get("additionalProperties") is False
    for name, held in schema.get("properties", {}).items():
        # Of what the caller may leave out, null is no news.
        shown = _without_null(held) if asked and name not in required else held
        yield Field(name, form(shown, schemas, marks), asked and name in required, held.get("description", ""))
        for inner in _nameless(held):
            for field in fields(inner, schemas, marks):
                yield Field(f"{name}.{field.name}", field.form, field.required, field.description)


def form(schema: Mapping[str, Any], schemas: Schemas, marks: Marks) -> str:
    """What a value may be, in a few words."""
    if "$ref" in schema:
        name = named(schema)
        # Only objects have a table of their own; what is merely a text or a list is said in place.
        return marks.link(name) if "properties" in schemas[name] else form(schemas[name], schemas, marks)
    if "const" in schema:
        value = schema["const"]
        return marks.value(value if isinstance(value, str) else str(value).lower())
    if "enum" in schema:
        return " | ".join(marks.value(value) for value in schema["enum"])
    if union := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(form(branch, schemas, marks) for branch in union)
    if "items" in schema:
        inner = form(schema["items"], schemas, marks)
        return _limited(f"array of {f'({inner})' if ' | ' in inner else inner}", schema)
    if isinstance(schema.get("additionalProperties"), Mapping):
        inner = form(schema["additionalProperties"], schemas, marks)
        return _limited(f"map of {inner}", schema)
    return _limited(schema.get("format") or schema.get("type", "any"), schema)


def body_form(answer: Mapping[str, Any], schemas: Schemas, marks: Marks) -> str:
    """What the body of an answer may be: the form of JSON, the media type of all else."""
    return " | ".join(
        form(held["schema"], schemas, marks) if media == "application/json" else marks.value(media)
        for media, held in answer.get("content", {}).items()
    )


def examples(operation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The answers that an operation shows, each under its title."""
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        for media, held in content.items():
            if "example" in held:
                yield f"{status}: {media}" if len(content) > 1 else status, held["example"]
            for each in held.get("examples", {}).values():
                yield f"{status}: {each['summary']}", each["value"]


def headers(operation: Mapping[str, Any], but: Container[str]) -> Iterator[tuple[str, str, str]]:
    """The headers of an operation's answers, each with the statuses of those that have it and what it says."""
    statuses: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for status, answer in operation["responses"].items():
        for name, held in answer.get("headers", {}).items():
            if name not in but:
                statuses.setdefault(name, []).append(status)
                words[name] = held["description"]
    for name, found in statuses.items():
        yield name, ", ".join(found), words[name]


def named(schema: Mapping[str, Any]) -> str:
    """The component that a reference points to."""
    return str(schema["$ref"]).rpartition("/")[2]


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    return {**schema, "anyOf": branches} if branches else schema


def _limited(what: str, schema: Mapping[str, Any]) -> str:
    limits = [words.format(schema[limit]) for limit, words in _LIMITS.items() if limit in schema]
    # "at least one character" of every name would only be noise.
    limits = [limit for limit in limits if limit != "at least 1 characters"]
    return f"{what} ({', '.join(limits)})" if limits else what


def _nameless(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for branch in (schema, *schema.get("anyOf", ())):
        if "properties" in branch:
            yield branch
