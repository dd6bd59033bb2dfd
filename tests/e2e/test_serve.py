"""`make serve` starts, its printed commands work, and it leaves no process. Each test starts an emulator of its own."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import APIStatusError, OpenAI

from local import ROOT
from local.address import HOST, free_port
from local.tenants import ACME, TENANTS
from tests.e2e.conftest import wait_until_ended

pytestmark = [pytest.mark.e2e, pytest.mark.slow_proof]

START_SECONDS = 60.0


@contextmanager
def serving(port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and its output until it was ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "local.serve"],
        cwd=ROOT,
        env={**environment, "PORT": str(port), "STANDIN_SPEED": "20"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            deadline = time.monotonic() + START_SECONDS
            for line in process.stdout:
                printed += line
                if "Ctrl-C" in line or time.monotonic() > deadline:
                    break
            yield process, printed
        finally:
            process.kill()


def descendants(ancestor: int) -> set[int]:
    """The ids of all processes below this one."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    parents = [(int(pid), int(parent)) for pid, parent in (line.split() for line in listed.splitlines())]
    tree, size = {ancestor}, 0
    while len(tree) > size:
        size = len(tree)
        tree |= {pid for pid, parent in parents if parent in tree}
    return tree - {ancestor}


def commands(pids: set[int]) -> str:
    listed = ",".join(map(str, pids))
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", listed], capture_output=True, text=True, check=True).stdout  # noqa: S607


def alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")


def run_printed_command(printed: str, settings: str) -> str:
    """Runs the printed command that sets a budget, with these settings, and returns its output."""
    command = re.search(r"^Budgets +(make tenant .*ARGS=).*$", printed, re.MULTILINE)
    assert command is not None, printed
    # Without this the inner make would act as a part of the `make` that runs the tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ARGS", "MAKE", "MFLAGS"))}
    completed = subprocess.run(
        ["make", "--assume-old=.venv/.made", *shlex.split(f'{command[1]}"{settings}"')[1:]],  # noqa: S607
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_interrupted_serve_leaves_no_process() -> None:
    port = free_port()
    with serving(port) as (process, printed):
        assert f"http://{HOST}:{port}/v1" in printed, printed
        for tenant in TENANTS:
            assert tenant.api_key in printed
            assert tenant.webhook_secret in printed
        snippet = re.search(r"^from openai import OpenAI\n.*\n.*\nprint\(.*$", printed, re.MULTILINE)
        assert snippet is not None, printed

        snippet_run = subprocess.run([sys.executable, "-c", snippet[0]], capture_output=True, text=True, check=False)
        assert re.fullmatch(r"resp_[0-9a-f]{48} queued\n", snippet_run.stdout), snippet_run.stderr

        with OpenAI(base_url=f"http://{HOST}:{port}/v1", api_key=ACME.api_key) as client:
            job = wait_until_ended(client, client.responses.retrieve(snippet_run.stdout.split()[0]))
            assert "408" in job.output_text
            assert len(client.models.list().data) >= 20

            # Last, because this budget refuses every later job.
            assert "Month budget         $0" in run_printed_command(printed, "--month-budget 0")
            with pytest.raises(APIStatusError) as refused:
                client.responses.create(model="o3", input="?", background=True)
            assert refused.value.status_code == 402

        started = descendants(process.pid)
        assert len(started) >= 3
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert "nothing is left running" in process.stdout.read()
        assert {pid for pid in started if alive(pid)} == set()


def test_killed_serve_leaves_no_process() -> None:
    """Neither a process nor a temporary folder, although it cannot clean up."""
    with serving(free_port()) as (process, _):
        started = descendants(process.pid)
        homes = [Path(folder) for folder in re.findall(r"die_with_parent\.py (\S+)", commands(started))]
        assert len(homes) == 1
        assert homes[0].exists()
        process.kill()
        process.wait()
        deadline = time.monotonic() + 15
        while any(alive(pid) for pid in started) or any(home.exists() for home in homes):
            assert time.monotonic() < deadline, "a process or a folder remains"
            time.sleep(0.1)


def test_port_in_use_is_reported() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with serving(port) as (process, printed):
            assert process.wait(10) == 1
        assert f"Port {port}" in printed
        assert "PORT=" in printed
        assert "Traceback" not in printed
