"""`python -m local.serve` (make serve): the whole service on this machine, until it is stopped.

Environment: PORT (8000); OPENAI_API_KEY and OPENAI_BASE_URL for a real model endpoint; STANDIN_SPEED (1) divides the
stand-in's thinking time; EVENTS=0 keeps the stand-in from saying when it is done; WEBHOOK_ORIGINS (comma list) are the
local origins that webhooks may call.
"""

import os
import signal
import sys
from pathlib import Path

from local import admin, endpoint, receiver, service
from local.address import HOST, require_free
from local.failure import LocalFailure
from local.ministack import LOGS
from local.signals import Stopped, stoppable
from local.tenants import ACME, TENANTS

DEFAULT_ORIGIN = f"http://{HOST}:{receiver.PORT}"
SNIPPET_MODEL = "gpt-5.4-mini"


def main() -> int:
    with stoppable():
        try:
            serve()
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
    return 0


def serve() -> None:
    port = number("PORT", 8000)
    require_free(port, "make serve PORT=…")
    origins = [part.strip() for part in os.environ.get("WEBHOOK_ORIGINS", DEFAULT_ORIGIN).split(",") if part.strip()]
    print(
        "Starting the whole service on this machine (the first time it also builds the functions' layer)…", flush=True
    )
    with (
        endpoint.chosen(os.environ, speed=number("STANDIN_SPEED", 1)) as models,
        service.running("serve", models, port=port, webhook_origins=origins) as running,
        admin.reachable(port, running.cloud),
    ):
        print(welcome(running, origins, admin.hint(port)), flush=True)
        while True:
            signal.pause()


def number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalFailure(f"{name} is {text!r}; it must be a whole number from 1 to 65535.")
    return int(text)


def welcome(running: service.Service, origins: list[str], budget: str) -> str:
    root = running.base_url.removesuffix("/v1")
    keys = "\n".join(f"  {tenant.name:8} {tenant.api_key:18} {tenant.webhook_secret}" for tenant in TENANTS)
    return f"""
Base URL   {running.base_url}
API page   {root}/docs
Models     {running.endpoint.described}
Waking     {waking(running)}
Webhooks   may call {", ".join(origins)} (`.venv/bin/python -m local.receiver` shows what arrives) and public https
Budgets    {budget}
Logs       {shown(LOGS / "serve-ministack.log")}

  tenant   API key            webhook secret
{keys}

Paste this into a Python with the openai SDK:

{snippet(running.base_url)}

Ctrl-C stops it."""


def waking(running: service.Service) -> str:
    if running.endpoint.webhook_secret is None:
        return "by delayed looks at the model endpoint, which does not say when it is done"
    return f"by the stand-in's own signed events to {running.base_url}/provider_events/{running.endpoint.provider}"


def snippet(base_url: str) -> str:
    return f"""\
from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{ACME.api_key}")
job = client.responses.create(model="{SNIPPET_MODEL}", input="What is 17 * 24?", background=True)
print(job.id, job.status)  # some seconds later: client.responses.retrieve(job.id).output_text"""


def shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
