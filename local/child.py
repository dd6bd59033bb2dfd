"""A server of ours in a process of its own: waited for until it answers, stopped with all that it has started."""

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
REAP_SECONDS = 3.0


class Child:
    """A command that serves HTTP, in a process group and a folder of its own, both gone when it is.

    Its own group keeps a Ctrl-C in the terminal from reaching it, so that parts stop in the order we choose; the
    wrapper ends it should we be killed without a chance to stop it.
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
            # It would be taken for ours, and two services would share one state.
            raise LocalFailure(f"Something else answers at {self._health_url}. Try again.")
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
        wrapper = self._wrapper
        if wrapper is not None:
            if wrapper.stdin:
                wrapper.stdin.close()  # what the wrapper waits for
            with contextlib.suppress(subprocess.TimeoutExpired):
                wrapper.wait(STOP_SECONDS)
            self._end_group(wrapper.pid)
            wrapper.wait()
            self._wrapper = None
        shutil.rmtree(self.home, ignore_errors=True)

    def _end_group(self, group: int) -> None:
        """Nothing of it may stay. Death takes a moment, and who asked for our end may look at once."""
        deadline = time.monotonic() + REAP_SECONDS
        # macOS says EPERM of a group of the dead.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < deadline:
                os.killpg(group, signal.SIGKILL)
                time.sleep(0.02)

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
