"""The API in words: an OpenAPI document made from the request's own models, and a page that shows it."""

from typing import Any


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0)."""
    return {"openapi": "3.1.0", "info": {"title": "Afterthought", "version": "0.1.0"}, "paths": {}}


def docs_page() -> str:
    """The page at /docs."""
    return "<!doctype html><title>Afterthought</title>"
