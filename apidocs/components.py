"""The schemas of the OpenAPI document, generated from the types of requests and answers."""

import ast
import inspect
from itertools import pairwise
from typing import Any, cast

from pydantic import TypeAdapter

from afterthought.domain.request import items, options, request
from afterthought.domain.wire import report_schemas as reports
from afterthought.domain.wire import schemas as answers

_ANSWERS = (
    answers.Response
    | reports.DryRun
    | reports.UsageReport
    | reports.ModelList
    | answers.Event
    | answers.Error
    | answers.Health
)
_TYPES = vars(answers) | vars(reports) | vars(options) | vars(items) | vars(request)


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def components() -> dict[str, Any]:
    """Schemas by name. The request body is `CreateResponse`."""
    _, generated = TypeAdapter.json_schemas(
        [
            ("request", "validation", TypeAdapter(request.CreateResponse)),
            ("answers", "serialization", TypeAdapter(_ANSWERS)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = _tidy(generated["$defs"])
    for name, schema in schemas.items():
        if "properties" in schema:
            for field, description in _field_docs(_TYPES[name]).items():
                schema["properties"][field]["description"] = description
    # Returned parameters have the form that they have in the request.
    schemas["Response"]["properties"] |= {
        "text": ref("Text"),
        "tools": ref("Tools"),
        "tool_choice": {"anyOf": [{"type": "string"}, ref("NamedTool")]},
    }
    return schemas


def one_line(text: str) -> str:
    """Each paragraph in one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _tidy(value: Any) -> Any:
    """Without generated titles and null defaults, with descriptions in one line."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: one_line(item) if key == "description" and isinstance(item, str) else _tidy(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and not (key == "default" and item is None)
    }


def _field_docs(cls: Any) -> dict[str, str]:
    """The docstrings below the fields of a class and of its bases. pydantic can collect these too, but for models only
    when the class is created, which would read source files at each cold start."""
    docs: dict[str, str] = {}
    for base in getattr(cls, "__orig_bases__", ()):
        if base.__module__.startswith("afterthought"):
            docs |= _field_docs(base)
    definition = cast("ast.ClassDef", ast.parse(inspect.getsource(cls)).body[0])
    for field, following in pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(following, ast.Expr):
            docs[field.target.id] = one_line(ast.literal_eval(following.value))
    return docs
