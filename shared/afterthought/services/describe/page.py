"""The page at /docs: the OpenAPI document as one HTML file, without a script and without anything to load."""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from afterthought.services.describe.operations import COMMON_HEADERS
from afterthought.services.describe.shape import Marks, body_form, examples, fields, form, headers, named

_STYLE = Path(__file__).with_name("page.css")
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[(?P<text>[^\]]+)\]\((?P<url>https://[^)\s]+)\)")

_MARKS = Marks(
    value=lambda value: f"<code>{escape(value)}</code>",
    link=lambda name: f'<a href="#schema-{escape(name)}">{escape(name)}</a>',
)


def page(document: Mapping[str, Any]) -> str:
    """The whole page, of an OpenAPI document as `document.document` makes it."""
    info = document["info"]
    title = escape(info["title"])
    schemas = document["components"]["schemas"]
    operations = [
        (path, verb, operation) for path, item in document["paths"].items() for verb, operation in item.items()
    ]
    hooks = {name: item["post"] for name, item in document["webhooks"].items()}
    tables = {name: schema for name, schema in schemas.items() if "properties" in schema}
    # The bodies of requests are shown with their operations.
    bodies = {
        named(operation["requestBody"]["content"]["application/json"]["schema"])
        for _, _, operation in operations
        if "requestBody" in operation
    }
    by_tag = {tag["name"]: [each for each in operations if tag["name"] in each[2]["tags"]] for tag in document["tags"]}
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"content-security-policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{title} API</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body>",
            _navigation(title, by_tag, hooks, tables),
            f"<main><header><h1>{title}<small>{escape(info['version'])}</small></h1>{_prose(info['description'])}",
            '<p><a href="openapi.json">The same as an OpenAPI document</a> · ',
            '<a href="#listModels">The models and their prices</a> · <a href="#errors">Errors</a></p>',
            f"<h4>In Python</h4>{_code(info['x-example'])}</header>",
            *(
                f"<section><h2>{escape(tag)}</h2>{''.join(_operation(each, schemas) for each in members)}</section>"
                for tag, members in by_tag.items()
            ),
            _webhooks(hooks, schemas),
            _errors(document["x-errors"]),
            '<section><h2 id="schemas">Objects</h2>',
            *(_schema(*each, schemas) for each in tables.items() if each[0] not in bodies),
            "</section></main></body></html>\n",
        )
    )


def _navigation(
    title: str,
    by_tag: Mapping[str, Iterable[tuple[str, str, Mapping[str, Any]]]],
    hooks: Iterable[str],
    tables: Iterable[str],
) -> str:
    parts = [f"<nav><strong>{title}</strong>"]
    for tag, members in by_tag.items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts += [
            f'<a href="#{operation["operationId"]}">{_verb(verb)}{escape(path)}</a>'
            for path, verb, operation in members
        ]
    parts.append("<h2>Webhooks</h2>")
    parts += [f'<a href="#webhooks">{escape(name)}</a>' for name in hooks]
    parts.append('<h2>More</h2><a href="#errors">Errors</a>')
    parts.append('<div class="far"><h2>Objects</h2>')
    parts += [f'<a href="#schema-{escape(name)}">{escape(name)}</a>' for name in tables]
    return "".join((*parts, "</div></nav>"))


def _operation(each: tuple[str, str, Mapping[str, Any]], schemas: Mapping[str, Any]) -> str:
    path, verb, operation = each
    keyless = '<span class="open">needs no key</span>' if operation.get("security") == [] else ""
    return "".join(
        (
            f'<h3 id="{operation["operationId"]}">{escape(operation["summary"])}</h3>',
            f'<div class="at">{_verb(verb)}<span>{escape(path)}</span>{keyless}</div>',
            _prose(operation.get("description", "")),
            _parameters(operation, schemas),
            _body(operation, schemas),
            _samples(operation),
            _answers(operation, schemas),
        )
    )


def _parameters(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    rows = [
        _row(each["name"], form(each["schema"], schemas, _MARKS), each["required"], each["description"], each["in"])
        for each in operation.get("parameters", ())
    ]
    return f"<h4>Parameters</h4>{_table(rows)}" if rows else ""


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    name = named(operation["requestBody"]["content"]["application/json"]["schema"])
    described = _prose(schemas[name].get("description", ""))
    return f'<h4 id="schema-{name}">Body</h4>{described}{_fields(schemas[name], schemas)}'


def _samples(operation: Mapping[str, Any]) -> str:
    samples = [
        f"<span>{escape(each.get('label', each['lang']))}</span>{_code(each['source'])}"
        for each in operation.get("x-codeSamples", ())
    ]
    return f'<h4>Examples</h4><div class="samples">{"".join(samples)}</div>' if samples else ""


def _answers(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    rows = [
        f'<tr><td class="status">{escape(status)}</td><td class="form">{body_form(answer, schemas, _MARKS)}</td>'
        f"<td>{_inline(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    sent = [
        f'<tr><td class="header"><code>{escape(name)}</code></td><td class="status">{escape(statuses)}</td>'
        f"<td>{_inline(words)}</td></tr>"
        for name, statuses, words in headers(operation, COMMON_HEADERS)
    ]
    shown = [
        f"<details><summary>An answer {escape(title)}</summary>{_code(_pretty(example))}</details>"
        for title, example in examples(operation)
    ]
    return "".join(
        (
            f'<h4>Answers</h4><div class="scroll"><table>{"".join(rows)}</table></div>',
            f'<h4>Headers of answers</h4><div class="scroll"><table>{"".join(sent)}</table></div>' if sent else "",
            *shown,
        )
    )


def _webhooks(hooks: Mapping[str, Mapping[str, Any]], schemas: Mapping[str, Any]) -> str:
    first = next(iter(hooks.values()))
    content = first["requestBody"]["content"]["application/json"]
    names = " · ".join(f"<code>{escape(name)}</code>" for name in hooks)
    return "".join(
        (
            f'<section><h2 id="webhooks">Webhooks</h2><div class="at">{_verb("hook")}<span>{names}</span></div>',
            _prose(first["description"]),
            f"<h4>Headers</h4>{_parameters(first, schemas).removeprefix('<h4>Parameters</h4>')}",
            f"<h4>Body</h4>{_fields(schemas[named(content['schema'])], schemas)}{_code(_pretty(content['example']))}",
            f"{_samples(first)}</section>",
        )
    )


def _errors(errors: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td class="status">{row["status"]}</td><td class="code"><code>{escape(row["code"])}</code></td>'
        f"<td>{_inline(row['when'])}</td><td>{'yes' if row['retryable'] else 'no'}</td></tr>"
        for row in errors["codes"]
    )
    head = "<tr><th>Status</th><th>Code</th><th>When</th><th>Again?</th></tr>"
    table = f'<div class="scroll"><table>{head}{rows}</table></div>'
    return f'<section><h2 id="errors">Errors</h2>{_prose(errors["description"])}{table}</section>'


def _schema(name: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    described = _prose(schema.get("description", ""))
    return f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>{described}{_fields(schema, schemas)}'


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    return _table(
        _row(field.name, field.form, field.required, field.description) for field in fields(schema, schemas, _MARKS)
    )


def _row(name: str, what: str, required: bool, description: str, place: str = "") -> str:
    notes = "".join(
        (
            f'<span class="open">{escape(place)}</span>' if place else "",
            '<span class="must">required</span>' if required else "",
        )
    )
    first = f"<td><code>{escape(name)}</code> {notes}</td>"
    return f'<tr>{first}<td class="form">{what}</td><td>{_inline(description)}</td></tr>'


def _table(rows: Iterable[str]) -> str:
    return f'<div class="scroll"><table class="fields">{"".join(rows)}</table></div>'


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def _pretty(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _verb(verb: str) -> str:
    return f'<span class="verb {escape(verb)}">{escape(verb.upper())}</span>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _inline(text: str) -> str:
    """The three marks that the document's texts use: `code`, **bold** and links."""
    done, parts = 0, []
    for mark in _INLINE.finditer(text):
        parts.append(escape(text[done : mark.start()]))
        done = mark.end()
        if mark["code"]:
            parts.append(f"<code>{escape(mark['code'])}</code>")
        elif mark["bold"]:
            parts.append(f"<strong>{escape(mark['bold'])}</strong>")
        else:
            parts.append(f'<a href="{escape(mark["url"])}">{escape(mark["text"])}</a>')
    return "".join((*parts, escape(text[done:])))
