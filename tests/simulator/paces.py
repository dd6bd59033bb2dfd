"""AccountTable's paces: windows and lines."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from afterthought.domain.pace import Charge, Room, Taken, TenantLine
from tests.simulator.calls import CallRecorder

NO_LINE = TenantLine(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))


@dataclass
class SimulatedPaces:
    """The port `Paces`. `windows` goes by provider, model and number, `lines` by provider, model and tenant."""

    calls: CallRecorder
    windows: dict[tuple[str, str, int], Taken] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], TenantLine] = field(default_factory=dict)

    def take(
        self, provider: str, model: str, number: int, tenant: str, charge: Charge, room: Room, *, expires_at: datetime
    ) -> tuple[bool, Taken]:
        def update() -> tuple[bool, Taken]:
            stands = self.windows.get((provider, model, number), Taken())
            if not stands.fits(tenant, room):
                return False, stands
            after = self.windows[provider, model, number] = stands.with_call(tenant, charge)
            return True, after

        return self.calls.call("paces.take", update)

    def book(self, provider: str, model: str, number: int, tokens: int, *, expires_at: datetime) -> Taken:
        def update() -> Taken:
            stands = self.windows.get((provider, model, number), Taken())
            after = Taken(stands.requests, stands.tokens + tokens, stands.shares)
            self.windows[provider, model, number] = after
            return after

        return self.calls.call("paces.book", update)

    def lengthen(
        self, provider: str, model: str, tenant: str, interval: timedelta, *, expires_at: datetime
    ) -> TenantLine:
        def update() -> TenantLine:
            key = (provider, model, tenant)
            begins, end = self.lines.get(key, NO_LINE)
            self.lines[key] = TenantLine(begins, end + interval)
            return self.lines[key]

        return self.calls.call("paces.lengthen", update)

    def restart(
        self, provider: str, model: str, tenant: str, line: TenantLine, begins: datetime, *, expires_at: datetime
    ) -> bool:
        def update() -> bool:
            key = (provider, model, tenant)
            if self.lines.get(key, NO_LINE).begins != begins:
                return False
            self.lines[key] = line
            return True

        return self.calls.call("paces.restart", update)
