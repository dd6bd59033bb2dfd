"""Content negotiation by the Accept header."""

import pytest

from afterthought.domain.wire.media_type import preferred_media_type

JSON, CSV = "application/json", "text/csv"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        (" text/csv ; charset=utf-8 ", CSV),
        ("text/csv;header=present", CSV),
        ("text/*", CSV),
        ("text/csv, */*", CSV),
        ("*/*, text/csv", CSV),
        ("text/csv, */*;q=0.8", CSV),
        ("text/csv;q=0.5, */*;q=0.8", JSON),
        ("text/csv, application/json", JSON),
        ("application/json;q=0.9, text/csv;q=0.901", CSV),
        ("application/json;q=0.901, text/csv;q=0.9", JSON),
        ("text/csv;Q=0.2, application/json; q = 0.1", CSV),
        ("application/json;q=0, */*", CSV),
        ("text/csv;q=0, */*;q=0.1", JSON),
        ("text/csv;q=0", JSON),
        ("text/*;q=0, text/csv", CSV),
        ("text/*, text/csv;q=0.1, application/json;q=0.5", JSON),
        ("image/png", JSON),
        ("text/csv;q=2, application/json;q=0.1", JSON),
        ("text/csv;q=high", JSON),
        ("text/csv;q=1.000", CSV),
        ("text/csvx, text", JSON),
        (",,;;q=,/", JSON),
    ],
)
def test_preferred_media_type(accept: str | None, expected: str) -> None:
    assert preferred_media_type(accept, (JSON, CSV)) == expected
