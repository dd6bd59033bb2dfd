"""The efforts in their order, and which of them one model takes for another's."""

from collections.abc import Sequence
from typing import get_args

from afterthought.domain.models.model import Effort, Model

ORDER: tuple[Effort, ...] = get_args(Effort)
"""From thinking not at all to thinking most."""


def nearest(asked: Effort, taken: Sequence[Effort]) -> Effort | None:
    """The effort as it was asked for, where it is taken; else the nearest that is, of two equally near the higher: an
    answer thought through too long is better than one too short. None where no effort is taken at all."""
    place = ORDER.index(asked)
    return min(taken, key=lambda effort: (abs(ORDER.index(effort) - place), -ORDER.index(effort)), default=None)


def next_lower(effort: str | None, taken: Sequence[Effort]) -> Effort | None:
    """The highest of the efforts taken that is below this one; None where there is none."""
    if effort not in ORDER:
        return None
    below = [each for each in taken if ORDER.index(each) < ORDER.index(effort)]
    return max(below, key=ORDER.index, default=None)


def in_place_of(asked: Effort | None, requested: Model, called: Model) -> Effort | None:
    """The effort with which `called` does what was asked of `requested`. None where it takes none at all, or where
    nobody can say what `requested` would have done: then its own default is meant.

    An effort that neither of the two takes stays as it is, for the checks to refuse.
    """
    if asked is not None and asked not in requested.efforts:
        return asked
    # Who chose a model that does not reason wanted an answer at once, and its cap leaves no room for thought.
    meant = asked or requested.default_effort or (None if requested.reasoning else "none")
    return called.default_effort if meant is None else nearest(meant, called.efforts)
