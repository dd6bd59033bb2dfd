"""Budgets: what fits, what is said when it does not, and when it renews."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from afterthought.domain import budget
from afterthought.domain.books import Standing
from afterthought.domain.budget import Caps, MonthBook, budgets
from afterthought.domain.errors import MoneyRefused

TODAY = date(2026, 11, 21)
BOOK = MonthBook(
    total=Standing(Decimal("1.5"), Decimal(7)),
    days={TODAY: Standing(Decimal("0.5"), Decimal(1)), date(2026, 11, 20): Standing(Decimal(1), Decimal(6))},
)


def refusal(book: MonthBook, caps: Caps, hold_usd: Decimal, on: date) -> MoneyRefused | None:
    over = budget.tightest_over(book, caps, hold_usd, on)
    return None if over is None else budget.refusal(over, hold_usd, 17)


def test_what_fits_to_the_last_digit_is_not_refused() -> None:
    assert refusal(BOOK, Caps(Decimal(10), Decimal(3)), Decimal("1.5"), TODAY) is None


@pytest.mark.parametrize(
    ("caps", "period"),
    [(Caps(Decimal(10)), "month"), (Caps(day_usd=Decimal(3)), "day"), (Caps(Decimal(10), Decimal(3)), "month")],
)
def test_what_does_not_fit_is_refused_by_the_budget_in_its_way(caps: Caps, period: str) -> None:
    refused = refusal(BOOK, caps, Decimal("1.500000000001"), TODAY)
    assert refused is not None
    assert (refused.status, refused.code, refused.retryable) == (402, "budget_exceeded", False)
    assert refused.detail is not None
    assert refused.detail["budget"]["period"] == period
    assert refused.detail["budget"]["left_usd"] == "1.5"
    assert "$1.5 is left" in refused.message


@pytest.mark.parametrize("caps", [Caps(Decimal(9), Decimal(2)), Caps(Decimal("8.6"), Decimal(3))])
def test_of_two_budgets_in_its_way_the_tighter_one_is_named(caps: Caps) -> None:
    """What fits the one that is named must fit the other too."""
    refused = refusal(BOOK, caps, Decimal(5), TODAY)
    assert refused is not None
    assert refused.detail is not None
    named = Decimal(refused.detail["budget"]["left_usd"])
    assert all(named <= each.left_usd for each in budgets(BOOK, caps, TODAY) if each.left_usd is not None)


def test_a_refusal_says_all_there_is_to_know() -> None:
    refused = refusal(BOOK, Caps(day_usd=Decimal(2)), Decimal("0.75"), TODAY)
    assert refused is not None
    assert refused.detail == {
        "bound_usd": "0.75",
        "budget": {
            "period": "day",
            "name": "2026-11-21",
            "cap_usd": "2",
            "held_usd": "0.5",
            "spent_usd": "1",
            "left_usd": "0.5",
            "renews_at": "2026-11-22T00:00:00Z",
        },
        "max_output_tokens": 17,
    }
    assert refused.message.endswith("It renews at 2026-11-22T00:00:00Z. With max_output_tokens of 17 or less it fits.")


def test_no_cap_refuses_nothing() -> None:
    assert refusal(BOOK, Caps(), Decimal(10**9), TODAY) is None


def test_a_cap_of_nothing_lets_nothing_through() -> None:
    assert refusal(MonthBook(), Caps(month_usd=Decimal(0)), Decimal("1e-18"), TODAY) is not None


def test_a_cap_below_what_is_used_leaves_less_than_nothing() -> None:
    month, _ = budgets(BOOK, Caps(month_usd=Decimal(8)), TODAY)
    assert month.left_usd == Decimal("-0.5")
    assert month.wire()["left_usd"] == "-0.5"


@pytest.mark.parametrize(
    ("on", "month_renews", "day_renews"),
    [
        (date(2026, 12, 31), datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (date(2028, 2, 28), datetime(2028, 3, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_budget_renews_at_the_beginning_of_its_next_period(
    on: date, month_renews: datetime, day_renews: datetime
) -> None:
    month, day = budgets(MonthBook(), Caps(), on)
    assert (month.renews_at, day.renews_at) == (month_renews, day_renews)
