"""The stand-in as an HTTP server on 127.0.0.1."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from local.standin.connection import Connection, Listener
from local.standin.request import parse_request
from local.standin.runs import Generation, Run, Runs
from local.standin.script import WEBHOOK, Rule, Script, parse_rule
from local.standin.webhooks import Scheduler, WebhookSender, event
from local.standin.wire import Json, WireError, model_not_found, parse_object

HOST = "127.0.0.1"
FAMILIES = ("gpt-", "o1", "o3", "o4", "qwen")
OWNER = "stand-in"
POLL_SECONDS = 0.1


class StandIn:
    """A stand-in provider. As a context manager it serves until the end of the block.

    `models` are the names that it serves (None: any name of the FAMILIES), `speed` divides the thinking time, `api_key`
    is the only key that it accepts (None: any). With `webhook_url` and `webhook_secret` it sends an event when a
    background run ends.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        models: Sequence[str] | None = None,
        speed: float = 1.0,
        api_key: str | None = None,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
    ) -> None:
        if speed <= 0:
            raise ValueError("speed: a number above 0 is required")
        if (webhook_url is None) != (webhook_secret is None):
            raise ValueError("webhook_url and webhook_secret: both or neither")
        self.api_key = api_key
        self.stopping = Event()
        self._models = None if models is None else frozenset(models)
        self._script = Script()
        self.runs = Runs(self._script, speed)
        self._scheduler = Scheduler()
        self._sender: WebhookSender | None = None
        if webhook_url and webhook_secret:
            self.send_webhooks_to(webhook_url, webhook_secret)
        self._listener = Listener((HOST, port), partial(Connection, self))
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._scheduler.start()
        self._thread.start()

    def send_webhooks_to(self, webhook_url: str, webhook_secret: str) -> None:
        """Send an event for each background run that ends from now on. Raises ValueError."""
        self._sender = WebhookSender(webhook_url, webhook_secret, self.stopping)

    def stop(self) -> None:
        """Close every connection, also those that hang, and end every thread."""
        self.stopping.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.close()
        self._scheduler.stop()

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    @property
    def base_url(self) -> str:
        """The `base_url` for an OpenAI client."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def generations(self) -> list[Generation]:
        """Every run since the start or the last reset, oldest first."""
        return self.runs.generations()

    @property
    def requests(self) -> dict[str, int]:
        """The number of requests by kind: create, retrieve, cancel, delete, models."""
        return dict(self.runs.requests)

    def script(self, do: str, **fields: Any) -> None:
        """Add a rule; see `Rule`. Raises ValueError."""
        self._script.add(parse_rule({"do": do, **fields}))

    def clear(self) -> None:
        """Remove all rules."""
        self._script.clear()

    def reset(self) -> None:
        """Remove all rules, runs and counts."""
        self._script.clear()
        self.runs.reset()

    def take_rule(self, kind: str, effects: frozenset[str], texts: Sequence[str] = ()) -> Rule | None:
        return self._script.take_first(kind, effects, texts)

    def serves(self, model: str) -> bool:
        """Whether the model is served, by its name or as a dated snapshot of it."""
        if self._models is None:
            return model.startswith(FAMILIES)
        return model in self._models or (model[-11:-10] == "-" and model[:-11] in self._models)

    def create(self, raw: bytes, disconnected: Callable[[], bool]) -> Json:
        """Start a run. One in the foreground is awaited, and cancelled if the client disconnects. Raises WireError."""
        request = parse_request(parse_object(raw), self.serves)
        run = self.runs.start(request, raw)
        if request.background:
            if run.ends_at is not None:
                self._scheduler.at(run.ends_at, partial(self._send_webhook, run))
            # Rendered for the time of its start, so that the first response is "queued" on a slow machine too.
            return run.to_response(run.started_at)
        ends_at = math.inf if run.ends_at is None else run.ends_at
        while (now := time.monotonic()) < ends_at and not self.stopping.is_set():
            if disconnected():
                run.cancelled = True
                break
            self.stopping.wait(min(POLL_SECONDS, ends_at - now))
        return run.to_response(time.monotonic())

    def retrieve(self, response_id: str) -> Json:
        if self._script.take_first("retrieve", frozenset({"forgotten"}), self.runs.texts(response_id)):
            self.runs.delete(response_id)
        return self.runs.get(response_id).to_response(time.monotonic())

    def cancel(self, response_id: str) -> Json:
        run = self.runs.cancel(response_id)
        if run.cancelled:
            self._scheduler.at(time.monotonic(), partial(self._send_webhook, run))
        return run.to_response(time.monotonic())

    def delete(self, response_id: str) -> Json:
        self.runs.delete(response_id)
        return {"id": response_id, "object": "response", "deleted": True}

    def list_models(self) -> Json:
        names = sorted(self._models) if self._models is not None else self.runs.models()
        return {"object": "list", "data": [self._model_object(name) for name in names]}

    def show_model(self, name: str) -> Json:
        if not self.serves(name):
            raise model_not_found(name)
        return self._model_object(name)

    def _model_object(self, name: str) -> Json:
        return {"id": name, "object": "model", "created": 0, "owned_by": OWNER}

    def state(self) -> Json:
        """Runs, request counts and rules, without prompts, answers and keys."""
        generations = [
            {
                "id": generation.id,
                "model": generation.model,
                "metadata": dict(generation.metadata),
                "status": generation.status,
                "effort": generation.effort,
            }
            for generation in self.generations
        ]
        script = self._script.to_json()
        return {"stand_in": True, "generations": generations, "requests": self.requests, "script": script}

    def control(self, name: str, raw: bytes) -> Json:
        """The control endpoints under /_standin. Raises WireError."""
        if name == "reset":
            self.reset()
        elif name == "clear":
            self.clear()
        elif name == "script":
            try:
                self._script.add(parse_rule(parse_object(raw)))
            except ValueError as error:
                raise WireError(400, str(error), param=str(error).partition(":")[0]) from None
        else:
            raise WireError(
                404,
                "Control endpoints: GET /_standin/state; POST /_standin/script, /_standin/clear and /_standin/reset.",
            )
        return self.state()

    def _send_webhook(self, run: Run) -> None:
        if self._sender is None or not self.runs.claim_webhook(run):
            return
        message = event(run.id, run.status(time.monotonic()), int(time.time()))
        rules = {rule.do: rule for rule in self._script.take_all("webhook", WEBHOOK, run.texts)}
        if "webhook_dropped" in rules:
            return
        delay = rules["webhook_delayed"].seconds if "webhook_delayed" in rules else 0.0
        send = partial(self._sender.send, message, forged="webhook_forged" in rules)
        for _ in range(2 if "webhook_duplicated" in rules else 1):
            self._scheduler.at(time.monotonic() + delay, send)
