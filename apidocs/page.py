"""The documentation page: the OpenAPI document as one HTML file without scripts and external resources."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

Wire = dict[str, Any]

_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[(?P<text>[^\]]+)\]\((?P<url>https://[^)\s]+)\)")
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} pairs",
    "minimum": "from {}",
    "maximum": "up to {}",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'sha256-{digest}'">
<title>{title} API</title>
<style>{style}</style>
</head>
<body>
<nav>
{navigation}
</nav>
<main>
{main}
</main>
</body>
</html>
"""


def page(api: Wire) -> str:
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    title = escape(api["info"]["title"])
    navigation = [f'<a class="title" href="#top">{title}</a>']
    main = [
        f'<h1 id="top">{title} API <small>{escape(api["info"]["version"])}</small></h1>',
        _prose(api["info"]["description"]),
        f'<p><a href="openapi.json">OpenAPI document</a></p><h4>Quick start</h4>{_code(api["info"]["x-example"])}',
    ]
    view = _View(api["components"]["schemas"])
    for tag in api["tags"]:
        navigation.append(f"<h2>{escape(tag['name'])}</h2>")
        main.append(f"<h2>{escape(tag['name'])}</h2>")
        for path, item in api["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    summary = f"{_method(method)} {escape(operation['summary'])}"
                    navigation.append(f'<a href="#{operation["operationId"]}">{summary}</a>')
                    main.append(view.operation(path, method, operation))
    main += [view.webhooks(api["webhooks"]), _errors(api["x-errors"], api["x-failures"]), "<h2>Objects</h2>"]
    main += map(view.object, view.objects)
    navigation.append('<h2>More</h2><a href="#webhooks">Webhooks</a><a href="#errors">Errors</a>')
    navigation.append('<a href="#failures">Failed jobs</a>\n<div class="objects"><h2>Objects</h2>')
    navigation += [f'<a href="#{escape(name)}">{escape(name)}</a>' for name in view.objects]
    return _PAGE.format(
        digest=b64encode(sha256(style.encode()).digest()).decode(),
        title=title,
        style=style,
        navigation="\n".join((*navigation, "</div>")),
        main="\n".join(main),
    )


class _View:
    """Renders operations and schemas. Each of the `objects` has its own section; other schemas are shown in place."""

    def __init__(self, schemas: Wire) -> None:
        self._schemas = schemas
        # The request body is shown with its operation.
        self.objects = [name for name in schemas if "properties" in schemas[name] and name != "CreateResponse"]

    def operation(self, path: str, method: str, operation: Wire) -> str:
        public = '<span class="note">no API key</span>' if operation.get("security") == [] else ""
        body = f"<h4>Request body</h4>{self._fields('CreateResponse')}" if "requestBody" in operation else ""
        return (
            f'<section id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
            f'<p class="route">{_method(method)} {escape(path)} {public}</p>{_prose(operation.get("description", ""))}'
            f"{self._parameters(operation)}{body}{_samples(operation)}{self._answers(operation)}</section>"
        )

    def webhooks(self, webhooks: Wire) -> str:
        webhook = next(iter(webhooks.values()))["post"]
        content = webhook["requestBody"]["content"]["application/json"]
        events = ", ".join(f"<code>{escape(name)}</code>" for name in webhooks)
        return (
            f'<h2 id="webhooks">Webhooks</h2><p>Events: {events}</p>{_prose(webhook["description"])}'
            f"{self._parameters(webhook)}<h4>Body</h4><p>{self._type(content['schema'])}</p>"
            f"{_examples(content)}{_samples(webhook)}"
        )

    def object(self, name: str) -> str:
        description = _prose(self._schemas[name].get("description", ""))
        return f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{description}{self._fields(name)}</section>'

    def _fields(self, name: str) -> str:
        schema = self._schemas[name]
        is_request = schema.get("additionalProperties") is False
        rows = []
        for field, value in schema["properties"].items():
            kind = self._type(value)
            note = "required" if is_request else ""
            if field not in schema.get("required", ()):
                # In a request, null is the same as absent.
                kind, note = (kind.removesuffix(" | null"), "") if is_request else (kind, "optional")
            rows.append(_row(field, value.get("description", ""), kind, note))
        return _list(rows)

    def _parameters(self, operation: Wire) -> str:
        rows = []
        for parameter in operation.get("parameters", ()):
            kind = f"{parameter['in']}, {self._type(parameter['schema'])}"
            note = "required" if parameter["required"] else ""
            rows.append(_row(parameter["name"], parameter.get("description", ""), kind, note))
        return f"<h4>Parameters</h4>{_list(rows)}" if rows else ""

    def _answers(self, operation: Wire) -> str:
        rows, examples = [], []
        headers: Wire = {}
        for status, answer in operation["responses"].items():
            types = []
            for media_type, content in answer["content"].items():
                is_json = media_type == "application/json"
                types.append(self._type(content["schema"]) if is_json else f"<code>{escape(media_type)}</code>")
                examples.append(_examples(content, status))
            rows.append((escape(status), ", ".join(types), _inline(answer["description"])))
            # The headers that all answers have are described with the errors.
            headers |= {name: header for name, header in answer["headers"].items() if "$ref" not in header}
        listed = [(f"<code>{escape(name)}</code>", _inline(header["description"])) for name, header in headers.items()]
        return (
            f"<h4>Answers</h4>{_table(('Status', 'Body', 'Description'), rows)}"
            f"{f'<h4>Headers of answers</h4>{_table((), listed)}' if headers else ''}{''.join(examples)}"
        )

    def _type(self, schema: Wire) -> str:
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            if name in self.objects:
                return f'<a href="#{escape(name)}">{escape(name)}</a>'
            return self._type(self._schemas[name])
        if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
            return " | ".join(f"<code>{escape(str(value).lower())}</code>" for value in values)
        if variants := schema.get("anyOf") or schema.get("oneOf"):
            return " | ".join(map(self._type, variants))
        text = escape(schema.get("format") or schema.get("type", "any"))
        if "items" in schema:
            items = self._type(schema["items"])
            text = f"array of {f'({items})' if ' | ' in items else items}"
        elif isinstance(schema.get("additionalProperties"), dict):
            text = f"map of {self._type(schema['additionalProperties'])}"
        limits = [
            words.format(schema[limit])
            for limit, words in _LIMITS.items()
            if schema.get(limit, 0) > (limit == "minLength")
        ]
        return ", ".join((text, *limits))


def _errors(errors: Wire, failures: Wire) -> str:
    rows = [
        (
            str(error["status"]),
            f"<code>{escape(error['code'])}</code>",
            _inline(error["description"]),
            "yes" if error.get("retryable") else "no",
        )
        for error in errors["codes"]
    ]
    codes = _list(_row(code, description) for code, description in failures["codes"].items())
    return (
        f'<h2 id="errors">Errors</h2>{_prose(errors["description"])}'
        f"{_table(('Status', 'Code', 'Description', 'Retry'), rows)}"
        f'<h2 id="failures">Failed jobs</h2>{_prose(failures["description"])}{codes}'
    )


def _samples(operation: Wire) -> str:
    samples = operation.get("x-codeSamples", ())
    return "".join(f"<h4>{escape(sample['label'])}</h4>{_code(sample['source'])}" for sample in samples)


def _examples(content: Wire, status: str = "") -> str:
    return "".join(
        f"<details><summary>Example: {escape(f'{status} {name}')}</summary>{_code(example['value'])}</details>"
        for name, example in content.get("examples", {}).items()
    )


def _row(name: str, description: str, kind: str = "", note: str = "") -> str:
    mark = f'<span class="{note}">{note}</span>' if note else ""
    return (
        f'<dt><code>{escape(name)}</code> <span class="type">{kind}</span> {mark}</dt><dd>{_inline(description)}</dd>'
    )


def _list(rows: Iterable[str]) -> str:
    return f"<dl>{''.join(rows)}</dl>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"] if head else []
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre><code>{escape(text)}</code></pre>"


def _method(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _inline(text: str) -> str:
    """`code`, **bold** and [links](https://…)."""

    def mark(match: re.Match[str]) -> str:
        if match["code"]:
            return f"<code>{match['code']}</code>"
        return f"<strong>{match['bold']}</strong>" if match["bold"] else f'<a href="{match["url"]}">{match["text"]}</a>'

    return _INLINE.sub(mark, escape(text))
