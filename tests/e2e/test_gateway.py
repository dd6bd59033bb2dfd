"""The local gateway alone, with an upstream that returns what it received."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from local import gateway
from local.address import HOST, free_port

pytestmark = pytest.mark.e2e


class Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        received = {"path": self.path, "bytes": len(self.rfile.read(length)), "key": self.headers["Authorization"]}
        body = json.dumps(received).encode()
        self.send_response(202)
        self.send_header("X-Request-Id", "upstream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    upstream = ThreadingHTTPServer((HOST, 0), Echo)
    thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with gateway.serving(free_port(), f"http://{HOST}:{upstream.server_port}", "/stage") as base_url:
            yield urlsplit(base_url).netloc
    finally:
        upstream.shutdown()
        thread.join()
        upstream.server_close()


@pytest.fixture
def connection(address: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(address, timeout=10)
    yield connection
    connection.close()


def test_request_and_answer_pass_unchanged(connection: http.client.HTTPConnection) -> None:
    for _ in range(2):  # the second on the same connection
        connection.request("POST", "/v1/responses?x=1", b"a" * 3_000_000, {"Authorization": "Bearer k"})
        answer = connection.getresponse()

        assert (answer.status, answer.headers["X-Request-Id"]) == (202, "upstream")
        assert json.loads(answer.read()) == {"path": "/stage/v1/responses?x=1", "bytes": 3_000_000, "key": "Bearer k"}


def test_chunked_body_is_joined(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/", iter((b"one", b"three")), encode_chunked=True)

    assert json.loads(connection.getresponse().read())["bytes"] == 8


def test_body_above_ten_megabytes_is_413(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", "10000001")
    connection.endheaders()

    answer = connection.getresponse()

    assert answer.status == 413
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "many"])
def test_invalid_length_is_400(connection: http.client.HTTPConnection, length: str) -> None:
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", length)
    connection.endheaders()

    assert connection.getresponse().status == 400


def test_missing_upstream_is_503() -> None:
    with gateway.serving(free_port(), f"http://{HOST}:{free_port()}", "") as base_url:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 503
        connection.close()
