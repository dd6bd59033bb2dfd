"""The values of template.yaml that the simulator and the contract tests use."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

Json = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions: `!Ref x` as {"Ref": x}."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@cache
def properties(logical_id: str) -> Json:
    """The properties of one resource of the template."""
    result: Json = _template()["Resources"][logical_id]["Properties"]
    return result


@cache
def _template() -> Json:
    template: Json = yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506 a SafeLoader, of our own file
    return template


def visibility_seconds(queue: str) -> int:
    return int(properties(queue)["VisibilityTimeout"])


def max_receives(queue: str) -> int:
    return int(properties(queue)["RedrivePolicy"]["maxReceiveCount"])


def webhook_filter() -> dict[str, list[str]]:
    """The message attributes that an event must have to reach the webhook queue."""
    policy: dict[str, list[str]] = properties("WebhookSubscription")["FilterPolicy"]
    return policy


def stream_mapping() -> Json:
    """The event source mapping from the table's stream to the notifier."""
    mapping: Json = properties("NotifierFunction")["Events"]["Outcomes"]["Properties"]
    return mapping


def timeout_seconds(function: str) -> int:
    """The timeout of a function (`WorkerFunction`)."""
    own = properties(function).get("Timeout")
    return int(own if own is not None else _template()["Globals"]["Function"]["Timeout"])
