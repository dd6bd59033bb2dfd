"""`python -m local.serve` (make serve): runs the service on this machine until it is stopped.

Environment: PORT (8000). OPENAI_API_KEY and OPENAI_BASE_URL select a real model endpoint. STANDIN_SPEED (1) divides the
stand-in's thinking time. EVENTS=0 turns off the stand-in's webhooks. WEBHOOK_ORIGINS is a comma-separated list of local
origins that webhooks may call.
"""

import os
import signal
import sys
from pathlib import Path

from local import admin, endpoint, receiver, service
from local.address import HOST, require_free
from local.failure import LocalFailure
from local.ministack import LOGS
from local.signals import Stopped, stop_on_signal
from local.tenants import ACME, TENANTS

STARTING = "Starting the service on this machine. The first start also builds the Lambda layer and takes longer."
DEFAULT_ORIGIN = f"http://{HOST}:{receiver.PORT}"
SNIPPET_MODEL = "gpt-5.4-mini"


def main() -> int:
    with stop_on_signal():
        try:
            serve()
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
    return 0


def serve() -> None:
    port = positive_integer("PORT", 8000)
    require_free(port, "make serve PORT=…")
    origins = [part.strip() for part in os.environ.get("WEBHOOK_ORIGINS", DEFAULT_ORIGIN).split(",") if part.strip()]
    print(STARTING, flush=True)
    with (
        endpoint.from_environment(os.environ, speed=positive_integer("STANDIN_SPEED", 1)) as models,
        service.running("serve", models, port=port, webhook_origins=origins) as running,
        admin.reachable(port, running.cloud),
    ):
        print(welcome(running, origins, admin.hint(port)), flush=True)
        while True:
            signal.pause()


def positive_integer(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalFailure(f"{name} is {text!r}; it must be a whole number from 1 to 65535.")
    return int(text)


def welcome(running: service.Service, origins: list[str], budget_command: str) -> str:
    root = running.base_url.removesuffix("/v1")
    keys = "\n".join(f"  {tenant.name:8} {tenant.api_key:18} {tenant.webhook_secret}" for tenant in TENANTS)
    return f"""
Base URL   {running.base_url}
API page   {root}/docs
Models     {running.endpoint.description}
Wake-up    {wake_up(running)}
Webhooks   to {", ".join(origins)} and public https URLs (`.venv/bin/python -m local.receiver` shows what arrives)
Budgets    {budget_command}
Logs       {relative_path(LOGS / "serve-ministack.log")}

  tenant   API key            webhook secret
{keys}

Try it in Python with the openai SDK:

{snippet(running.base_url)}

Ctrl-C stops it."""


def wake_up(running: service.Service) -> str:
    if running.endpoint.webhook_secret is None:
        return "by polling: the model endpoint sends no events to this machine"
    return f"by signed webhooks of the stand-in to {running.base_url}/provider_events/{running.endpoint.provider}"


def snippet(base_url: str) -> str:
    return f"""\
from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{ACME.api_key}")
job = client.responses.create(model="{SNIPPET_MODEL}", input="What is 17 * 24?", background=True)
print(job.id, job.status)  # a few seconds later: client.responses.retrieve(job.id).output_text"""


def relative_path(path: Path) -> Path:
    """Relative to the current folder if it is in there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
