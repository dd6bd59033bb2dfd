"""The providers' secret: read when it is needed, and kept by each process for a while."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.simulator.clock import Clock
from tests.simulator.line import Line

KEPT = timedelta(minutes=5)


@dataclass
class SimulatedSecret:
    line: Line
    clock: Clock
    _read_at: dict[str, datetime] = field(default_factory=dict, init=False)

    def get(self, *, fresh: bool = False) -> None:
        """Raises ProviderBusy."""
        process = self.line.process
        read_at = self._read_at.get(process)
        if fresh or read_at is None or self.clock() - read_at >= KEPT:
            self.line.call("secret.get", lambda: None)
            self._read_at[process] = self.clock()
