"""`python -m local.admin set acme --month-budget 5`: the admin command for the stack of a running `make serve`.

Takes the arguments of `python -m admin.tenant`, without a stack. Environment: PORT (8000) of the `make serve`.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import EndpointConnectionError

from admin import deployment, tenant
from local import ROOT
from local.cloud import REGION, Cloud
from local.stack import STACK

URL_FILES = ROOT / ".local" / "serving"


@contextmanager
def reachable(port: int, cloud: Cloud) -> Iterator[None]:
    """Record the emulator's URL while the block runs, so that the admin command can use the stack."""
    url_file = _url_file(str(port))
    url_file.parent.mkdir(parents=True, exist_ok=True)
    url_file.write_text(cloud.url)
    try:
        yield
    finally:
        url_file.unlink(missing_ok=True)


def hint(port: int) -> str:
    """The command that sets a budget of a local tenant."""
    setting = "" if port == 8000 else f" PORT={port}"
    return f'make tenant LOCAL=1{setting} NAME=acme ACTION=set ARGS="--month-budget 5"'


def main(arguments: Sequence[str] | None = None) -> int:
    options = sys.argv[1:] if arguments is None else arguments
    return tenant.main([*options, "--stack-name", STACK, "--region", REGION], connect=_reach)


def _reach(stack: str, region: str | None) -> deployment.Deployment:
    port = os.environ.get("PORT") or "8000"
    try:
        cloud = Cloud(_url_file(port).read_text())
        outputs = deployment.outputs(cloud.cloudformation, stack, region or REGION)
    except (FileNotFoundError, EndpointConnectionError) as error:
        # A service that was killed leaves its file.
        message = f"No local service runs on port {port}. Start one with `make serve`, or name its port with PORT=."
        raise deployment.StackNotFound(message) from error
    return deployment.Deployment(outputs, cloud.dynamodb, cloud.kms)


def _url_file(port: str) -> Path:
    return URL_FILES / f"{port}.url"


if __name__ == "__main__":
    sys.exit(main())
