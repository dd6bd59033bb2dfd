"""A webhook receiver on loopback. The openai SDK verifies each webhook; a test can make the receiver fail.

`python -m local.receiver` receives the webhooks of `make serve` and prints each one.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

from local.address import HOST, require_free
from local.failure import LocalFailure
from local.signals import Stopped, stop_on_signal
from local.tenants import TENANTS

PORT = 9001
MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True)
class Arrival:
    """One POST. `event` and `job_id` come from `client.webhooks.unwrap()`; `error` says why it failed.
    `response_status` is the status that the receiver returned."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    response_status: int
    event: str | None = None
    job_id: str | None = None
    error: str | None = None

    @property
    def verified(self) -> bool:
        return self.event is not None


@dataclass
class Receiver:
    """Receives POST /<tenant> and verifies it with that tenant's secret. `response_status` is for verified webhooks."""

    secrets: dict[str, str]
    port: int
    response_status: int = 200
    on_arrival: Callable[[Arrival], None] = lambda _arrival: None
    _arrivals: list[Arrival] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def url(self, tenant: str) -> str:
        return f"http://{HOST}:{self.port}/{tenant}"

    @property
    def arrivals(self) -> list[Arrival]:
        with self._changed:
            return list(self._arrivals)

    def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        arrival = self.verify(path, headers, body)
        with self._changed:
            self._arrivals.append(arrival)
            self._changed.notify_all()
        self.on_arrival(arrival)
        return arrival.response_status

    def verify(self, path: str, headers: Mapping[str, str], body: bytes) -> Arrival:
        status, at = self.response_status, time.time()
        tenant = path.strip("/")
        if tenant not in self.secrets:
            return Arrival(path, headers, body, at, 404, error="no tenant of this name")
        client = openai.OpenAI(api_key="unused", webhook_secret=self.secrets[tenant])
        try:
            event = client.webhooks.unwrap(body.decode(), headers)
        except (openai.OpenAIError, ValueError) as error:
            return Arrival(path, headers, body, at, 400, error=str(error))
        return Arrival(path, headers, body, at, status, event=event.type, job_id=str(getattr(event.data, "id", "")))

    def wait_for(self, job_id: str, seconds: float, *, response_status: int | None = None) -> Arrival | None:
        """The first verified webhook of the job (with this response status), or None after `seconds`."""

        def first_match() -> Arrival | None:
            matches = (a for a in self._arrivals if a.job_id == job_id and response_status in (None, a.response_status))
            return next(matches, None)

        with self._changed:
            self._changed.wait_for(first_match, seconds)
            return first_match()


@contextmanager
def receiving(
    secrets: dict[str, str], port: int, on_arrival: Callable[[Arrival], None] = lambda _arrival: None
) -> Iterator[Receiver]:
    receiver = Receiver(secrets, port, on_arrival=on_arrival)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status = 413
            if 0 <= length <= MAX_BODY_BYTES:
                status = receiver.receive(self.path, dict(self.headers), self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: `on_arrival` prints what is needed."""

    server = ThreadingHTTPServer((HOST, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def show(arrival: Arrival) -> None:
    verified = f"{arrival.event} {arrival.job_id}: signature accepted"
    result = verified if arrival.verified else f"REFUSED: {arrival.error}"
    print(f"{time.strftime('%H:%M:%S')} POST {arrival.path} {result}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="A webhook receiver for `make serve`.")
    parser.add_argument("--port", type=int, default=PORT)
    port = parser.parse_args().port
    with stop_on_signal():
        try:
            require_free(port, "--port")
            with receiving({tenant.name: tenant.webhook_secret for tenant in TENANTS}, port, show) as receiver:
                for tenant in TENANTS:
                    print(f"{tenant.name}: {receiver.url(tenant.name)}", flush=True)
                while True:
                    signal.pause()
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except Stopped:
            return 0


if __name__ == "__main__":
    sys.exit(main())
