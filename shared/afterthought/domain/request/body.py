"""From the bytes of a request to a checked `CreateResponse`, or to one error that names the field.

Every step's time is proportional to the body's size, whatever the body holds.
"""

import hashlib
import json
import math
from typing import Any, NoReturn

from pydantic import ValidationError

from afterthought.domain.errors import BodyTooLarge, InvalidRequest
from afterthought.domain.request.request import ITEM_TYPES, REFUSED_FOR_NOW, TOOL_TYPES, CreateResponse

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_MEMBERS = 10_000
"""Of one object. Each unknown member of an object is an error of its own to pydantic, and a body could hold a million:
gigabytes of errors, of which one is shown. (In lists it stops at the first.)"""
_SHOWN = 80


def read(body: bytes) -> CreateResponse:
    """The request in `body`. Raises BodyTooLarge or InvalidRequest."""
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed.")
    data = _parse(body)
    _walk(data)
    for name, reason in REFUSED_FOR_NOW.items():
        if data.get(name) is not None:
            raise InvalidRequest(
                f"{name} is not supported: {reason}",
                param=name,
                code="unsupported_parameter",
            )
        data.pop(name, None)
    try:
        request = CreateResponse.model_validate(data)
    except ValidationError as error:
        raise _explain(error) from None
    return request


def canonical(request: CreateResponse) -> bytes:
    """The request in one form, whatever the order of its parameters and its white space: what is hashed and stored.

    Inside a schema the caller's order stays, since models answer in it: a schema that asks for the steps before the
    result is another request than one that asks for them after.
    """
    data = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "metadata" in data:
        data["metadata"] = dict(sorted(data["metadata"].items()))
    ours = {name: held for name, held in data.pop("afterthought", {}).items() if held != []}
    if ours:
        data["afterthought"] = ours
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def body_hash(canonical_body: bytes) -> str:
    """SHA-256 in hex: it tells a repeat of an Idempotency-Key from a conflict."""
    return hashlib.sha256(canonical_body).hexdigest()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 (byte {error.start}).", code="invalid_json") from None
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        # JSONDecodeError's `msg` tells what and where without a piece of the body; a number of thousands of digits
        # raises a bare ValueError.
        where = f": {error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"The body is not valid JSON{where}.", code="invalid_json") from None
    if not isinstance(data, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body is nested too deep; at most {MAX_DEPTH} levels are allowed.", code="invalid_json")


def _walk(data: dict[str, Any]) -> None:
    """What no later step could carry: too deep, a NUL, half a surrogate pair, a number that is no number. With a stack
    of its own, so that depth costs no recursion; and before anything else, so that no message can hold any of it."""
    # A path is clipped at each step: a long key above a long list would otherwise be copied for every item of it.
    stack: list[tuple[Any, str, int]] = [(data, "", 0)]
    while stack:
        value, path, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, str):
            _check_text(value, path)
        elif isinstance(value, dict):
            if len(value) > MAX_MEMBERS:
                raise InvalidRequest(
                    f"{path or 'The body'} has {len(value)} members; at most {MAX_MEMBERS} are allowed.",
                    param=path or None,
                )
            for key, inner in value.items():
                _check_text(key, path)
                stack.append((inner, _clip(f"{path}.{key}" if path else key), depth + 1))
        elif isinstance(value, list):
            stack.extend((inner, _clip(f"{path}[{index}]"), depth + 1) for index, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"{path} is out of range.", param=path)


def _check_text(text: str, path: str) -> None:
    where = path or "The body"
    if "\0" in text:
        raise InvalidRequest(f"{where} holds a NUL character, which is not allowed.", param=path or None)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"{where} holds half a surrogate pair, which is not a character.", param=path or None
            ) from None


def _explain(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False)[0]
    loc, kind, given = first["loc"], first["type"], first["input"]
    param = _path(loc)
    if kind in ("missing", "extra_forbidden") and isinstance(given, dict) and "file_id" in given:
        param = f"{_path(loc[:-1])}.file_id"
    if param.endswith(".file_id"):
        return InvalidRequest(
            f"{param} is not supported: it names an object at the model provider. Send the data or a URL instead.",
            param=param,
            code="unsupported_parameter",
        )
    match kind:
        case "extra_forbidden":
            return InvalidRequest(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
        case "missing":
            return InvalidRequest(
                f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            )
        case "item_type":
            allowed = ", ".join(ITEM_TYPES)
            return InvalidRequest(
                f"'{param}' is {_named(given)}; supported item types: {allowed}.", param=param, code="invalid_value"
            )
        case "union_tag_invalid" | "union_tag_not_found":
            allowed = ", ".join(TOOL_TYPES) if loc[0] == "tools" else first.get("ctx", {}).get("expected_tags", "")
            listed = f"; supported types: {allowed}" if allowed else ""
            return InvalidRequest(f"'{param}' is {_named(given)}{listed}.", param=param, code="invalid_value")
        case "literal_error" if param in _FIXED:
            value, reason = _FIXED[param]
            return InvalidRequest(
                f"'{param}' must be {value} or absent: {reason}.", param=param, code="unsupported_value"
            )
    if param.partition(".")[0] == "tool_choice":
        return InvalidRequest(
            'tool_choice must be "none", "auto", "required" or {"type": "function" or "custom", "name": …}.',
            param="tool_choice",
        )
    message = _size(kind, first.get("ctx", {})) or first["msg"][:1].lower() + first["msg"][1:]
    code = "invalid_type" if kind.endswith("_type") or kind == "form" else "invalid_value"
    return InvalidRequest(f"Invalid '{param}': {message}.", param=param, code=code)


_FIXED = {
    "store": ("true", "a response that runs in the background is kept until it is fetched"),
    "stream": ("false", "every response runs in the background"),
}


def _size(kind: str, context: dict[str, Any]) -> str | None:
    """What a list or an object of the wrong size should be told: pydantic speaks of Python's types."""
    if kind == "too_long":
        return f"at most {context['max_length']} are allowed, {context['actual_length']} were given"
    return f"at least {context['min_length']} is needed" if kind == "too_short" else None


def _path(loc: tuple[int | str, ...]) -> str:
    """The field's path as the caller wrote it: the names that only our unions have are left out."""
    path = ""
    for index, part in enumerate(loc):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part == "[key]":
            continue
        elif index == 0 or (part not in _UNION_NAMES and not part.startswith("<")) or part == loc[index - 1]:
            path += f".{part}" if path else part
    return _clip(path)


# Pydantic puts the name of a union's branch into the path, just below an index or the field that holds the union.
_UNION_NAMES = frozenset(
    {
        "input_text",
        "output_text",
        "refusal",
        "input_image",
        "input_file",
        "function",
        "custom",
        "json_object",
        "json_schema",
        "NamedTool",
        "literal['none','auto','required']",
    }
)


def _named(given: Any) -> str:
    if not isinstance(given, dict):
        return "not an object"
    kind = given.get("type")
    return f"of type '{_clip(kind)}'" if isinstance(kind, str) else "an object without a type"


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
