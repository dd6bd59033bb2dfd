"""The order of efforts and the effort for a successor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.models.effort import EFFORT_ORDER, nearest_effort, next_lower_effort, successor_effort
from afterthought.domain.models.model import Effort, Model

MODELS = list(default_catalogue().models.values())
efforts = st.sampled_from(EFFORT_ORDER)
effort_lists = st.lists(efforts, unique=True)


def model(name: str) -> Model:
    result = default_catalogue().find(name)
    assert result is not None
    return result


def test_efforts_are_ordered() -> None:
    assert EFFORT_ORDER == ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(
    ("effort", "supported", "expected"),
    [
        ("high", ("low", "medium", "high"), "high"),
        ("minimal", ("none", "low", "medium"), "low"),
        ("minimal", ("none", "medium"), "none"),
        ("max", ("low", "medium", "high"), "high"),
        ("none", ("low", "medium", "high"), "low"),
        ("medium", ("low", "high"), "high"),
        ("medium", ("high", "low"), "high"),
        ("medium", ("none", "max"), "max"),
        ("low", ("high",), "high"),
        ("low", (), None),
    ],
)
def test_nearest_effort(effort: Effort, supported: tuple[Effort, ...], expected: Effort | None) -> None:
    assert nearest_effort(effort, supported) == expected


@given(efforts, effort_lists)
def test_effort_is_the_nearest_supported(effort: Effort, supported: list[Effort]) -> None:
    def distance(other: Effort) -> int:
        return abs(EFFORT_ORDER.index(other) - EFFORT_ORDER.index(effort))

    result = nearest_effort(effort, supported)
    assert (result is None) == (not supported)
    if result is not None:
        assert result in supported
        assert distance(result) == min(map(distance, supported))
        assert (result == effort) == (effort in supported)


@pytest.mark.parametrize(
    ("effort", "supported", "expected"),
    [
        ("high", ("low", "medium", "high"), "medium"),
        ("high", ("none", "high"), "none"),
        ("low", ("low", "medium"), None),
        ("max", ("high", "low"), "high"),
        (None, ("low",), None),
        ("unknown", ("low",), None),
    ],
)
def test_next_lower_effort(effort: str | None, supported: tuple[Effort, ...], expected: Effort | None) -> None:
    assert next_lower_effort(effort, supported) == expected


@given(efforts, effort_lists)
def test_no_supported_effort_is_between(effort: Effort, supported: list[Effort]) -> None:
    """Between an effort and the next lower one."""
    result = next_lower_effort(effort, supported)
    lower = [other for other in supported if EFFORT_ORDER.index(other) < EFFORT_ORDER.index(effort)]
    assert (result is None) == (not lower)
    assert result is None or EFFORT_ORDER.index(result) == max(map(EFFORT_ORDER.index, lower))


@pytest.mark.parametrize(
    ("effort", "requested", "successor", "expected"),
    [
        ("high", "o3", "gpt-5.6-sol", "high"),
        ("minimal", "gpt-5-mini", "gpt-5.6-terra", "low"),
        # No effort: the default of the requested model applies, not that of its successor.
        (None, "gpt-5-pro", "gpt-5.6-sol", "high"),
        (None, "gpt-5.1", "gpt-6-astra", "low"),
        # The requested model has no reasoning, or reasoning without efforts.
        (None, "gpt-4o", "gpt-6-luna", "none"),
        (None, "gpt-4o", "gpt-6-astra", "low"),
        (None, "o1-mini", "o3-mini", "medium"),
        # An effort that the requested model does not support is returned unchanged.
        ("xhigh", "o3", "gpt-5", "xhigh"),
        ("max", "o3", "gpt-5.6-sol", "max"),
        ("high", "o3", "gpt-4o", None),
    ],
)
def test_successor_effort(effort: Effort | None, requested: str, successor: str, expected: Effort | None) -> None:
    assert successor_effort(effort, model(requested), model(successor)) == expected


@pytest.mark.parametrize("requested", MODELS, ids=lambda model: model.id)
def test_successor_effort_is_supported(requested: Model) -> None:
    for successor in MODELS:
        for effort in (None, *requested.efforts):
            result = successor_effort(effort, requested, successor)
            assert result in successor.efforts or (result is None and not successor.efforts)
