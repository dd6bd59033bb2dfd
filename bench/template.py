"""What the bench reads from template.yaml."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from local.stack import Template, read_template


@cache
def template() -> Template:
    """The parsed file. Callers must not change it."""
    return read_template()


def properties(logical_id: str) -> Mapping[str, Any]:
    resource: Mapping[str, Any] = template()["Resources"][logical_id]["Properties"]
    return resource


def event_source(function: str, event: str) -> Mapping[str, Any]:
    """The properties of a function's event source mapping."""
    source: Mapping[str, Any] = properties(function)["Events"][event]["Properties"]
    return source


def memory_mb() -> dict[str, int]:
    """Memory size by function."""
    default = template()["Globals"]["Function"]["MemorySize"]
    return {
        resource["Properties"]["CodeUri"].rpartition("/")[2]: int(resource["Properties"].get("MemorySize", default))
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
