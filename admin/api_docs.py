"""docs/api.md, written from the same OpenAPI document that /docs shows: `python -m admin.api_docs`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from admin import ROOT
from afterthought.services.describe import openapi
from afterthought.services.describe.operations import COMMON_HEADERS
from afterthought.services.describe.shape import Marks, body_form, examples, fields, form, headers, named

TARGET = ROOT / "docs" / "api.md"

_MARKS = Marks(value=lambda value: f"`{value}`", link=lambda name: f"[{name}](#{name.lower()})")


def markdown(document: Mapping[str, Any]) -> str:
    """The whole file."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    yield f"# {document['info']['title']}: the API\n"
    yield "Written by `make docs` from the OpenAPI document that the service answers at `/openapi.json`.\n"
    yield f"{document['info']['description']}\n"
    yield from _code("python", document["info"]["x-example"])
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            yield f"## {verb.upper()} {path}\n"
            yield f"{operation['summary']}. {operation.get('description', '')}".strip() + "\n"
            yield from _operation(operation, schemas)
    hooks = document["webhooks"]
    first = next(iter(hooks.values()))["post"]
    yield "## Webhooks\n"
    yield f"{', '.join(f'`{name}`' for name in hooks)}. {first['description']}\n"
    yield from _operation(first, schemas)
    yield "## Errors\n"
    yield document["x-errors"]["description"] + "\n"
    yield from _table(
        ("Status", "Code", "When", "Again?"),
        (
            (str(row["status"]), f"`{row['code']}`", row["when"], "yes" if row["retryable"] else "no")
            for row in document["x-errors"]["codes"]
        ),
    )
    yield "## Objects\n"
    for name, schema in schemas.items():
        if "properties" in schema:
            yield f"### {name}\n"
            if "description" in schema:
                yield schema["description"] + "\n"
            yield from _fields(schema, schemas)


def _operation(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    parameters = operation.get("parameters", ())
    if parameters:
        yield from _table(
            ("Parameter", "In", "Is", ""),
            (
                (f"`{each['name']}`", each["in"], form(each["schema"], schemas, _MARKS), each["description"])
                for each in parameters
            ),
        )
    if "requestBody" in operation:
        name = named(operation["requestBody"]["content"]["application/json"]["schema"])
        yield f"Body: {_MARKS.link(name)}.\n"
    for sample in operation.get("x-codeSamples", ()):
        yield from _code(sample["lang"].lower(), sample["source"])
    yield from _table(
        ("Status", "Answer", ""),
        (
            (status, body_form(answer, schemas, _MARKS), answer["description"])
            for status, answer in operation["responses"].items()
        ),
    )
    if sent := [(f"`{name}`", statuses, words) for name, statuses, words in headers(operation, COMMON_HEADERS)]:
        yield from _table(("Header", "Of answers", ""), sent)
    for title, example in examples(operation):
        yield f"<details><summary>An answer {title}</summary>\n"
        told = (
            ("text", example.replace("\r\n", "\n"))
            if isinstance(example, str)
            else ("json", json.dumps(example, indent=2, ensure_ascii=False))
        )
        yield from _code(*told)
        yield "</details>\n"


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    yield from _table(
        ("Field", "Is", ""),
        (
            (f"`{each.name}`{' (required)' if each.required else ''}", each.form, each.description)
            for each in fields(schema, schemas, _MARKS)
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        # In a table a bar parts cells, be it in code or not.
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _code(language: str, source: str) -> Iterator[str]:
    yield f"```{language}\n{source.rstrip()}\n```\n"


def main() -> None:
    TARGET.write_text(markdown(openapi()), encoding="utf-8")
    print(f"Wrote {TARGET.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
