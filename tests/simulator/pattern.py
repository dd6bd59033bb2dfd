"""Lambda's event filter patterns, as far as the template uses them: nested names, with the exact values allowed."""

import json
from collections.abc import Mapping
from typing import Any

from tests.simulator.stack import stream_mapping


def matches(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record passes: under every name of the pattern there is one of the values it lists. Rules other than
    exact values are refused, so that a template that begins to use them cannot pass unnoticed."""
    for name, wanted in pattern.items():
        if isinstance(wanted, Mapping):
            inner = record.get(name)
            if not isinstance(inner, Mapping) or not matches(wanted, inner):
                return False
        else:
            assert isinstance(wanted, list)
            assert all(isinstance(value, str) for value in wanted), f"a rule that is not read here: {wanted}"
            if record.get(name) not in wanted:
                return False
    return True


def passes_stream_filter(record: Mapping[str, Any]) -> bool:
    """Whether the notifier is called for a record of the table's stream."""
    filters = stream_mapping()["FilterCriteria"]["Filters"]
    return any(matches(json.loads(each["Pattern"]), record) for each in filters)
