"""Prompts as providers render them: the texts of a request between markers, with tools and schemas in several forms.

Each form is used by the public template of a model family: `typescript` by OpenAI's open models, `json_lines` and
`escaped` by others, `quoted` is JSON in a string. `inlined` returns a schema without references. A marker such as
`<|start|>` is one token, and is None here.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

Form = Literal["typescript", "compact", "json_lines", "escaped", "quoted"]
FORMS: tuple[Form, ...] = ("typescript", "compact", "json_lines", "escaped", "quoted")
Wire = Mapping[str, Any]


def schema(value: Any, form: Form) -> str:
    return _SCHEMAS[form](value)


def prompt(request: Wire, form: Form) -> Iterator[str | None]:
    """Everything that the model reads of a request (texts only), with None for each marker."""
    yield from _turn("system", _SYSTEM)
    sections = [f"# Instructions\n\n{request['instructions']}"] if request.get("instructions") is not None else []
    if request.get("tools"):
        sections.append(_tools(request["tools"], form))
    text_format = (request.get("text") or {}).get("format") or {}
    if text_format.get("type") == "json_schema":
        description = f"// {text_format['description']}\n" if text_format.get("description") is not None else ""
        json_schema = schema(text_format["schema"], _as_json(form))
        sections.append(f"# Response formats\n\n## {text_format['name']}\n\n{description}{json_schema}")
    if sections:
        yield from _turn("developer", "\n\n".join(sections))
    content = request["input"]
    items = [{"type": "message", "role": "user", "content": content}] if isinstance(content, str) else content
    names = {item["call_id"]: item["name"] for item in items if "name" in item}
    for item in items:
        yield from _item(item, names, form)
    yield from (None, "assistant")


def inlined(value: Any, root: Any, above: tuple[str, ...] = ()) -> Any:
    """A schema whose references into `$defs` are replaced by their targets, except recursive ones."""
    if isinstance(value, list):
        return [inlined(inner, root, above) for inner in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference not in above:
        target = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        if target is not None:
            return inlined(target, root, (*above, reference))
    return {key: inlined(inner, root, above) for key, inner in value.items() if key != "$defs"}


_SYSTEM = (
    "You are a large language model. Knowledge until: 2026-06. Current date: 2026-11-02.\n\nReasoning: xhigh\n\n"
    "# Channels: analysis, commentary, final. Each message has one.\nCalls of functions go to the channel commentary."
)


def _turn(heading: str, *texts: str, channel: str | None = None) -> Iterator[str | None]:
    yield from (None, heading)
    if channel is not None:
        yield from (None, channel)
    yield from (None, *texts, None)


def _item(item: Wire, names: Mapping[str, str], form: Form) -> Iterator[str | None]:
    json_form = _as_json(form)
    match item["type"]:
        case "message":
            channel = item.get("phase") or "final"
            yield from _turn(item["role"], *_texts(item["content"]), channel=channel)
        case "function_call" | "custom_tool_call":
            arguments = item["arguments"] if "arguments" in item else item["input"]
            heading = f"assistant to=functions.{item['name']} {item['call_id']}"
            yield from _turn(heading, _arguments(arguments, json_form), channel="commentary")
        case _:
            heading = f"functions.{names.get(item['call_id'], '')} to=assistant {item['call_id']}"
            escape = form in ("escaped", "quoted")
            texts = (json.dumps(text) if escape else text for text in _texts(item["output"]))
            yield from _turn(heading, *texts, channel="commentary")


def _arguments(text: str, form: Form) -> str:
    """Unchanged, or parsed and serialized again if the template uses JSON."""
    if form == "compact":
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=form == "escaped")
    except (ValueError, RecursionError):
        return json.dumps(text)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content:
        yield part["text"] if "text" in part else part["refusal"]
        yield "\n"


def _tools(tools: list[Any], form: Form) -> str:
    if form != "typescript":
        return (
            "# Tools\n\n<tools>\n" + "\n".join(schema({**tool, "strict": True}, form) for tool in tools) + "\n</tools>"
        )
    lines = ["# Tools", "", "## functions", "", "namespace functions {", ""]
    for tool in tools:
        lines += [f"// {line}" for line in (tool.get("description") or "").splitlines()]
        parameters = tool.get("parameters") if tool["type"] == "function" else tool.get("format")
        argument = f"_: {_typescript(parameters, '')}" if parameters is not None else ""
        lines += [f"type {tool['name']} = ({argument}) => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _typescript(value: Any, indent: str) -> str:  # noqa: PLR0911  one case per kind of type
    if not isinstance(value, dict):
        return "any"
    variants = value.get("oneOf") or value.get("anyOf")
    if isinstance(variants, list):
        return "".join(f"\n{indent} | {_typescript(each, indent + '   ')}{_trailing(each)}" for each in variants)
    if isinstance(value.get("enum"), list):
        return " | ".join(json.dumps(each, ensure_ascii=False) for each in value["enum"])
    if isinstance(value.get("$ref"), str):
        return str(value["$ref"])
    match value.get("type"):
        case "object":
            return _typescript_object(value, indent)
        case "array":
            return f"{_typescript(value.get('items'), indent)}[]" if "items" in value else "Array<any>"
        case "integer" | "number":
            return "number"
        case str(named):
            return named
        case list(several):
            return " | ".join(map(str, several))
    return "any"


def _typescript_object(value: Wire, indent: str) -> str:
    lines = _comments(value.get("description"), indent)
    lines.append("{")
    properties = value.get("properties")
    for name, property_ in properties.items() if isinstance(properties, dict) else ():
        inner = property_ if isinstance(property_, dict) else {}
        lines += _comments(inner.get("title"), indent, after=f"{indent}//")
        lines += _comments(inner.get("description"), indent)
        if isinstance(inner.get("examples"), list):
            lines.append(f"{indent}// Examples:")
            lines += [f"{indent}// - {json.dumps(each, ensure_ascii=False)}" for each in inner["examples"]]
        optional = "" if name in (value.get("required") or ()) else "?"
        null = " | null" if inner.get("nullable") is True else ""
        lines.append(f"{indent}{name}{optional}: {_typescript(property_, indent + '    ')}{null},{_trailing(inner)}")
    return "\n".join([*lines, f"{indent}}}"])


def _comments(text: Any, indent: str, after: str | None = None) -> list[str]:
    if not isinstance(text, str):
        return []
    return [f"{indent}// {line}" for line in text.split("\n")] + ([] if after is None else [after])


def _trailing(value: Any) -> str:
    if not isinstance(value, dict) or "default" not in value:
        return ""
    return f" // default: {json.dumps(value['default'], ensure_ascii=False)}"


def _as_json(form: Form) -> Form:
    return "compact" if form == "typescript" else form


_SCHEMAS: Mapping[Form, Callable[[Any], str]] = {
    "typescript": lambda value: _typescript(value, ""),
    "compact": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    "json_lines": lambda value: json.dumps(value, ensure_ascii=False, indent=4),
    "escaped": lambda value: json.dumps(value, indent=2),
    "quoted": lambda value: json.dumps(json.dumps(value)),
}
