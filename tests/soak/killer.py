"""Kills functions' processes at random moments: those of the emulator that this process has started, and no others."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from local.child import DIE_WITH_PARENT
from local.failure import LocalFailure

# The direct calls are left alone: what became of one whose process died is known after 16 minutes (DIRECT_CALL_LEASE).
FUNCTIONS = {"Worker": 6, "Webhooks": 1, "ProviderEvents": 1, "Api": 1, "Notifier": 1, "Sweeper": 1}
"""Which are killed, and how often beside each other."""
EVERY_SECONDS = (1.0, 4.0)
GROWN_SECONDS = 25.0
"""A process that dies before it has started takes all others of its function with it, here and not in Lambda."""


class Process(NamedTuple):
    id: int
    parent: int
    group: int
    command: str


def processes() -> list[Process]:
    """All that run."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "args="],  # noqa: S607 - from the PATH
        check=True,
        capture_output=True,
        text=True,
    )
    split = (line.split(maxsplit=3) for line in listed.stdout.splitlines())
    # A process that is just going may have no command any more.
    return [Process(int(each[0]), int(each[1]), int(each[2]), each[3]) for each in split if len(each) == 4]


def own_group() -> int:
    """The process group of the emulator that this process has started. Raises LocalFailure if there is not just one."""
    groups = {each.id for each in processes() if each.parent == os.getpid() and str(DIE_WITH_PARENT) in each.command}
    if len(groups) != 1:
        raise LocalFailure(f"One emulator should be running under this process, not {len(groups)}.")
    return groups.pop()


@dataclass
class Killer:
    """`names` are the functions' names in the stack, by what the template calls them; `killed` counts those."""

    group: int
    names: dict[str, str]
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    _seen: dict[int, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        functions, weights = list(FUNCTIONS), list(FUNCTIONS.values())
        while not self._stopping.wait(self.chance.uniform(*EVERY_SECONDS)):
            function = self.chance.choices(functions, weights)[0]
            victims = self._grown(self.names[function])
            if victims and self._kill(self.chance.choice(victims)):
                self.killed[function] += 1

    def _grown(self, name: str) -> list[int]:
        """The function's processes that have been here for long enough."""
        ours, at = [each for each in processes() if each.group == self.group], time.monotonic()
        self._seen = {each.id: self._seen.get(each.id, at) for each in ours}
        # The folder that a function's process runs in is called after the function.
        mark = f"ministack-lambda-{name}-"
        return [each.id for each in ours if mark in each.command and at - self._seen[each.id] > GROWN_SECONDS]

    def _kill(self, pid: int) -> bool:
        try:
            # Looked at once more: it may have ended, and its id may be another's by now.
            if os.getpgid(pid) != self.group:
                return False
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
