"""Call no model faster than its provider takes, and let no tenant take the pace from the others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from afterthought.domain.models.provider import Provider
from afterthought.domain.pace import Charge, Pacing, Room, Taken, TenantLine, head_place, line_place

_LINE_KEPT = timedelta(days=2)
_FORGETS_EVERY = timedelta(minutes=1)


class Paces(Protocol):
    """What has been taken of the providers' paces, by all processes. A window goes by provider, model and number, a
    line by provider, model and tenant. `expires_at` says when an item is of no more use."""

    def take(
        self, provider: str, model: str, number: int, tenant: str, charge: Charge, room: Room, *, expires_at: datetime
    ) -> tuple[bool, Taken]:
        """Takes the charge of the window if it has room for the tenant, in one step. Says whether it was taken, and
        what stands then."""

    def book(self, provider: str, model: str, number: int, tokens: int, *, expires_at: datetime) -> Taken:
        """Adds so many tokens (0: none) to what is taken of a window, room or not, and says what stands then."""

    def lengthen(
        self, provider: str, model: str, tenant: str, interval: timedelta, *, expires_at: datetime
    ) -> TenantLine:
        """Moves the end of the line on, and says how it stands then: where there was none, it begins in 1970."""

    def restart(
        self, provider: str, model: str, tenant: str, line: TenantLine, begins: datetime, *, expires_at: datetime
    ) -> bool:
        """Writes the line if the one that stands is still that which begins at `begins`."""


class KnownLines:
    """When the lines end that a process knows of, by provider, model and tenant. Threads may share it. Those that have
    ended are forgotten once a minute."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], dict[str, datetime]] = {}
        self._forget_at: datetime | None = None
        self._lock = Lock()

    def put(self, provider: str, model: str, tenant: str, end: datetime, at: datetime) -> None:
        with self._lock:
            if self._forget_at is None or at >= self._forget_at:
                self._forget_at = at + _FORGETS_EVERY
                self._ends = {key: kept for key, ends in self._ends.items() if (kept := _later(ends, at))}
            self._ends.setdefault((provider, model), {})[tenant] = end

    def has(self, provider: str, model: str, tenant: str, at: datetime) -> bool:
        with self._lock:
            return self._ends.get((provider, model), {}).get(tenant, at) > at

    def others(self, provider: str, model: str, tenant: str, at: datetime) -> bool:
        """Whether other tenants have lines for the model."""
        with self._lock:
            ends = self._ends.get((provider, model), {})
            return any(end > at and other != tenant for other, end in ends.items())

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._ends.values()))


@dataclass
class Pace:
    """`chance` gives numbers from 0 to 1.

    What a process has seen saves it calls: what the newest window has taken cannot become less, so what did not fit
    does not fit. And who has a line it knows of those that it put there: a tenant whose every job was put there by
    others counts as one without, until one of its jobs finds no room here.
    """

    paces: Paces
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    _seen: dict[tuple[str, str], tuple[int, Taken]] = field(default_factory=dict, init=False)
    _before: dict[tuple[str, str], tuple[int, Taken]] = field(default_factory=dict, init=False)
    lines: KnownLines = field(default_factory=KnownLines, init=False)

    def take(self, provider: Provider, model_id: str, tenant: str, tokens: int) -> datetime | None:
        """None: call now, once; the pace was taken, and is not given back. Otherwise when to ask again: at least a
        second on. Where the provider sets the model no limit, nothing is asked or written.

        Raises what the table's transport raises; the call must then not be made.
        """
        limits = provider.limits_for(model_id)
        if limits is None:
            return None
        pacing, at = Pacing(limits), self.clock()
        number, charge = pacing.number(at), pacing.charge(tokens)
        room = pacing.room(at, lined_up=self.lines.has(provider.name, model_id, tenant, at))
        seen_number, taken = seen = self._seen.get((provider.name, model_id), (number, Taken()))
        fits = seen_number != number or taken.fits(tenant, room)
        if fits:
            fits, taken = self.paces.take(
                provider.name, model_id, number, tenant, charge, room, expires_at=pacing.expires_at(number)
            )
            if seen_number < number:
                self._before[provider.name, model_id] = seen
            self._seen[provider.name, model_id] = (number, taken)
        if not fits:
            return self._line_up(provider.name, model_id, tenant, pacing, charge, taken, at)
        self._carry(provider.name, model_id, pacing, number, taken.tokens, charge.tokens)
        return None

    def _carry(self, provider: str, model: str, pacing: Pacing, number: int, stands: int, taken: int) -> None:
        """Books what a window got too much in those after it. Only the call that passed its end does."""
        most = pacing.window_tokens(number)
        while most is not None and (over := min(taken, stands - most)) > 0:
            number, taken = number + 1, over
            stands = self.paces.book(provider, model, number, over, expires_at=pacing.expires_at(number)).tokens
            most = pacing.window_tokens(number)

    def _line_up(
        self, provider: str, model: str, tenant: str, pacing: Pacing, charge: Charge, taken: Taken, at: datetime
    ) -> datetime:
        alone = not set(taken.shares) - {tenant} and not self.lines.others(provider, model, tenant, at)
        first, interval = pacing.again(taken, tenant, at), pacing.interval(charge, alone=alone)
        expires_at = at + _LINE_KEPT
        line = self.paces.lengthen(provider, model, tenant, interval, expires_at=expires_at)
        if line.end - interval < first or self._deserted(provider, model, tenant, pacing, charge, line, at):
            anew = TenantLine(first, first + interval)
            if self.paces.restart(provider, model, tenant, anew, line.begins, expires_at=expires_at):
                self.lines.put(provider, model, tenant, anew.end, at)
                return head_place(first, self.chance())
            line = self.paces.lengthen(provider, model, tenant, interval, expires_at=expires_at)
        self.lines.put(provider, model, tenant, line.end, at)
        return line_place(line.end, interval, self.chance(), alone=alone)

    def _deserted(
        self, provider: str, model: str, tenant: str, pacing: Pacing, charge: Charge, line: TenantLine, at: datetime
    ) -> bool:
        """Whether the line is long for places that nobody comes to any more. Asks the table only where what was seen of
        the window before leaves that open: once in a window, while a line is as it says."""
        if not pacing.tells(line, at):
            return False
        before = pacing.number(at) - 1
        seen_number, seen = self._before.get((provider, model), (0, Taken()))
        if seen_number == before and not pacing.deserted(before, seen, tenant, charge):
            return False
        stood = self.paces.book(provider, model, before, 0, expires_at=pacing.expires_at(before))
        self._before[provider, model] = (before, stood)
        return pacing.deserted(before, stood, tenant, charge)


def _later(ends: dict[str, datetime], at: datetime) -> dict[str, datetime]:
    return {tenant: end for tenant, end in ends.items() if end > at}
