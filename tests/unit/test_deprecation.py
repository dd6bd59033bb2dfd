"""The headers that announce a model's retirement."""

from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.wire.deprecation import NOTICE_PERIOD, deprecation_headers
from afterthought.services.query.models import ModelReader

SHUTDOWN = date(2026, 12, 11)


def models(providers: tuple[str, ...], today: date, catalogue: Catalogue | None = None) -> ModelReader:
    return ModelReader(
        catalogue or default_catalogue(), providers, lambda: datetime(*today.timetuple()[:3], 12, tzinfo=UTC)
    )


def test_headers_follow_the_rfcs() -> None:
    """Calculated by hand: 2026-11-11 is 1,794,355,200 in Unix seconds, and 2026-12-11 is a Friday."""
    assert deprecation_headers(SHUTDOWN, today=SHUTDOWN, successor="gpt-5.6-sol") == {
        "deprecation": "@1794355200",
        "sunset": "Fri, 11 Dec 2026 00:00:00 GMT",
        "link": '</v1/models/gpt-5.6-sol>; rel="successor-version"',
    }


@pytest.mark.parametrize(
    ("days", "present"), [(-400, True), (-1, True), (0, True), (30, True), (31, False), (400, False)]
)
def test_headers_start_30_days_before(days: int, present: bool) -> None:
    headers = deprecation_headers(SHUTDOWN, today=SHUTDOWN - timedelta(days=days), successor=None)
    assert set(headers) == ({"deprecation", "sunset"} if present else set())


def test_no_headers_without_shutdown() -> None:
    assert deprecation_headers(None, today=SHUTDOWN, successor="o3") == {}


def test_link_is_escaped() -> None:
    name = 'a/b>; rel="x", \r\nb ü'
    link = deprecation_headers(SHUTDOWN, today=SHUTDOWN, successor=name)["link"]
    assert link == '</v1/models/a%2Fb%3E%3B%20rel%3D%22x%22%2C%20%0D%0Ab%20%C3%BC>; rel="successor-version"'
    assert link.isascii()


@given(st.dates(min_value=date(1971, 1, 1), max_value=date(9998, 1, 1)), st.integers(min_value=-40, max_value=40))
def test_notice_is_30_days_before_shutdown(shutdown: date, days: int) -> None:
    headers = deprecation_headers(shutdown, today=shutdown + timedelta(days=days), successor=None)
    if not headers:
        assert days < -NOTICE_PERIOD.days
        return
    sunset = parsedate_to_datetime(headers["sunset"])
    assert (sunset.date(), sunset.utcoffset(), sunset.hour) == (shutdown, timedelta(0), 0)
    assert int(headers["deprecation"].removeprefix("@")) == int((sunset - NOTICE_PERIOD).timestamp())


def test_model_has_sunset_and_link() -> None:
    headers = models(("openai",), SHUTDOWN - timedelta(days=29)).deprecation_headers("o3")
    assert headers["sunset"] == "Fri, 11 Dec 2026 00:00:00 GMT"
    assert headers["link"] == '</v1/models/gpt-5.6-sol>; rel="successor-version"'
    # A snapshot has the same headers.
    assert models(("openai",), SHUTDOWN).deprecation_headers("o3-2025-04-16") == headers


def test_link_is_a_served_successor() -> None:
    """The successor of o1-mini is o3-mini, which is retired too."""
    headers = models(("openai",), SHUTDOWN).deprecation_headers("o1-mini")
    assert headers["sunset"] == "Mon, 27 Oct 2025 00:00:00 GMT"
    assert "gpt-5.6-sol" in headers["link"]


def test_no_headers_while_one_provider_continues() -> None:
    assert models(("openai", "standin"), SHUTDOWN).deprecation_headers("o3") == {}


@pytest.mark.parametrize("name", ["gpt-6-sol", "no-such-model"])
def test_no_headers_for_current_model(name: str) -> None:
    assert models(("openai",), SHUTDOWN).deprecation_headers(name) == {}


def test_no_link_without_successor() -> None:
    shipped = default_catalogue()
    o3 = shipped.models["o3"].model_copy(update={"successor": None})
    catalogue = Catalogue(models={**shipped.models, "o3": o3}, providers=shipped.providers, tiers=shipped.tiers)
    assert set(models(("openai",), SHUTDOWN, catalogue).deprecation_headers("o3")) == {"deprecation", "sunset"}
