"""The stand-in as an HTTP server on 127.0.0.1, for a test in its own process or a person at their own desk."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from local.standin.connection import Connection, Listener
from local.standin.request import read
from local.standin.runs import Generation, Run, Runs
from local.standin.script import WEBHOOK, Rule, Script, parse_rule
from local.standin.webhooks import Agenda, Sender, event
from local.standin.wire import Json, WireError, model_not_found, parse_object

HOST = "127.0.0.1"
FAMILIES = ("gpt-", "o1", "o3", "o4", "qwen")
OWNER = "stand-in"
LOOK_SECONDS = 0.1


class StandIn:
    """A stand-in provider. As a context manager it is up between `with` and the end of the block.

    `models` are the names it serves, None for any of the usual families; `speed` divides every second of thinking;
    `api_key` None takes any key; with `webhook_url` and `webhook_secret` it announces the end of each background run.
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
            raise ValueError("speed: a number above zero")
        if (webhook_url is None) != (webhook_secret is None):
            raise ValueError("a webhook URL and its secret go together")
        self.api_key = api_key
        self.stopping = Event()
        self._models = None if models is None else frozenset(models)
        self._script = Script()
        self.runs = Runs(self._script, speed)
        self._agenda = Agenda()
        self._sender: Sender | None = None
        if webhook_url and webhook_secret:
            self.announce_to(webhook_url, webhook_secret)
        self._listener = Listener((HOST, port), partial(Connection, self))
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._agenda.start()
        self._thread.start()

    def announce_to(self, webhook_url: str, webhook_secret: str) -> None:
        """Announce the end of each background run from now on: who listens may come up after us. Raises ValueError."""
        self._sender = Sender(webhook_url, webhook_secret, self.stopping)

    def stop(self) -> None:
        """Close every connection, whatever hangs on it, and end every thread."""
        self.stopping.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.end()
        self._agenda.stop()

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def generations(self) -> list[Generation]:
        """Every generation since the start or the last reset, oldest first."""
        return self.runs.generations()

    @property
    def requests(self) -> dict[str, int]:
        """How many requests came in, by kind: create, retrieve, cancel, delete, models."""
        return dict(self.runs.requests)

    def script(self, do: str, **fields: Any) -> None:
        """Misbehave; `Rule` says how. Raises ValueError."""
        self._script.add(parse_rule({"do": do, **fields}))

    def clear(self) -> None:
        """Behave again; what happened stays counted."""
        self._script.clear()

    def reset(self) -> None:
        """Behave again, and forget every run."""
        self._script.clear()
        self.runs.reset()

    def first_rule(self, kind: str, among: frozenset[str], subjects: Sequence[str] = ()) -> Rule | None:
        return self._script.first(kind, among, subjects)

    def serves(self, model: str) -> bool:
        """A name it was told, or one of those with a snapshot's date behind it."""
        if self._models is None:
            return model.startswith(FAMILIES)
        return model in self._models or (model[-11:-10] == "-" and model[:-11] in self._models)

    def create(self, raw: bytes, gone: Callable[[], bool] = lambda: False) -> Json:
        """Start a generation; for one that is not in the background, wait until it has ended. One whose caller is
        `gone` before that ends there, as with servers that have no background mode. Raises WireError."""
        request = read(parse_object(raw), self.serves)
        run = self.runs.start(request, raw)
        if request.background:
            # As it was when it started: however busy the machine is, the first answer says queued.
            if run.ends is not None:
                self._agenda.at(run.ends, partial(self._announce, run))
            return run.shape(run.started)
        while (now := time.monotonic()) < (run.ends or math.inf) and not self.stopping.is_set():
            if gone():
                run.cancelled = True
                break
            self.stopping.wait(min(LOOK_SECONDS, (run.ends or math.inf) - now))
        return run.shape(time.monotonic())

    def retrieve(self, response_id: str) -> Json:
        if self._script.first("retrieve", frozenset({"forgotten"}), self.runs.subjects(response_id)):
            self.runs.forget(response_id)
        return self.runs.find(response_id).shape(time.monotonic())

    def cancel(self, response_id: str) -> Json:
        run = self.runs.cancel(response_id)
        if run.cancelled:
            self._agenda.at(time.monotonic(), partial(self._announce, run))
        return run.shape(time.monotonic())

    def delete(self, response_id: str) -> Json:
        self.runs.forget(response_id)
        return {"id": response_id, "object": "response", "deleted": True}

    def list_models(self) -> Json:
        names = sorted(self._models) if self._models is not None else self.runs.models()
        return {"object": "list", "data": [self._shape_model(name) for name in names]}

    def show_model(self, name: str) -> Json:
        if not self.serves(name):
            raise model_not_found(name)
        return self._shape_model(name)

    def _shape_model(self, name: str) -> Json:
        return {"id": name, "object": "model", "created": 0, "owned_by": OWNER}

    def state(self) -> Json:
        """What happened so far: no prompt, no answer, no key."""
        shown = [
            {
                "id": one.id,
                "model": one.model,
                "metadata": dict(one.metadata),
                "status": one.status,
                "effort": one.effort,
            }
            for one in self.generations
        ]
        return {"stand_in": True, "generations": shown, "requests": self.requests, "script": self._script.listed()}

    def control(self, name: str, raw: bytes) -> Json:
        """The test's own doors, under /_standin. Raises WireError."""
        doors: dict[str, Callable[[], None]] = {"reset": self.reset, "clear": self.clear}
        if name in doors:
            doors[name]()
        elif name == "script":
            try:
                self._script.add(parse_rule(parse_object(raw)))
            except ValueError as error:
                raise WireError(400, str(error), param=str(error).partition(":")[0]) from None
        else:
            raise WireError(404, "The stand-in has /_standin/state, /script, /clear and /reset.")
        return self.state()

    def _announce(self, run: Run) -> None:
        if self._sender is None or not self.runs.announce_once(run):
            return
        message = event(run.id, run.status(time.monotonic()), int(time.time()))
        rules = {rule.do: rule for rule in self._script.every("webhook", WEBHOOK, run.subjects)}
        if "webhook_dropped" in rules:
            return
        send = partial(self._sender.send, message, forged="webhook_forged" in rules)
        for _ in range(2 if "webhook_duplicated" in rules else 1):
            if delayed := rules.get("webhook_delayed"):
                self._agenda.at(time.monotonic() + delayed.seconds, send)
            else:
                send()
