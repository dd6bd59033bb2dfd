"""JSON bodies, errors in OpenAI's shape, and checks of single fields."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


class WireError(Exception):
    """An error response in OpenAI's shape. `status` is the HTTP status, `kind` the error's type."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = dict(headers or {})

    @property
    def body(self) -> Json:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def model_not_found(model: str) -> WireError:
    return WireError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )


def missing_parameter(name: str) -> WireError:
    return WireError(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def invalid_type(name: str, expected: str) -> WireError:
    return WireError(400, f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")


def invalid_value(name: str, allowed: Sequence[str]) -> WireError:
    values = ", ".join(f"'{value}'" for value in allowed)
    return WireError(
        400, f"Invalid value for '{name}'. Supported values are: {values}.", param=name, code="invalid_value"
    )


def parse_object(raw: bytes) -> Json:
    """The body as a JSON object. Raises WireError 400."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise WireError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise WireError(400, "Invalid type for the request body: expected an object.")
    return body


def optional(body: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """The field, or the default if it is absent or null. Raises WireError 400 for a value of another type."""
    value = body.get(name)
    if value is None:
        return default
    matches = isinstance(value, (int, float) if kind is float else kind)
    if not matches or (kind in (int, float) and isinstance(value, bool)):
        raise invalid_type(name, {str: "a string", bool: "a boolean", int: "an integer"}.get(kind, "a number"))
    return value


def one_of(body: Mapping[str, Any], name: str, allowed: Sequence[str] | Mapping[str, str], default: str) -> str:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise invalid_value(name, tuple(allowed))
    return value
