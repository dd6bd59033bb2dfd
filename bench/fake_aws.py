"""As much of AWS as the functions' first requests need, on loopback: it answers at once, so that the time is ours.

Items and objects are kept and found by their keys; conditions and updates are not carried out. It is no emulator: the
time of one would drown what is measured.
"""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]


class Loopback:
    """AWS, and a receiver of webhooks at `/hook`. `secret` is the text of every secret asked for."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._items: dict[tuple[str, str, str], Json] = {}
        self.objects: dict[str, bytes] = {}
        """Of S3, by the path with the bucket."""
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
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, operation: str, asked: Json) -> Json:
        """What the operation of DynamoDB, SQS, KMS or Secrets Manager answers, in their JSON protocols."""
        answers: dict[str, Callable[[Json], Json]] = {
            "GetItem": self._get,
            "PutItem": self._put,
            # Whoever asks for the item that was written gets its key, and finds nothing counted in it.
            "UpdateItem": lambda asked: {"Attributes": asked["Key"]} if "ReturnValues" in asked else {},
            "TransactWriteItems": self._transact,
            "Query": lambda _: {"Items": [], "Count": 0, "ScannedCount": 0},
            "SendMessage": lambda _: {"MessageId": "1", "MD5OfMessageBody": ""},
            # What was never encrypted is its own plain text.
            "Decrypt": lambda asked: {"Plaintext": asked["CiphertextBlob"], "KeyId": "key"},
            "GetSecretValue": lambda asked: {"Name": asked["SecretId"], "SecretString": self._secret},
        }
        return answers[operation](asked)

    def _get(self, asked: Json) -> Json:
        key = asked["Key"]
        item = self._items.get((asked["TableName"], key["pk"]["S"], key["sk"]["S"]))
        return {} if item is None else {"Item": item}

    def _put(self, asked: Json) -> Json:
        item = asked["Item"]
        self._items[asked["TableName"], item["pk"]["S"], item["sk"]["S"]] = item
        return {}

    def _transact(self, asked: Json) -> Json:
        for write in asked["TransactItems"]:
            if "Put" in write:
                self._put(write["Put"])
        return {}


_PUBLISHED = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId>'
    b"</PublishResult></PublishResponse>"
)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The answer's head and body leave in one packet each; waiting to merge them costs 40 ms.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            target = self.headers.get("x-amz-target")
            if self.path == "/hook":
                self._send("text/plain", b"")
            elif target is None:
                # SNS alone still speaks AWS's query protocol, and all that is asked of it is to publish.
                self._send("text/xml", _PUBLISHED)
            else:
                answer = loopback.answer(target.rpartition(".")[2], json.loads(body))
                self._send("application/x-amz-json-1.0", json.dumps(answer).encode())

        def do_PUT(self) -> None:
            loopback.objects[self.path] = self.rfile.read(int(self.headers["content-length"]))
            self._send("text/plain", b"")

        def do_GET(self) -> None:
            self._send("application/octet-stream", loopback.objects[self.path])

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler
