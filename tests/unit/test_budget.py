"""Budgets: what fits, the refusal of what does not, and when a budget renews."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from afterthought.domain.errors import MoneyRefused
from afterthought.domain.ledger import budget
from afterthought.domain.ledger.budget import Caps, MonthBalance, budgets
from afterthought.domain.ledger.ledger import Balance

TODAY = date(2026, 11, 21)
BALANCE = MonthBalance(
    total=Balance(Decimal("1.5"), Decimal(7)),
    days={TODAY: Balance(Decimal("0.5"), Decimal(1)), date(2026, 11, 20): Balance(Decimal(1), Decimal(6))},
)


def refusal(balance: MonthBalance, caps: Caps, hold_usd: Decimal, on: date) -> MoneyRefused | None:
    full = budget.exceeded(balance, caps, hold_usd, on)
    return budget.refusal(full, hold_usd, 17) if full else None


def test_exact_fit_is_accepted() -> None:
    assert refusal(BALANCE, Caps(Decimal(10), Decimal(3)), Decimal("1.5"), TODAY) is None


@pytest.mark.parametrize(
    ("caps", "periods"),
    [
        (Caps(Decimal(10)), ["month"]),
        (Caps(day_usd=Decimal(3)), ["day"]),
        (Caps(Decimal(10), Decimal(3)), ["month", "day"]),
        (Caps(Decimal(100), Decimal(3)), ["day"]),
    ],
)
def test_refusal_names_every_full_budget(caps: Caps, periods: list[str]) -> None:
    """If only the day were named, the caller would wait a day and then exceed the month."""
    refused = refusal(BALANCE, caps, Decimal("1.500000000001"), TODAY)
    assert refused is not None
    assert (refused.status, refused.code, refused.retryable) == (402, "budget_exceeded", False)
    assert refused.detail is not None
    assert [each["period"] for each in refused.detail["budgets"]] == periods
    assert {each["left_usd"] for each in refused.detail["budgets"]} == {"1.5"}
    assert refused.message.count("$1.5 is left") == len(periods)


def test_refusal_has_all_details() -> None:
    refused = refusal(BALANCE, Caps(day_usd=Decimal(2)), Decimal("0.75"), TODAY)
    assert refused is not None
    assert refused.detail == {
        "bound_usd": "0.75",
        "budgets": [
            {
                "period": "day",
                "name": "2026-11-21",
                "cap_usd": "2",
                "held_usd": "0.5",
                "spent_usd": "1",
                "left_usd": "0.5",
                "renews_at": "2026-11-22T00:00:00Z",
            }
        ],
        "max_output_tokens": 17,
    }
    assert refused.message == (
        "This job can cost up to $0.75. $0.5 is left of the day's budget of $2 (2026-11-21): $1 is spent and $0.5 is "
        "held for jobs that have not ended; what they do not spend is released. It renews at 2026-11-22T00:00:00Z. "
        "With max_output_tokens of 17 or less it fits."
    )


def test_exceeded_budget_has_nothing_left() -> None:
    refused = refusal(BALANCE, Caps(month_usd=Decimal(8)), Decimal(1), TODAY)
    assert refused is not None
    assert "Nothing is left of the month's budget of $8" in refused.message


def test_no_cap_accepts_any_hold() -> None:
    assert refusal(BALANCE, Caps(), Decimal(10**9), TODAY) is None


def test_cap_of_zero_refuses_any_hold() -> None:
    assert refusal(MonthBalance(), Caps(month_usd=Decimal(0)), Decimal("1e-18"), TODAY) is not None


def test_lowered_cap_leaves_negative_amount() -> None:
    month, _ = budgets(BALANCE, Caps(month_usd=Decimal(8)), TODAY)
    assert month.left_usd == Decimal("-0.5")
    assert month.wire()["left_usd"] == "-0.5"


@pytest.mark.parametrize(
    ("on", "month_renews", "day_renews"),
    [
        (date(2026, 12, 31), datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (date(2028, 2, 28), datetime(2028, 3, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_budget_renews_with_next_period(on: date, month_renews: datetime, day_renews: datetime) -> None:
    month, day = budgets(MonthBalance(), Caps(), on)
    assert (month.renews_at, day.renews_at) == (month_renews, day_renews)
