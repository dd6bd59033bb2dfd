"""The time."""

from datetime import UTC, datetime


def now() -> datetime:
    """UTC, in whole milliseconds: as exact as what is stored, so that a job reads back as it was written."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
