"""One HTTP/1.1 connection: reads requests, sends responses, and applies the rules that cause failures."""

import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from local.standin.script import AFTER_RUN, BEFORE_READING, BEFORE_RUN, HTTP_ERRORS, REQUEST, Rule
from local.standin.wire import Json, WireError

if TYPE_CHECKING:
    from local.standin.server import StandIn

MAX_BODY_BYTES = 64 * 1024 * 1024
GREETING = (
    "This is a stand-in for a model provider, not a model. It serves OpenAI's Responses API on this machine, answers "
    "arithmetic questions, and costs nothing.\n"
)


class DroppedError(Exception):
    """Close the connection without a response."""


class Connection(BaseHTTPRequestHandler):
    """Runs on its own thread."""

    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    sys_version = ""
    # Without these two, headers and body go out as two packets, 40 ms apart.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True

    def __init__(self, stand_in: "StandIn", *arguments: Any) -> None:
        self.stand_in = stand_in
        super().__init__(*arguments)

    def setup(self) -> None:
        super().setup()
        if isinstance(self.server, Listener):
            self.server.register(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if isinstance(self.server, Listener):
                self.server.unregister(self.connection)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a request line can hold data of a test that must not appear in a log."""

    def do_GET(self) -> None:
        self.handle_request()

    def do_POST(self) -> None:
        self.handle_request()

    def do_DELETE(self) -> None:
        self.handle_request()

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path).rstrip("/")
        try:
            kind, name = self.classify(path)
            if kind != "open" and (rule := self.stand_in.take_rule(kind, BEFORE_READING)):
                self.hang(rule)
            raw = self.read_body()
            if kind == "open":
                self.handle_open(path, raw)
                return
            self.stand_in.runs.count(kind)
            self.authorise()
            rule = self.stand_in.take_rule(kind, REQUEST, self.texts(kind, name, raw))
            self.apply_before(rule)
            response = self.call(kind, name, raw)
            self.apply_after(rule, json.dumps(response).encode())
        except WireError as error:
            html = not error.kind
            body = error.message.encode() if html else json.dumps(error.body).encode()
            self.reply(error.status, body, "text/html" if html else "application/json", error.headers)
        except DroppedError:
            self.close_connection = True

    def classify(self, path: str) -> tuple[str, str]:
        """The kind of request that rules name, and the id or model in the path. Raises WireError 404."""
        parts = path.split("/")[1:]
        match [self.command, *parts]:
            case ["POST", "v1", "responses"]:
                return "create", ""
            case ["GET", "v1", "responses", response_id]:
                return "retrieve", response_id
            case ["POST", "v1", "responses", response_id, "cancel"]:
                return "cancel", response_id
            case ["DELETE", "v1", "responses", response_id]:
                return "delete", response_id
            case ["GET", "v1", "models", *rest] if len(rest) < 2:
                return "models", "".join(rest)
            case ["GET"] | ["GET", "healthz"] | ["GET" | "POST", "_standin", _]:
                return "open", ""
        self.read_body()
        raise WireError(404, f"Invalid URL ({self.command} {path}): this stand-in does not serve it.")

    def call(self, kind: str, name: str, raw: bytes) -> Json:
        calls: dict[str, Callable[[], Json]] = {
            "create": lambda: self.stand_in.create(raw, self.disconnected),
            "retrieve": lambda: self.stand_in.retrieve(name),
            "cancel": lambda: self.stand_in.cancel(name),
            "delete": lambda: self.stand_in.delete(name),
            "models": lambda: self.stand_in.show_model(name) if name else self.stand_in.list_models(),
        }
        return calls[kind]()

    def disconnected(self) -> bool:
        """Whether the client has closed the connection."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def handle_open(self, path: str, raw: bytes) -> None:
        """The paths that need no key: the greeting, the health check and the control endpoints of tests."""
        if path == "":
            self.reply(200, GREETING.encode(), "text/plain; charset=utf-8")
        elif path == "/healthz":
            self.reply(200, b'{"status": "ok", "stand_in": true}')
        elif self.command == "GET" and path == "/_standin/state":
            self.reply(200, json.dumps(self.stand_in.state()).encode())
        else:
            state = self.stand_in.control(path.rpartition("/")[2] if self.command == "POST" else "", raw)
            self.reply(200, json.dumps(state).encode())

    def read_body(self) -> bytes:
        if self.headers.get("transfer-encoding"):
            self.close_connection = True
            raise WireError(411, "This stand-in does not accept chunked requests.")
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise WireError(413, "The request body is too large.")
        raw = self.rfile.read(int(length))
        if len(raw) < int(length):
            raise DroppedError
        return raw

    def authorise(self) -> None:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise WireError(401, "Missing bearer authentication in header.")
        expected = self.stand_in.api_key
        if expected is not None and not secrets.compare_digest(key.strip().encode(), expected.encode()):
            raise WireError(401, "Incorrect API key provided.", code="invalid_api_key")

    def texts(self, kind: str, name: str, raw: bytes) -> tuple[str, ...]:
        """The texts that a rule's `contains` is compared with: model, metadata values and response id."""
        if kind != "create":
            return self.stand_in.runs.texts(name)
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return ()
        if not isinstance(body, dict):
            return ()
        metadata = body.get("metadata")
        values = list(metadata.values()) if isinstance(metadata, dict) else []
        return tuple(value for value in [body.get("model"), *values] if isinstance(value, str))

    def apply_before(self, rule: Rule | None) -> None:
        if rule is None:
            return
        if rule.do in HTTP_ERRORS:
            raise rule.error()
        if rule.do == "slow":
            self.stand_in.stopping.wait(rule.seconds)
        elif rule.do == "hang_before":
            self.hang(rule)
        elif rule.do in BEFORE_RUN:
            self.drop(rule)

    def apply_after(self, rule: Rule | None, body: bytes) -> None:
        """Respond with 200 unless a rule says otherwise. The run has started."""
        match rule.do if rule and rule.do in AFTER_RUN else "":
            case "hang_after" if rule:
                self.hang(rule)
            case "close_after" if rule:
                self.drop(rule)
            case "truncated":
                self.reply(200, body[: len(body) // 2], length=len(body))
                raise DroppedError
            case "garbage":
                self.reply(200, b'{"id": "resp_\xff\xfe not JSON')
            case "wrong_content_type":
                self.reply(200, b"<html><body>Welcome to the network. Please sign in.</body></html>", "text/html")
            case "empty":
                self.reply(200, b"")
            case _:
                self.reply(200, body)

    def hang(self, rule: Rule) -> None:
        """Send nothing for the rule's seconds, then close the connection."""
        self.stand_in.stopping.wait(rule.seconds)
        raise DroppedError

    def drop(self, rule: Rule) -> None:
        """Close the connection with FIN, or with RST if the rule says `reset`."""
        if rule.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if isinstance(self.server, Listener):
                self.server.unregister(self.connection)
            # socket.close() would wait for the file objects on the socket, and then send FIN.
            os.close(self.connection.detach())
        raise DroppedError

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.send_header("x-stand-in", "true")
        self.send_header("x-request-id", f"req_{secrets.token_hex(16)}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)


class Listener(ThreadingHTTPServer):
    """Serves each connection on its own thread. `close` ends all of them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: Callable[..., Connection]) -> None:
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def register(self, connection: socket.socket) -> None:
        with self._lock:
            self._open[connection] = threading.current_thread()

    def unregister(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.pop(connection, None)

    def close(self) -> None:
        """Close the listening socket and every connection, and wait for their threads."""
        self.server_close()
        with self._lock:
            remaining = dict(self._open)
        for connection in remaining:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        deadline = time.monotonic() + 5
        for thread in remaining.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
