"""The HTTP API under a plain base URL on loopback. The emulator serves it under a path of its own, and without bounds.

Like the gateway in AWS it refuses a body above 10 MB and answers 503 after 30 s. Unlike it, it lets only a few requests
in at once: each would get a function process of its own, and a laptop cannot start fifty.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

from local.address import HOST

MOST_BODY_BYTES = 10_000_000
TIMEOUT_SECONDS = 30.0
AT_ONCE = 4
# Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host")
)


@contextmanager
def serving(port: int, upstream: str, prefix: str) -> Iterator[str]:
    """Serve `upstream` + `prefix` at the root of the port. Yields the base URL to give an OpenAI SDK."""
    server = GatewayServer(port, upstream, prefix)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class GatewayServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A burst of fifty connections must not be refused before it is queued.
    request_queue_size = 128

    def __init__(self, port: int, upstream: str, prefix: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.prefix = prefix
        self.room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((HOST, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class TooLarge(Exception):
    """The body is above what the gateway takes."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these two the head and the body of an answer go out apart, 40 ms from each other.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: GatewayServer
    own_messages: ClassVar[dict[int, bytes]] = {
        400: b'{"message":"Bad Request"}',
        413: b'{"message":"Request Entity Too Large"}',
        503: b'{"message":"Service Unavailable"}',
    }

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the api function logs each request."""

    def forward(self) -> None:
        try:
            body = self.body()
        except (TooLarge, ValueError) as error:
            self.refuse(413 if isinstance(error, TooLarge) else 400)
            return
        with self.server.room:
            connection = http.client.HTTPConnection(self.server.upstream, timeout=TIMEOUT_SECONDS)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                connection.request(self.command, self.server.prefix + self.path, body, headers)
                answer = connection.getresponse()
                payload = answer.read()
            except (OSError, http.client.HTTPException):
                self.refuse(503)
                return
            finally:
                connection.close()
        self.answer(answer.status, answer.getheaders(), payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = forward  # noqa: N815 - http.server's names

    def body(self) -> bytes:
        """The request's body, whole. Raises TooLarge, or ValueError for a length or a chunk that makes no sense."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self.chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError(length)
        if length > MOST_BODY_BYTES:
            raise TooLarge
        return self.rfile.read(length)

    def chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            if len(body) + size > MOST_BODY_BYTES:
                raise TooLarge
            body += self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(8192).strip():
            pass
        return bytes(body)

    def refuse(self, status: int) -> None:
        # What is left of the body would be read as the next request.
        self.close_connection = True
        self.answer(status, [("Content-Type", "application/json"), ("Connection", "close")], self.own_messages[status])

    def answer(self, status: int, headers: list[tuple[str, str]], payload: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP - {"connection"} and name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
