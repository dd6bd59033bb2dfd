"""Leave a provider alone while our money there is gone, and find out when there is some again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from afterthought.domain.limits.circuit_breaker import BreakerUnavailable, Pause, come_back

_REMEMBERED = timedelta(seconds=10)


class Breakers(Protocol):
    """The pauses of the providers, one each at most."""

    def get(self, provider: str) -> Pause | None:
        """May be a little behind what was written."""

    def swap(self, provider: str, before: Pause | None, after: Pause) -> Pause | None:
        """Writes `after` if `before` (None: no pause) is what stands. Returns what stands then, be it another's. Raises
        BreakerUnavailable."""

    def clear(self, provider: str, probe: Pause, healed: Pause) -> None:
        """Writes `healed` if what stands waits for the same as `probe` (Pause.same_wait), whoever probes by now. It
        may be forgotten from its `expires_at` on. Raises BreakerUnavailable."""


class _Seen(NamedTuple):
    at: datetime
    pause: Pause | None


@dataclass
class Breaker:
    """`chance` gives numbers from 0 to 1. What was read is remembered for ten seconds: another process's pause may be
    seen so much later, and a pause that has ended too."""

    breakers: Breakers
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    _seen: dict[str, _Seen] = field(default_factory=dict, init=False)
    _probes: dict[str, Pause] = field(default_factory=dict, init=False)

    def paused_until(self, provider_name: str) -> datetime | None:
        """None: call. Otherwise when to ask again. After a pause one caller of all processes gets None: what becomes of
        its call is to be told by `heal` or `pause`; where neither comes, another gets it two minutes later.

        Raises what the table's transport raises; the call must then not be made.
        """
        now = self.clock()
        seen = self._seen.get(provider_name)
        if seen is None or now - seen.at >= _REMEMBERED:
            seen = self._remember(provider_name, now, self.breakers.get(provider_name))
        pause = seen.pause
        if pause is None or pause.healed:
            return None
        if pause.over(now):
            probe = pause.probed(now, self.chance())
            pause = self._remember(provider_name, now, self.breakers.swap(provider_name, pause, probe)).pause
            if pause == probe:
                self._probes[provider_name] = probe
                return None
            if pause is None or pause.healed:
                return None
        return come_back(pause, now, self.chance())

    def pause(self, provider_name: str, code: str) -> datetime:
        """The provider refused a call with this code: our money there is gone. When to ask again.

        Many calls may be refused at once: only the probe's refusal makes the pause longer. Raises nothing: where the
        table cannot be reached, this process alone pauses for a while.
        """
        now, probe = self.clock(), self._probes.pop(provider_name, None)
        after = self._next(probe, code, now)
        try:
            stands = self.breakers.swap(provider_name, probe, after)
            if stands is not None and (stands.over(now) or (probe is not None and stands.same_wait(probe))):
                # A call from before that pause, which came to its end only now; or somebody else probes by now.
                after = self._next(stands, code, now)
                stands = self.breakers.swap(provider_name, stands, after)
        except BreakerUnavailable:
            stands = after
        # Healed: somebody's probe was taken just now. None: it was forgotten.
        self._remember(provider_name, now, stands)
        return come_back(stands or after, now, self.chance())

    def heal(self, provider_name: str) -> None:
        """The provider took a call. Only where it was a probe is there anything to do: it ends the outage, even if
        another was sent after it, but not if one was refused since. Raises nothing: what could not be cleared is probed
        again.
        """
        if (probe := self._probes.pop(provider_name, None)) is None:
            return
        try:
            self.breakers.clear(provider_name, probe, probe.ended(self.clock()))
        except BreakerUnavailable:
            return
        self._seen.pop(provider_name, None)

    def _next(self, before: Pause | None, code: str, now: datetime) -> Pause:
        chance = self.chance()
        return Pause.begin(code, now, chance) if before is None else before.again(code, now, chance)

    def _remember(self, provider_name: str, now: datetime, pause: Pause | None) -> _Seen:
        seen = self._seen[provider_name] = _Seen(now, pause)
        return seen
