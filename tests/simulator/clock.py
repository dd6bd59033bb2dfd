"""Virtual time."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class Clock:
    """Time moves only by these methods, in whole milliseconds as in the service's own clock."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def pass_by(self, seconds: float) -> None:
        self._now += timedelta(milliseconds=round(seconds * 1000))

    def move_to(self, moment: datetime) -> None:
        """Moves forward; a moment in the past changes nothing."""
        self._now = max(self._now, moment)
