"""Which effort one model takes for another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.models.effort import ORDER, in_place_of, nearest, next_lower
from afterthought.domain.models.model import Effort, Model

MODELS = list(default_catalogue().models.values())
efforts = st.sampled_from(ORDER)
some_efforts = st.lists(efforts, unique=True)


def model(name: str) -> Model:
    found = default_catalogue().find(name)
    assert found is not None
    return found


def test_the_order_rises() -> None:
    assert ORDER == ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(
    ("asked", "taken", "expected"),
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
def test_the_nearest_effort_is_taken_and_of_two_the_higher(
    asked: Effort, taken: tuple[Effort, ...], expected: Effort | None
) -> None:
    assert nearest(asked, taken) == expected


@given(efforts, some_efforts)
def test_no_effort_that_is_taken_is_nearer(asked: Effort, taken: list[Effort]) -> None:
    def distance(effort: Effort) -> int:
        return abs(ORDER.index(effort) - ORDER.index(asked))

    found = nearest(asked, taken)
    assert (found is None) == (not taken)
    if found is not None:
        assert found in taken
        assert distance(found) == min(map(distance, taken))
        assert (found == asked) == (asked in taken)


@pytest.mark.parametrize(
    ("effort", "taken", "expected"),
    [
        ("high", ("low", "medium", "high"), "medium"),
        ("high", ("none", "high"), "none"),
        ("low", ("low", "medium"), None),
        ("max", ("high", "low"), "high"),
        (None, ("low",), None),
        ("of another kind", ("low",), None),
    ],
)
def test_the_next_lower_effort_is_the_highest_below(
    effort: str | None, taken: tuple[Effort, ...], expected: Effort | None
) -> None:
    assert next_lower(effort, taken) == expected


@given(efforts, some_efforts)
def test_nothing_that_is_taken_lies_between_an_effort_and_the_next_lower(effort: Effort, taken: list[Effort]) -> None:
    found = next_lower(effort, taken)
    below = [each for each in taken if ORDER.index(each) < ORDER.index(effort)]
    assert (found is None) == (not below)
    assert found is None or ORDER.index(found) == max(map(ORDER.index, below))


@pytest.mark.parametrize(
    ("asked", "requested", "called", "expected"),
    [
        ("high", "o3", "gpt-5.6-sol", "high"),
        ("minimal", "gpt-5-mini", "gpt-5.6-terra", "low"),
        # Nobody said: what the model that was named would have done, not what its successor would.
        (None, "gpt-5-pro", "gpt-5.6-sol", "high"),
        (None, "gpt-5.1", "gpt-6-astra", "low"),
        # One that does not reason, and one of which nobody can say how much it did.
        (None, "gpt-4o", "gpt-6-luna", "none"),
        (None, "gpt-4o", "gpt-6-astra", "low"),
        (None, "o1-mini", "o3-mini", "medium"),
        # Neither what the one nor what the other takes is guessed at.
        ("xhigh", "o3", "gpt-5", "xhigh"),
        ("max", "o3", "gpt-5.6-sol", "max"),
        ("high", "o3", "gpt-4o", None),
    ],
)
def test_a_successor_thinks_as_hard_as_the_model_that_was_asked_for(
    asked: Effort | None, requested: str, called: str, expected: Effort | None
) -> None:
    assert in_place_of(asked, model(requested), model(called)) == expected


@pytest.mark.parametrize("requested", MODELS, ids=lambda each: each.id)
def test_whatever_a_model_takes_any_other_finds_an_effort_of_its_own_for(requested: Model) -> None:
    for called in MODELS:
        for asked in (None, *requested.efforts):
            found = in_place_of(asked, requested, called)
            assert found in called.efforts or (found is None and not called.efforts)
