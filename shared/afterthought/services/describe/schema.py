"""JSON Schema in few words, and the components that pydantic makes of a model."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def of(kind: str, description: str = "", **more: Any) -> Schema:
    return {"type": kind, **more, **_described(description)}


def fixed(value: str | bool, description: str = "") -> Schema:
    return {"type": "boolean" if isinstance(value, bool) else "string", "const": value, **_described(description)}


def one_of(values: Iterable[str], description: str = "") -> Schema:
    return of("string", description, enum=list(values))


def nullable(schema: Schema, description: str = "") -> Schema:
    return {"anyOf": [schema, {"type": "null"}], **_described(description)}


def array(items: Schema, description: str = "") -> Schema:
    return of("array", description, items=items)


def record(description: str, /, **properties: Schema) -> Schema:
    """An object that always has all of these. It may have more: a client must not break when one is added."""
    return of("object", description, properties=properties, required=list(properties))


def components(
    model: type[BaseModel], mode: Literal["validation", "serialization"], words: Mapping[str, Mapping[str, str]]
) -> dict[str, Schema]:
    """The schemas of a model and of all it holds, by name. `words` describes fields, by the schema they are in."""
    made = model.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
    found: dict[str, Schema] = {model.__name__: made, **made.pop("$defs", {})}
    return {name: _in_words(_plain(schema), words.get(name, {})) for name, schema in found.items()}


def _plain(value: Any) -> Any:
    """Without the titles and the null defaults that pydantic adds: they say nothing."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    # Below `properties` a key is a field's name, be it "title" or "default".
    return {
        key: {name: _plain(inner) for name, inner in held.items()} if key == "properties" else _plain(held)
        for key, held in value.items()
        if not (key == "title" and isinstance(held, str)) and not (key == "default" and held is None)
    }


def _in_words(schema: Schema, words: Mapping[str, str]) -> Schema:
    if "description" in schema:
        schema = {**schema, "description": " ".join(schema["description"].split())}
    if not words:
        return schema
    described = {name: {**held, **_described(words.get(name, ""))} for name, held in schema["properties"].items()}
    return {**schema, "properties": described}


def one_line(text: str) -> str:
    """Paragraphs of one line each: CommonMark as it is meant to be read."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _described(description: str) -> Schema:
    return {"description": description} if description else {}
