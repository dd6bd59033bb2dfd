"""The OpenAPI document: `openapi.yaml`, completed with schemas, examples and values from the code."""

import tomllib
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any

import yaml

from afterthought.domain.jobs.schedule import CONTENT_RETENTION, MAX_DELIVERIES, RECORD_RETENTION, delivery_seconds
from afterthought.domain.request.body import MAX_BODY_BYTES, MAX_DEPTH
from afterthought.domain.request.options import MAX_DEADLINE_SECONDS
from afterthought.domain.wire.deprecation import NOTICE_PERIOD
from afterthought.domain.wire.usage_report import MAX_DAYS, MAX_ROWS
from afterthought.services.run.await_call import CHECK_SECONDS
from apidocs import examples
from apidocs.components import components, one_line, ref

Wire = dict[str, Any]

_HERE = Path(__file__).parent
_TERMINAL = ("completed", "failed", "incomplete", "cancelled")
_CLIENT = """\
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ["AFTERTHOUGHT_URL"] + "/v1",
    api_key=os.environ["AFTERTHOUGHT_KEY"],
)
"""
_VALUES = {
    "client": _CLIENT,
    "version": tomllib.loads((_HERE.parent / "pyproject.toml").read_text())["project"]["version"],
    "terminal": ", ".join(f"`{status}`" for status in _TERMINAL),
    "max_deadline_hours": MAX_DEADLINE_SECONDS // 3600,
    "content_days": CONTENT_RETENTION // timedelta(days=1),
    "record_days": RECORD_RETENTION // timedelta(days=1),
    "notice_days": NOTICE_PERIOD // timedelta(days=1),
    "max_body_mib": MAX_BODY_BYTES // 2**20,
    "max_depth": MAX_DEPTH,
    "max_days": MAX_DAYS,
    "max_rows": MAX_ROWS,
    "cancel_seconds": f"{CHECK_SECONDS:.0f}",
    "max_deliveries": MAX_DELIVERIES,
    "delivery_hours": round(sum(map(delivery_seconds, range(1, MAX_DELIVERIES))) / 3600),
}


def document() -> Wire:
    api: Wire = _filled(yaml.safe_load((_HERE / "openapi.yaml").read_text(encoding="utf-8")))
    del api["x-shared"]
    for item in api["paths"].values():
        for operation in item.values():
            _complete(operation, api)
    webhook = api.pop("x-webhook")
    api["webhooks"] = {f"response.{status}": {"post": _webhook(webhook, status)} for status in _TERMINAL}
    api["components"]["schemas"] = components()
    return api


def _complete(operation: Wire, api: Wire) -> None:
    """Add examples, error responses and headers to an operation."""
    name = operation["operationId"]
    common = {header: {"$ref": f"#/components/headers/{header}"} for header in api["components"]["headers"]}
    responses = operation["responses"]
    for media_type, content in responses["200"]["content"].items():
        content.update(_examples(examples.ANSWERS.get((name, media_type), {})))
    responses["200"]["headers"] = {"x-request-id": common["x-request-id"], **responses["200"].get("headers", {})}
    if operation.get("security") != []:
        for status, errors in errors_of(name, api).items():
            more = responses.pop(status, {}).get("headers", {})
            responses[status] = {**_error(status, errors), "headers": {**common, **more}}
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"] |= _examples({"request": examples.REQUEST})


def errors_of(operation: str, api: Wire) -> dict[str, list[Wire]]:
    """The errors of an operation that needs a key, by status."""
    by_status: dict[str, list[Wire]] = {}
    for error in api["x-errors"]["codes"]:
        if operation in error.get("operations", [operation]):
            by_status.setdefault(str(error["status"]), []).append(error)
    return by_status


def _error(status: str, errors: list[Wire]) -> Wire:
    codes = ", ".join(f"`{error['code']}`" for error in errors)
    description = f"One of {codes}." if len(errors) > 1 else f"{codes}: {errors[0]['description']}"
    values = examples.ERRORS.get(int(status), {})
    shown = {error["code"]: values[error["code"]] for error in errors if error["code"] in values}
    return {"description": description, "content": {"application/json": {"schema": ref("Error"), **_examples(shown)}}}


def _examples(values: Wire) -> Wire:
    return {"examples": {name: {"value": value} for name, value in values.items()}} if values else {}


def _webhook(webhook: Wire, status: str) -> Wire:
    event = {**examples.EVENT, "type": f"response.{status}"}
    body = {"schema": ref("Event"), **_examples({status: event})}
    return {
        "operationId": f"on_response_{status}",
        "summary": f"The response is {status}",
        **webhook,
        "requestBody": {"required": True, "content": {"application/json": body}},
    }


def _filled(value: Any, key: str = "") -> Any:
    """With the values in ${braces}, and with each paragraph of the descriptions in one line."""
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, name) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    text = Template(value).safe_substitute(_VALUES)
    return one_line(text) if key == "description" else text
