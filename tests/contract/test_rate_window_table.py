"""The port `RateWindowStore`, on every backing."""

from datetime import UTC, datetime, timedelta

import pytest

from afterthought.domain.limits.rate_limit import Limits, WindowUsage
from tests.contract.backing import AwsBacking, Backing

AT = datetime(2026, 11, 2, 12, 0, 30, tzinfo=UTC)
LIMITS = Limits(requests_per_minute=3, tokens_per_minute=100)


def take(backing: Backing, tokens: int, *, tenant: str = "acme", model: str = "o3", at: datetime = AT) -> bool:
    taken, usage = backing.rates.take(tenant, model, at=at, tokens=tokens, limits=LIMITS)
    assert usage == backing.rates.peek(tenant, model, at=at), "the usage is returned"
    return taken


def test_new_window_is_unused(backing: Backing) -> None:
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=0, tokens=0)


def test_usage_adds_up(backing: Backing) -> None:
    assert take(backing, 30)
    assert take(backing, 12)
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=2, tokens=42)


def test_both_limits_can_be_reached(backing: Backing) -> None:
    assert [take(backing, tokens) for tokens in (50, 49, 1)] == [True, True, True]
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=3, tokens=100)


def test_request_beyond_tokens_is_not_counted(backing: Backing) -> None:
    assert take(backing, 60)
    assert not take(backing, 41)
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=1, tokens=60)
    assert take(backing, 40), "a smaller request still fits"


def test_request_beyond_limit_is_not_counted(backing: Backing) -> None:
    assert [take(backing, 1) for _ in range(4)] == [True, True, True, False]
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=3, tokens=3)


def test_request_without_tokens_counts(backing: Backing) -> None:
    assert [take(backing, 0) for _ in range(4)] == [True, True, True, False]


def test_first_request_may_use_a_whole_minute(backing: Backing) -> None:
    assert take(backing, 100)


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "globex"},
        {"model": "o4-mini"},
        {"at": AT + timedelta(seconds=30)},
        {"at": AT - timedelta(seconds=31)},
    ],
    ids=str,
)
def test_windows_are_separate(backing: Backing, other: dict[str, str]) -> None:
    assert take(backing, 100)
    assert take(backing, 100, **other)  # type: ignore[arg-type]
    assert not take(backing, 1)


def test_window_is_a_whole_minute(backing: Backing) -> None:
    assert take(backing, 99, at=AT.replace(second=0))
    assert not take(backing, 2, at=AT.replace(second=59, microsecond=999_000))


def test_lowered_limit_refuses(backing: Backing) -> None:
    assert take(backing, 50)
    lowered = Limits(requests_per_minute=3, tokens_per_minute=40)
    assert backing.rates.take("acme", "o3", at=AT, tokens=1, limits=lowered) == (False, WindowUsage(1, 50))


def test_correction_lowers_usage(backing: Backing) -> None:
    take(backing, 100)
    backing.rates.correct("acme", "o3", at=AT + timedelta(seconds=5), tokens=-90)
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=1, tokens=10)


def test_correction_may_exceed_limit(backing: Backing) -> None:
    take(backing, 10)
    backing.rates.correct("acme", "o3", at=AT, tokens=500)
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage(requests=1, tokens=510)
    assert not take(backing, 1)


def test_unused_window_is_not_corrected(backing: Backing) -> None:
    backing.rates.correct("acme", "o3", at=AT, tokens=-5)
    assert backing.rates.peek("acme", "o3", at=AT) == WindowUsage()


def test_window_expires(moto: AwsBacking) -> None:
    take(moto, 1)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item["pk"]["S"] == "RATE#acme#o3"
    end = AT.replace(second=0).timestamp() + 60
    assert end + 60 <= int(item["expires_at"]["N"]) <= end + 3600
