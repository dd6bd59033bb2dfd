"""Runs an HTTP server in a child process: waits until it is ready, and stops it with everything that it started."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from local.failure import LocalFailure

DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
READY_SECONDS = 30.0
STOP_SECONDS = 12.0
KILL_SECONDS = 3.0


class Child:
    """A server command in its own process group and home folder. Both are removed when it stops.

    The process group keeps Ctrl-C in the terminal from reaching the server, so that the parts stop in order. If this
    process is killed, `die_with_parent.py` stops the server.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        health_url: str,
        environment: Mapping[str, str],
        home: Path,
        log: Path,
    ) -> None:
        self.name = name
        self.home = home
        self.log = log
        self._command = command
        self._health_url = health_url
        self._environment = environment
        self._wrapper: subprocess.Popen[bytes] | None = None

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

    def _start(self) -> None:
        if self._healthy():
            # Without this check two services would share the other server's state.
            raise LocalFailure(f"Another server already answers at {self._health_url}. Try again.")
        with self.log.open("wb") as log:
            self._wrapper = subprocess.Popen(
                [sys.executable, str(DIE_WITH_PARENT), str(self.home), *self._command],
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._healthy():
            if self._wrapper.poll() is not None:
                raise LocalFailure(f"{self.name} ended while starting. Its last lines:\n{self._last_lines()}")
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
        wrapper = self._wrapper
        if wrapper is not None:
            if wrapper.stdin:
                wrapper.stdin.close()  # the signal to stop
            with contextlib.suppress(subprocess.TimeoutExpired):
                wrapper.wait(STOP_SECONDS)
            self._kill_group(wrapper.pid)
            wrapper.wait()
            self._wrapper = None
        shutil.rmtree(self.home, ignore_errors=True)

    def _kill_group(self, group: int) -> None:
        """Kill until the group is empty: a caller may check for processes right after the stop."""
        deadline = time.monotonic() + KILL_SECONDS
        # macOS raises EPERM for a group of dead processes.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < deadline:
                os.killpg(group, signal.SIGKILL)
                time.sleep(0.02)

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
