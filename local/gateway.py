"""Serves the HTTP API at a plain base URL on loopback. The emulator serves it under a path and without limits.

Like the gateway in AWS it refuses a body above 10 MB and responds with 503 after 30 s. Unlike it, it forwards only a
few requests at a time: the emulator starts a function process for each, and a laptop cannot start fifty.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

from local.address import HOST

MAX_BODY_BYTES = 10_000_000
TIMEOUT_SECONDS = 30.0
MAX_CONCURRENT = 4
# Headers of a single connection, which are not forwarded (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host")
)


@contextmanager
def serving(port: int, upstream: str, prefix: str) -> Iterator[str]:
    """Serve `upstream` + `prefix` at the root of the port. Yields the base URL for an OpenAI client."""
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
    # Enough for a burst of fifty connections.
    request_queue_size = 128

    def __init__(self, port: int, upstream: str, prefix: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.prefix = prefix
        self.slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        super().__init__((HOST, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class TooLarge(Exception):
    """The request body is above MAX_BODY_BYTES."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these two, headers and body go out as two packets, 40 ms apart.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: GatewayServer
    error_bodies: ClassVar[dict[int, bytes]] = {
        400: b'{"message":"Bad Request"}',
        413: b'{"message":"Request Entity Too Large"}',
        503: b'{"message":"Service Unavailable"}',
    }

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the api function logs each request."""

    def forward(self) -> None:
        try:
            body = self.read_body()
        except (TooLarge, ValueError) as error:
            self.refuse(413 if isinstance(error, TooLarge) else 400)
            return
        with self.server.slots:
            connection = http.client.HTTPConnection(self.server.upstream, timeout=TIMEOUT_SECONDS)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                connection.request(self.command, self.server.prefix + self.path, body, headers)
                response = connection.getresponse()
                payload = response.read()
            except (OSError, http.client.HTTPException):
                self.refuse(503)
                return
            finally:
                connection.close()
        self.respond(response.status, response.getheaders(), payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = forward  # noqa: N815 - http.server's names

    def read_body(self) -> bytes:
        """Raises TooLarge, or ValueError for an invalid length or chunk."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self.read_chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError(length)
        if length > MAX_BODY_BYTES:
            raise TooLarge
        return self.rfile.read(length)

    def read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            if len(body) + size > MAX_BODY_BYTES:
                raise TooLarge
            body += self.rfile.read(size)
            self.rfile.readline(8)
        while self.rfile.readline(8192).strip():
            pass
        return bytes(body)

    def refuse(self, status: int) -> None:
        # The unread rest of the body would be taken for the next request.
        self.close_connection = True
        self.respond(status, [("Content-Type", "application/json"), ("Connection", "close")], self.error_bodies[status])

    def respond(self, status: int, headers: list[tuple[str, str]], payload: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP - {"connection"} and name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
