"""A model provider on loopback, and beside it a receiver of webhooks.

Its models think for as long as they are told, by the bench's clock, and give the same answer whatever they are asked.
A call that is awaited takes its time at once: the clock is moved on.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from afterthought.domain import signature

Json = dict[str, Any]

CREATE, AWAIT, LOOK, DELIVER = "create", "awaited create", "retrieve", "webhook"
"""What it is called for."""

SIGNING_SECRET = signature.new_secret(bytes(range(32)))
"""What it signs its events with."""


@dataclass
class Run:
    """A response in the background."""

    asked: Json
    ends_at: datetime


class Provider:
    """`thinking` and `answer` are those of the calls that come next; `calls` counts what it was called for;
    `unannounced` are the responses in the background whose end it has not told of, with when that is."""

    def __init__(self, now: Callable[[], datetime], pass_by: Callable[[timedelta], None]) -> None:
        self.thinking = timedelta(0)
        self.answer = ""
        self.calls: Counter[str] = Counter()
        self.unannounced: dict[str, datetime] = {}
        self._runs: dict[str, Run] = {}
        self._now = now
        self._pass_by = pass_by
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def hook_url(self) -> str:
        return f"{self.origin}/hook"

    def post(self, path: str, body: bytes) -> Json:
        if path == "/hook":
            self.calls[DELIVER] += 1
            return {}
        asked = json.loads(body)
        response_id = f"resp_{secrets.token_hex(24)}"
        if not asked.get("background"):
            self.calls[AWAIT] += 1
            self._pass_by(self.thinking)
            return self._response(response_id, asked, ended=True)
        self.calls[CREATE] += 1
        ends_at = self.unannounced[response_id] = self._now() + self.thinking
        self._runs[response_id] = Run(asked, ends_at)
        return self._response(response_id, asked, ended=False)

    def get(self, path: str) -> Json:
        self.calls[LOOK] += 1
        response_id = path.rpartition("/")[2]
        run = self._runs[response_id]
        return self._response(response_id, run.asked, ended=self._now() >= run.ends_at)

    def event(self, response_id: str) -> tuple[Json, bytes]:
        """Headers and body of what it says when a response has ended."""
        now = int(self._now().timestamp())
        event_id = f"evt_{secrets.token_hex(24)}"
        told = {"id": event_id, "object": "event", "created_at": now, "type": "response.completed"}
        body = json.dumps({**told, "data": {"id": response_id}}).encode()
        return signature.headers((SIGNING_SECRET,), message_id=event_id, timestamp=now, body=body), body

    def _response(self, response_id: str, asked: Json, *, ended: bool) -> Json:
        usage = {
            "input_tokens": 243,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 2391,
            "output_tokens_details": {"reasoning_tokens": 1920},
            "total_tokens": 2634,
        }
        return {
            "id": response_id,
            "object": "response",
            "created_at": int(self._now().timestamp()),
            "status": "completed" if ended else "queued",
            "background": bool(asked.get("background")),
            "metadata": asked["metadata"],
            "model": asked["model"],
            "output": _items(self.answer) if ended else [],
            "service_tier": "default",
            "usage": usage if ended else None,
        }


def _items(text: str) -> list[Json]:
    """As OpenAI gives an answer: what was thought, which is not shown, and what is said."""
    return [
        {"id": f"rs_{secrets.token_hex(24)}", "type": "reasoning", "summary": []},
        {
            "id": f"msg_{secrets.token_hex(24)}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
        },
    ]


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The answer's head and body leave in one packet each; waiting to merge them costs 40 ms.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self._send(provider.post(self.path, self.rfile.read(int(self.headers.get("content-length", 0)))))

        def do_GET(self) -> None:
            self._send(provider.get(self.path))

        def _send(self, answer: Json) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler
