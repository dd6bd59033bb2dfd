"""Lambda's event filter patterns, as far as the template uses them: nested names with lists of exact values."""

import json
from collections.abc import Mapping
from typing import Any

from tests.simulator.stack import stream_mapping


def matches(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether the record has one of the listed values under every name of the pattern. Raises AssertionError for any
    other kind of rule, so that a template that starts to use one is noticed."""
    for name, expected in pattern.items():
        if isinstance(expected, Mapping):
            inner = record.get(name)
            if not isinstance(inner, Mapping) or not matches(expected, inner):
                return False
        else:
            assert isinstance(expected, list)
            assert all(isinstance(value, str) for value in expected), f"unsupported rule: {expected}"
            if record.get(name) not in expected:
                return False
    return True


def passes_stream_filter(record: Mapping[str, Any]) -> bool:
    """Whether Lambda calls the notifier for the record of the table's stream."""
    filters = stream_mapping()["FilterCriteria"]["Filters"]
    return any(matches(json.loads(each["Pattern"]), record) for each in filters)
