"""The system clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """UTC in whole milliseconds, the precision of the tables, so that a job reads back unchanged."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
