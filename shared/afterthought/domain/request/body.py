"""Parses the body of a request into a `CreateResponse`, or raises one error that names the field.

The time of each step is proportional to the size of the body.
"""

import hashlib
import json
import math
from typing import Any, NoReturn

from pydantic import ValidationError

from afterthought.domain.errors import BodyTooLarge, InvalidRequest
from afterthought.domain.request.items import ITEM_TYPES
from afterthought.domain.request.request import TOOL_TYPES, UNSUPPORTED_PARAMETERS, CreateResponse

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_MEMBERS = 10_000
"""Of one object. pydantic creates an error for each unknown member, so a large object could take gigabytes of memory.
(Lists stop at their first error.)"""
_MAX_QUOTED_CHARACTERS = 80


def parse(body: bytes) -> CreateResponse:
    """Raises BodyTooLarge or InvalidRequest."""
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed.")
    data = _load_json(body)
    _check_values(data)
    for name, reason in UNSUPPORTED_PARAMETERS.items():
        if data.get(name) is not None:
            raise InvalidRequest(f"{name} is not supported: {reason}", param=name, code="unsupported_parameter")
        data.pop(name, None)
    try:
        return CreateResponse.model_validate(data)
    except ValidationError as error:
        raise _invalid_request(error) from None


def canonical(request: CreateResponse) -> bytes:
    """The form of a request that is hashed and stored. It does not depend on white space or the order of parameters.

    The order inside a JSON schema is kept, because models answer in that order: it is part of the request.
    """
    data = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "metadata" in data:
        data["metadata"] = dict(sorted(data["metadata"].items()))
    options = {name: value for name, value in data.pop("afterthought", {}).items() if value != []}
    if options:
        data["afterthought"] = options
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def body_hash(canonical_body: bytes) -> str:
    """SHA-256 in hex. Requests with the same Idempotency-Key must have the same hash."""
    return hashlib.sha256(canonical_body).hexdigest()


def _load_json(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 (byte {error.start}).", code="invalid_json") from None
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        # JSONDecodeError.msg contains no part of the body. A number with thousands of digits raises a bare ValueError.
        where = f": {error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"The body is not valid JSON{where}.", code="invalid_json") from None
    if not isinstance(data, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _too_deep() -> InvalidRequest:
    return InvalidRequest(
        f"The body is nested too deeply; at most {MAX_DEPTH} levels are allowed.", code="invalid_json"
    )


def _check_values(data: dict[str, Any]) -> None:
    """Refuses what later steps cannot process: deep nesting, NUL, unpaired surrogates, infinite numbers.

    Uses a stack instead of recursion. Runs first, so that no later error message can contain such text.
    """
    # Paths are clipped at each step: otherwise a long key above a long list is copied for each item.
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
        raise InvalidRequest(f"{where} contains a NUL character, which is not allowed.", param=path or None)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"{where} contains an unpaired surrogate, which is not allowed.", param=path or None
            ) from None


def _invalid_request(error: ValidationError) -> InvalidRequest:
    """The first validation error in words."""
    first = error.errors(include_url=False)[0]
    loc, kind, value = first["loc"], first["type"], first["input"]
    param = _path(loc)
    if kind in ("missing", "extra_forbidden") and isinstance(value, dict) and "file_id" in value:
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
                f"'{param}' is {_describe(value)}; supported item types: {allowed}.", param=param, code="invalid_value"
            )
        case "union_tag_invalid" | "union_tag_not_found":
            allowed = ", ".join(TOOL_TYPES) if loc[0] == "tools" else first.get("ctx", {}).get("expected_tags", "")
            supported = f"; supported types: {allowed}" if allowed else ""
            return InvalidRequest(f"'{param}' is {_describe(value)}{supported}.", param=param, code="invalid_value")
        case "literal_error" if param in _FIXED:
            fixed, reason = _FIXED[param]
            return InvalidRequest(
                f"'{param}' must be {fixed} or absent: {reason}.", param=param, code="unsupported_value"
            )
    if param.partition(".")[0] == "tool_choice":
        return InvalidRequest(
            'tool_choice must be "none", "auto", "required" or {"type": "function" or "custom", "name": …}.',
            param="tool_choice",
        )
    message = _size_message(kind, first.get("ctx", {})) or first["msg"][:1].lower() + first["msg"][1:]
    code = "invalid_type" if kind.endswith("_type") or kind == "form" else "invalid_value"
    return InvalidRequest(f"Invalid '{param}': {message}.", param=param, code=code)


_FIXED = {
    "store": ("true", "every response is stored"),
    "stream": ("false", "every response runs in the background"),
}


def _size_message(kind: str, context: dict[str, Any]) -> str | None:
    """The message for a list or object of the wrong size: pydantic's own names Python types."""
    if kind == "too_long":
        return f"at most {context['max_length']} are allowed, not {context['actual_length']}"
    return f"at least {context['min_length']} is needed" if kind == "too_short" else None


def _path(loc: tuple[int | str, ...]) -> str:
    """The path of a field in the caller's body, without the names of union branches."""
    path = ""
    for index, part in enumerate(loc):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part == "[key]":
            continue
        elif index == 0 or (part not in _UNION_NAMES and not part.startswith("<")) or part == loc[index - 1]:
            path += f".{part}" if path else part
    return _clip(path)


# pydantic adds the name of the union branch to the path, after the index or the field that has the union type.
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


def _describe(value: Any) -> str:
    if not isinstance(value, dict):
        return "not an object"
    kind = value.get("type")
    return f"of type '{_clip(kind)}'" if isinstance(kind, str) else "an object without a type"


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED_CHARACTERS else text[:_MAX_QUOTED_CHARACTERS] + "…"
