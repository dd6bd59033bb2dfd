"""A minimal AWS on loopback for the measured processes. It answers at once, so the measured time is the function's.

It stores items and objects by key. Conditions and updates are not applied. A full emulator would take longer than the
functions do.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from bench.loopback_server import LoopbackServer, Reply

Json = dict[str, Any]

_PUBLISHED = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId>'
    b"</PublishResult></PublishResponse>"
)


class FakeAws(LoopbackServer):
    """Also receives webhooks. `secret` is the text of every secret in Secrets Manager."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret
        self._items: dict[tuple[str, str, str], Json] = {}
        self._objects: dict[str, bytes] = {}
        """S3's, by path with the bucket."""

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if method == "PUT":
            self._objects[path] = body
            return Reply("text/plain", b"")
        if method == "GET":
            return Reply("application/octet-stream", self._objects[path])
        if path == "/hook":
            return Reply("text/plain", b"")
        if (target := headers.get("x-amz-target")) is None:
            # Only SNS uses AWS's query protocol, and the functions only publish.
            return Reply("text/xml", _PUBLISHED)
        answer = self._call(target.rpartition(".")[2], json.loads(body))
        return Reply("application/x-amz-json-1.0", json.dumps(answer).encode())

    def _call(self, operation: str, request: Json) -> Json:
        """Operations of DynamoDB, SQS, KMS and Secrets Manager in their JSON protocols."""
        operations: dict[str, Callable[[Json], Json]] = {
            "GetItem": self._get,
            "PutItem": self._put,
            # The returned item has only its key, so every counter in it is zero.
            "UpdateItem": lambda request: {"Attributes": request["Key"]} if "ReturnValues" in request else {},
            "TransactWriteItems": self._transact,
            "Query": lambda _: {"Items": [], "Count": 0, "ScannedCount": 0},
            "SendMessage": lambda _: {"MessageId": "1", "MD5OfMessageBody": ""},
            # Nothing is encrypted.
            "Decrypt": lambda request: {"Plaintext": request["CiphertextBlob"], "KeyId": "key"},
            "GetSecretValue": lambda request: {"Name": request["SecretId"], "SecretString": self._secret},
        }
        return operations[operation](request)

    def _get(self, request: Json) -> Json:
        key = request["Key"]
        item = self._items.get((request["TableName"], key["pk"]["S"], key["sk"]["S"]))
        return {} if item is None else {"Item": item}

    def _put(self, request: Json) -> Json:
        item = request["Item"]
        self._items[request["TableName"], item["pk"]["S"], item["sk"]["S"]] = item
        return {}

    def _transact(self, request: Json) -> Json:
        for write in request["TransactItems"]:
            if "Put" in write:
                self._put(write["Put"])
        return {}
