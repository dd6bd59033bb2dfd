"""The provider's own webhooks: OpenAI's thin events, signed as Standard Webhooks has it, sent when a run ends."""

import base64
import hashlib
import heapq
import hmac
import http.client
import itertools
import json
import time
from collections.abc import Callable
from threading import Condition, Event, Thread
from urllib.parse import urlsplit

from local.standin.wire import Json

TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
RECEIVER_TIMEOUT_SECONDS = 10.0


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of a message. `secret` is `whsec_` and base64, or base64 alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def event(response_id: str, status: str, created_at: int) -> Json:
    event_id = "evt_" + hashlib.sha256(f"{response_id}:{status}".encode()).hexdigest()[:32]
    kind = f"response.{status}"
    return {"id": event_id, "object": "event", "created_at": created_at, "type": kind, "data": {"id": response_id}}


class Agenda:
    """One thread that does things when they are due. What is still due when it stops is dropped."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = Condition()
        self._stopped = False
        self._thread = Thread(target=self._run, name="stand-in agenda", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Do `action`, which must be quick, at `due` (monotonic seconds)."""
        with self._changed:
            heapq.heappush(self._due, (due, next(self._order), action))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (not self._due or self._due[0][0] > time.monotonic()):
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if self._stopped:
                    return
                _, _, action = heapq.heappop(self._due)
            action()


class Sender:
    """Posts signed events to one URL, a thread for each, and tries again what is not answered 2xx."""

    def __init__(self, url: str, secret: str, stopping: Event) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError("the webhook URL is no http(s) URL")
        if not base64.b64decode(secret.removeprefix("whsec_"), validate=True):
            raise ValueError("the webhook secret is empty: expected whsec_ and base64")
        self._secret = secret
        self._stopping = stopping

    def send(self, message: Json, *, forged: bool = False) -> None:
        Thread(target=self._deliver, args=(message, forged), name="stand-in webhook", daemon=True).start()

    def _deliver(self, message: Json, forged: bool) -> None:
        body = json.dumps(message).encode()
        for attempt in range(TRIES):
            timestamp = int(time.time())
            signature = sign(self._secret, message["id"], timestamp, body + b" " if forged else body)
            headers = {
                "content-type": "application/json",
                "user-agent": "afterthought-stand-in",
                "webhook-id": message["id"],
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature,
            }
            if self._post(body, headers) or self._stopping.wait(FIRST_PAUSE_SECONDS * 2**attempt):
                return

    def _post(self, body: bytes, headers: dict[str, str]) -> bool:
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(self._url.hostname or "", self._url.port, timeout=RECEIVER_TIMEOUT_SECONDS)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            connection.request("POST", path, body, headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
