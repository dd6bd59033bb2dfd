"""The emulator of AWS: ministack, a child process in an environment of its own, on loopback, leaving nothing behind."""

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

# Some twenty processes with a layer of 25 MB each, twice over.
MEMORY_BYTES = 1 << 30
LOGS = ROOT / ".local" / "logs"


def interpreter() -> Path:
    """The Python of ministack's environment, which also runs the functions. Its pins clash with ours, hence its own.

    Raises LocalFailure if the environment has not been made.
    """
    python = Path(os.environ.get("MINISTACK_PYTHON") or ROOT / ".venv-ministack" / "bin" / "python")
    if not python.exists():
        raise LocalFailure(f"There is no {python}. `make .venv-ministack/.made` makes it.")
    return python


@contextmanager
def running(name: str, *, enforce_policies: bool = False) -> Iterator[Cloud]:
    """ministack from its start to its end. With `enforce_policies` the functions get no more than their roles allow."""
    python = interpreter()
    port = free_port()
    LOGS.mkdir(parents=True, exist_ok=True)
    # Every function's process will unpack its code and layer in here.
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
    """Linux's folder in memory, if there is room: every function's process unpacks thousands of files into its home,
    ten times as fast there. None means the usual place for temporary files."""
    folder = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder in it that only we can enter
    try:
        roomy = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= MEMORY_BYTES
    except OSError:
        return None
    return folder if roomy else None


def environment(home: Path, port: int, *, enforce_policies: bool) -> dict[str, str]:
    """Written out, not inherited: the functions get all of it, and neither keys nor profiles are theirs to see."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "STATE_DIR": str(home / "state"),
        "S3_DATA_DIR": str(home / "s3"),
        "BIND_HOST": HOST,  # without it ministack listens on every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true" if enforce_policies else "false",
    }
