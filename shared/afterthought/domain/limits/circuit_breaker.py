"""How long a provider is left alone once our money there is gone, and how it is found out that there is some again.

The first pause is five minutes, each that follows on it five minutes longer, up to a quarter of an hour. When a pause
is over one call is made, the probe; all others wait two minutes more for what it comes to. Calls that are awaited may
take longer than that: another probe follows then, and the first of them to be taken ends the outage.

A provider may take a call and say only afterwards that there is no money. So an outage that has ended is remembered for
half an hour: if the money is gone again within it, the pauses go on growing where they were.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from afterthought.domain.errors import AfterthoughtError

_PAUSE = timedelta(minutes=5)
_LONGEST = timedelta(minutes=15)
_PROBE = timedelta(minutes=2)
_SPREAD = timedelta(minutes=1)
_REMEMBERED = timedelta(minutes=30)


class BreakerUnavailable(AfterthoughtError):
    """The breaker's table did not take the write, or did not say whether it did."""


@dataclass(frozen=True)
class Pause:
    """`since` when the provider has been paused, because of which `code` of its, for the how-manieth time in a row.
    Two that follow on each other never have the same end. All times in whole milliseconds.

    One that is `healed` keeps nobody waiting: `paused_until` is then when it ended."""

    paused_until: datetime
    code: str
    since: datetime
    pauses: int = 1
    healed: bool = False

    @classmethod
    def begin(cls, code: str, now: datetime, chance: float) -> "Pause":
        return cls(now + _PAUSE + _fraction(chance), code, now)

    def over(self, now: datetime) -> bool:
        # Whatever this process's clock says: another's may be ahead of it.
        return self.healed or now >= self.paused_until

    def probed(self, now: datetime, chance: float) -> "Pause":
        """While one call finds out whether there is money again."""
        return Pause(now + _PROBE + _fraction(chance), self.code, self.since, self.pauses)

    def again(self, code: str, now: datetime, chance: float) -> "Pause":
        """The call after the pause has found that there is none."""
        if self.healed and now >= self.expires_at:
            return Pause.begin(code, now, chance)
        length = min(_PAUSE * (self.pauses + 1), _LONGEST)
        return Pause(now + length + _fraction(chance), code, self.since, self.pauses + 1)

    def same_wait(self, other: "Pause") -> bool:
        """Whether both wait for what a probe comes to in the same outage, no call having been refused in between."""
        return not self.healed and (self.since, self.pauses) == (other.since, other.pauses)

    def ended(self, now: datetime) -> "Pause":
        """A probe was taken."""
        return Pause(now, self.code, self.since, self.pauses, healed=True)

    @property
    def expires_at(self) -> datetime:
        """Of one that is healed: when it counts no more."""
        return self.paused_until + _REMEMBERED


def come_back(pause: Pause, now: datetime, chance: float) -> datetime:
    """When a call that found the provider paused is to ask again: after the pause, at any time of a minute by `chance`
    (0 to 1), so that not all that wait come at once."""
    return max(pause.paused_until, now + timedelta(seconds=1)) + _milliseconds(_SPREAD * chance)


def _fraction(chance: float) -> timedelta:
    """Less than a second, which tells one writer's pause from another's."""
    return _milliseconds(timedelta(seconds=1) * chance)


def _milliseconds(length: timedelta) -> timedelta:
    return timedelta(milliseconds=length // timedelta(milliseconds=1))
