"""What is said beside an answer when the model that was called is about to go, or is gone."""

from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from urllib.parse import quote

NOTICE = timedelta(days=30)
"""How long before its end a model counts as deprecated."""


def headers(end: date | None, *, today: date, successor: str | None) -> dict[str, str]:
    """`Deprecation` (RFC 9745) since the notice began, `Sunset` (RFC 8594) at the first moment without the model, and a
    `Link` to its successor (RFC 5829) where there is one. Empty while the end is further away, or none is announced.

    They stay once the model is gone: both times are then past, as the RFCs allow.
    """
    if end is None or today < end - NOTICE:
        return {}
    said = {
        "deprecation": f"@{int(_start(end - NOTICE).timestamp())}",
        "sunset": format_datetime(_start(end), usegmt=True),
    }
    if successor is not None:
        said["link"] = f'</v1/models/{quote(successor, safe="")}>; rel="successor-version"'
    return said


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
