"""A clock that tests and the bench can move."""

from datetime import datetime, timedelta

from afterthought.adapters import clock


class ShiftedClock:
    """Runs at the speed of the real clock, `ahead` of it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        # The callers replace `clock.now` by this one's `now`.
        self._real_now = clock.now

    def now(self) -> datetime:
        return self._real_now() + self.ahead

    def set(self, to: datetime) -> None:
        self.ahead = to - self._real_now()

    def forward(self, by: timedelta) -> None:
        self.ahead += by

    def pass_seconds(self, seconds: float) -> None:
        self.forward(timedelta(seconds=seconds))
