"""What a caller is told of a model that is about to go."""

from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.wire.deprecation import NOTICE, headers
from afterthought.services.query.models import Models

END = date(2026, 12, 11)


def models(providers: tuple[str, ...], today: date, catalogue: Catalogue | None = None) -> Models:
    return Models(catalogue or default_catalogue(), providers, lambda: datetime(*today.timetuple()[:3], 12, tzinfo=UTC))


def test_the_headers_are_those_of_the_rfcs() -> None:
    """The dates by hand: 2026-11-11 is 1,794,355,200 s after 1970, and 2026-12-11 is a Friday."""
    assert headers(END, today=END, successor="gpt-5.6-sol") == {
        "deprecation": "@1794355200",
        "sunset": "Fri, 11 Dec 2026 00:00:00 GMT",
        "link": '</v1/models/gpt-5.6-sol>; rel="successor-version"',
    }


@pytest.mark.parametrize(("days", "told"), [(-400, True), (-1, True), (0, True), (30, True), (31, False), (400, False)])
def test_they_come_with_the_last_thirty_days_and_stay(days: int, told: bool) -> None:
    said = headers(END, today=END - timedelta(days=days), successor=None)
    assert set(said) == ({"deprecation", "sunset"} if told else set())


def test_without_an_end_nothing_is_said() -> None:
    assert headers(None, today=END, successor="o3") == {}


def test_a_name_cannot_break_out_of_its_link() -> None:
    odd = 'a/b>; rel="x", \r\nb ü'
    link = headers(END, today=END, successor=odd)["link"]
    assert link == '</v1/models/a%2Fb%3E%3B%20rel%3D%22x%22%2C%20%0D%0Ab%20%C3%BC>; rel="successor-version"'
    assert link.isascii()


@given(st.dates(min_value=date(1971, 1, 1), max_value=date(9998, 1, 1)), st.integers(min_value=-40, max_value=40))
def test_the_notice_is_always_thirty_days_before_the_end(end: date, days: int) -> None:
    said = headers(end, today=end + timedelta(days=days), successor=None)
    if not said:
        assert days < -NOTICE.days
        return
    sunset = parsedate_to_datetime(said["sunset"])
    assert (sunset.date(), sunset.utcoffset(), sunset.hour) == (end, timedelta(0), 0)
    assert int(said["deprecation"].removeprefix("@")) == int((sunset - NOTICE).timestamp())


def test_a_model_of_the_catalogue_says_its_end_and_its_successor() -> None:
    said = models(("openai",), END - timedelta(days=29)).lifecycle_headers("o3")
    assert said["sunset"] == "Fri, 11 Dec 2026 00:00:00 GMT"
    assert said["link"] == '</v1/models/gpt-5.6-sol>; rel="successor-version"'
    # By the name of a snapshot too.
    assert models(("openai",), END).lifecycle_headers("o3-2025-04-16") == said


def test_the_successor_is_one_that_is_served() -> None:
    """o1-mini's is o3-mini, which is gone as well by then."""
    said = models(("openai",), END).lifecycle_headers("o1-mini")
    assert said["sunset"] == "Mon, 27 Oct 2025 00:00:00 GMT"
    assert "gpt-5.6-sol" in said["link"]


def test_while_one_provider_has_announced_no_end_nothing_is_said() -> None:
    assert models(("openai", "standin"), END).lifecycle_headers("o3") == {}


@pytest.mark.parametrize("name", ["gpt-6-sol", "no-such-model"])
def test_of_a_model_without_an_end_nothing_is_said(name: str) -> None:
    assert models(("openai",), END).lifecycle_headers(name) == {}


def test_a_model_without_a_successor_says_its_end_alone() -> None:
    known = default_catalogue()
    o3 = known.models["o3"].model_copy(update={"successor": None})
    alone = Catalogue(models={**known.models, "o3": o3}, providers=known.providers, tiers=known.tiers)
    assert set(models(("openai",), END, alone).lifecycle_headers("o3")) == {"deprecation", "sunset"}
