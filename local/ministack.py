"""Runs ministack, the emulator of AWS, as a child process on loopback."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ROOT
from local.address import HOST, free_port
from local.child import Child
from local.cloud import ACCOUNT, REGION, Cloud
from local.failure import LocalFailure

# Twice the memory of about twenty processes with a layer of 25 MB each.
MIN_FREE_BYTES = 1 << 30
LOGS = ROOT / ".local" / "logs"


def interpreter() -> Path:
    """The Python of ministack's environment, which also runs the functions. Its pins conflict with those of .venv.

    Raises LocalFailure if the environment does not exist.
    """
    python = Path(os.environ.get("MINISTACK_PYTHON") or ROOT / ".venv-ministack" / "bin" / "python")
    if not python.exists():
        raise LocalFailure(f"{python} does not exist. Create it with `make .venv-ministack/.made`.")
    return python


@contextmanager
def running(name: str, *, enforce_policies: bool = False) -> Iterator[Cloud]:
    """ministack while the block runs. With `enforce_policies` the functions can do only what their roles allow."""
    python = interpreter()
    port = free_port()
    LOGS.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="afterthought-", dir=memory_folder()))
    url = f"http://{HOST}:{port}"
    with Child(
        "ministack",
        [str(python), "-m", "ministack.app"],
        health_url=f"{url}/_ministack/health",
        environment=environment(home, port, enforce_policies=enforce_policies),
        home=home,
        log=LOGS / f"{name}-ministack.log",
    ):
        yield Cloud(url)


def memory_folder() -> Path | None:
    """Linux's in-memory folder if it has enough space, else None for the default folder of temporary files.

    Each function process unpacks thousands of files into its home, which is ten times as fast in memory.
    """
    folder = Path("/dev/shm")  # noqa: S108 - mkdtemp creates a private folder in it
    try:
        usable = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= MIN_FREE_BYTES
    except OSError:
        return None
    return folder if usable else None


def environment(home: Path, port: int, *, enforce_policies: bool) -> dict[str, str]:
    """Nothing is inherited: the functions receive all of it, and must not see the user's AWS keys and profiles."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "STATE_DIR": str(home / "state"),
        "S3_DATA_DIR": str(home / "s3"),
        "BIND_HOST": HOST,  # the default is every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true" if enforce_policies else "false",
    }
