"""Kills the functions' processes at random moments, only those of the emulator that this process has started."""

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

# Not the direct function: after a kill its calls have an unknown outcome for 16 minutes (DIRECT_CALL_LEASE).
FUNCTIONS = {"Worker": 6, "Webhooks": 1, "ProviderEvents": 1, "Api": 1, "Notifier": 1, "Sweeper": 1}
"""The functions to kill, with weights."""
EVERY_SECONDS = (1.0, 4.0)
MIN_AGE_SECONDS = 25.0
"""In the emulator, a process that dies during its start stops all processes of its function; not so in Lambda."""


class Process(NamedTuple):
    id: int
    parent: int
    group: int
    command: str


def processes() -> list[Process]:
    """All running processes."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "args="],  # noqa: S607 - from the PATH
        check=True,
        capture_output=True,
        text=True,
    )
    split = (line.split(maxsplit=3) for line in listed.stdout.splitlines())
    # A process that is ending may have no command.
    return [Process(int(each[0]), int(each[1]), int(each[2]), each[3]) for each in split if len(each) == 4]


def own_group() -> int:
    """The process group of this process's emulator. Raises LocalFailure unless there is exactly one."""
    groups = {each.id for each in processes() if each.parent == os.getpid() and str(DIE_WITH_PARENT) in each.command}
    if len(groups) != 1:
        raise LocalFailure(f"One emulator should be running under this process, not {len(groups)}.")
    return groups.pop()


@dataclass
class Killer:
    """`names` are the functions' names in the stack, by their template names. `killed` counts by template name."""

    group: int
    names: dict[str, str]
    rng: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    _first_seen: dict[int, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        functions, weights = list(FUNCTIONS), list(FUNCTIONS.values())
        while not self._stopping.wait(self.rng.uniform(*EVERY_SECONDS)):
            function = self.rng.choices(functions, weights)[0]
            candidates = self._old_enough(self.names[function])
            if candidates and self._kill(self.rng.choice(candidates)):
                self.killed[function] += 1

    def _old_enough(self, name: str) -> list[int]:
        """The function's processes that have run for long enough."""
        running, at = [each for each in processes() if each.group == self.group], time.monotonic()
        self._first_seen = {each.id: self._first_seen.get(each.id, at) for each in running}
        # A process runs in a folder with the function's name.
        mark = f"ministack-lambda-{name}-"
        return [
            each.id for each in running if mark in each.command and at - self._first_seen[each.id] > MIN_AGE_SECONDS
        ]

    def _kill(self, pid: int) -> bool:
        try:
            # Checked again: it may have ended, and its id may belong to another process now.
            if os.getpgid(pid) != self.group:
                return False
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
