"""The providers' secret, which each process caches."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock

CACHE_TIME = timedelta(minutes=5)


@dataclass
class SimulatedSecret:
    calls: CallRecorder
    clock: Clock
    _read_at: dict[str, datetime] = field(default_factory=dict, init=False)

    def get(self, *, fresh: bool = False) -> None:
        """Raises ProviderBusy."""
        process = self.calls.process
        read_at = self._read_at.get(process)
        if fresh or read_at is None or self.clock() - read_at >= CACHE_TIME:
            self.calls.call("secret.get", lambda: None)
            self._read_at[process] = self.clock()
