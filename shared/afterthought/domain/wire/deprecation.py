"""The response headers that announce the retirement of a model."""

from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from urllib.parse import quote

NOTICE_PERIOD = timedelta(days=30)
"""How long before its shutdown a model counts as deprecated."""


def deprecation_headers(shutdown: date | None, *, today: date, successor: str | None) -> dict[str, str]:
    """`Deprecation` (RFC 9745): the start of the notice period. `Sunset` (RFC 8594): the first moment without the
    model. `Link` (RFC 5829): the successor, if there is one.

    Empty before the notice period, or if no shutdown is announced. After the shutdown the headers stay, with times in
    the past, as the RFCs allow.
    """
    if shutdown is None or today < shutdown - NOTICE_PERIOD:
        return {}
    headers = {
        "deprecation": f"@{int(_midnight(shutdown - NOTICE_PERIOD).timestamp())}",
        "sunset": format_datetime(_midnight(shutdown), usegmt=True),
    }
    if successor is not None:
        headers["link"] = f'</v1/models/{quote(successor, safe="")}>; rel="successor-version"'
    return headers


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
