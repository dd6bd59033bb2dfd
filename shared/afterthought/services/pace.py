"""Call no model faster than its provider takes, and let no tenant take the pace from the others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from afterthought.domain.pace import Charge, Pacing, Room, Taken, head_place, line_place
from afterthought.domain.provider import Provider

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

    def book(self, provider: str, model: str, number: int, tokens: int, *, expires_at: datetime) -> int:
        """Adds so many tokens to what is taken of a window, room or not, and says how many stand then."""

    def lengthen(
        self, provider: str, model: str, tenant: str, interval: timedelta, *, expires_at: datetime
    ) -> datetime:
        """Moves the end of the line on (from 1970 where there is none), and says where it is then."""

    def restart(self, provider: str, model: str, tenant: str, end: datetime, *, expires_at: datetime) -> bool:
        """Moves the end of the line to `end`, if it is before that."""


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
        seen_number, taken = self._seen.get((provider.name, model_id), (number, Taken()))
        fits = seen_number != number or taken.fits(tenant, room)
        if fits:
            fits, taken = self.paces.take(
                provider.name, model_id, number, tenant, charge, room, expires_at=pacing.expires_at(number)
            )
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
            stands = self.paces.book(provider, model, number, over, expires_at=pacing.expires_at(number))
            most = pacing.window_tokens(number)

    def _line_up(
        self, provider: str, model: str, tenant: str, pacing: Pacing, charge: Charge, taken: Taken, at: datetime
    ) -> datetime:
        alone = not set(taken.shares) - {tenant} and not self.lines.others(provider, model, tenant, at)
        first, interval = pacing.again(taken, tenant, at), pacing.interval(charge, alone=alone)
        expires_at = at + _LINE_KEPT
        end = self.paces.lengthen(provider, model, tenant, interval, expires_at=expires_at)
        if end - interval < first:
            if self.paces.restart(provider, model, tenant, first + interval, expires_at=expires_at):
                self.lines.put(provider, model, tenant, first + interval, at)
                return head_place(first, self.chance())
            end = self.paces.lengthen(provider, model, tenant, interval, expires_at=expires_at)
        self.lines.put(provider, model, tenant, end, at)
        return line_place(end, interval, self.chance(), alone=alone)


def _later(ends: dict[str, datetime], at: datetime) -> dict[str, datetime]:
    return {tenant: end for tenant, end in ends.items() if end > at}
