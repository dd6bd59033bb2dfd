"""The order of the reasoning efforts, and how one model's effort maps to another's."""

from collections.abc import Sequence
from typing import get_args

from afterthought.domain.models.model import Effort, Model

EFFORT_ORDER: tuple[Effort, ...] = get_args(Effort)
"""From the lowest to the highest."""


def nearest_effort(effort: Effort, supported: Sequence[Effort]) -> Effort | None:
    """The supported effort that is nearest to `effort`, or None if `supported` is empty.

    Of two equally near efforts the higher one is taken: too much reasoning is better than too little.
    """
    rank = EFFORT_ORDER.index(effort)

    def distance(other: Effort) -> tuple[int, int]:
        return abs(EFFORT_ORDER.index(other) - rank), -EFFORT_ORDER.index(other)

    return min(supported, key=distance, default=None)


def next_lower_effort(effort: str | None, supported: Sequence[Effort]) -> Effort | None:
    """The highest supported effort below `effort`, or None if there is none."""
    if effort not in EFFORT_ORDER:
        return None
    lower = [other for other in supported if EFFORT_ORDER.index(other) < EFFORT_ORDER.index(effort)]
    return max(lower, key=EFFORT_ORDER.index, default=None)


def successor_effort(effort: Effort | None, requested: Model, successor: Model) -> Effort | None:
    """The effort for `successor` that comes nearest to `effort` on the `requested` model.

    None if the successor takes no effort. An effort that the requested model does not support is returned unchanged,
    so that the later check refuses it.
    """
    if effort is not None and effort not in requested.efforts:
        return effort
    # A model without reasoning answers at once, and its max_output_tokens leaves no room for reasoning.
    requested_effort = effort or requested.default_effort or (None if requested.reasoning else "none")
    return successor.default_effort if requested_effort is None else nearest_effort(requested_effort, successor.efforts)
