"""A process of ours: started in its own group, waited for until it answers, stopped with everything it started."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from local.failure import LocalFailure

LEASH = Path(__file__).with_name("leash.py")
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
REAP_SECONDS = 3.0


class Child:
    """A Python module that serves HTTP, in a process group of its own.

    Its own group keeps a Ctrl-C in the terminal from reaching it, so that parts stop in the order we choose; the leash
    ends it should we be killed without a chance to stop it.
    """

    def __init__(
        self,
        name: str,
        python: Path,
        module: str,
        arguments: Sequence[str] = (),
        *,
        health_url: str,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(python), str(LEASH), module, *arguments]
        self._health_url = health_url
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._healthy():
            if not self.running:
                raise LocalFailure(f"{self.name} ended at once. Its last lines:\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise LocalFailure(f"{self.name} is not ready after {READY_SECONDS:.0f} s:\n{self._last_lines()}")
            time.sleep(0.05)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self._health_url, timeout=2):  # noqa: S310 - our own loopback address
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        self._signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        # The leader is gone or will not go; either way nothing of its group may stay.
        self._signal(process.pid, signal.SIGKILL)
        process.wait()
        self._wait_for_group(process.pid)
        if process.stdin:
            process.stdin.close()
        self._process = None

    def _signal(self, group: int, number: int) -> bool:
        """Whether there was anybody to signal. macOS says EPERM of a group of the dead."""
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _wait_for_group(self, group: int) -> None:
        """Death takes a moment, and who asks for our end may look at once."""
        deadline = time.monotonic() + REAP_SECONDS
        while self._signal(group, 0) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
