"""`python -m local.admin set acme --month-budget 5`: the admin command, on the stack of a running `make serve`.

Takes what `python -m admin.tenant` takes, without a stack. Environment: PORT (8000), that of the `make serve`.
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

NOTICES = ROOT / ".local" / "serving"


@contextmanager
def reachable(port: int, cloud: Cloud) -> Iterator[None]:
    """While the block runs, the command finds the stack behind the service on `port`."""
    notice = _notice(str(port))
    notice.parent.mkdir(parents=True, exist_ok=True)
    notice.write_text(cloud.url)
    try:
        yield
    finally:
        notice.unlink(missing_ok=True)


def hint(port: int) -> str:
    """How a person gives a local tenant a budget."""
    elsewhere = "" if port == 8000 else f" PORT={port}"
    return f'make tenant LOCAL=1{elsewhere} NAME=acme ACTION=set ARGS="--month-budget 5"'


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    return tenant.main([*given, "--stack-name", STACK, "--region", REGION], connect=_reach)


def _reach(stack: str, region: str | None) -> deployment.Deployment:
    port = os.environ.get("PORT") or "8000"
    nobody = f"No local service runs on port {port}: `make serve` starts one (and PORT= says where)."
    try:
        cloud = Cloud(_notice(port).read_text())
        outputs = deployment.outputs(cloud.cloudformation, stack, region or REGION)
    except (FileNotFoundError, EndpointConnectionError) as error:
        # One that was killed has left its notice.
        raise deployment.StackNotFound(nobody) from error
    return deployment.Deployment(outputs, cloud.dynamodb, cloud.kms)


def _notice(port: str) -> Path:
    return NOTICES / f"{port}.url"


if __name__ == "__main__":
    sys.exit(main())
