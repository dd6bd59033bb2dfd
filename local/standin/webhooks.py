"""The provider's webhooks: OpenAI's thin events, signed as Standard Webhooks, sent when a background run ends."""

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

MAX_ATTEMPTS = 4
FIRST_RETRY_SECONDS = 0.5
TIMEOUT_SECONDS = 10.0


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. `secret` is base64, with or without `whsec_`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def event(response_id: str, status: str, created_at: int) -> Json:
    event_id = "evt_" + hashlib.sha256(f"{response_id}:{status}".encode()).hexdigest()[:32]
    kind = f"response.{status}"
    return {"id": event_id, "object": "event", "created_at": created_at, "type": kind, "data": {"id": response_id}}


class Scheduler:
    """Runs actions at given times, on one thread. Actions that are still pending when it stops are dropped."""

    def __init__(self) -> None:
        self._pending: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = Condition()
        self._stopped = False
        self._thread = Thread(target=self._run, name="stand-in scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Run a short action at `due` (monotonic seconds)."""
        with self._changed:
            heapq.heappush(self._pending, (due, next(self._order), action))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (not self._pending or self._pending[0][0] > time.monotonic()):
                    self._changed.wait(self._pending[0][0] - time.monotonic() if self._pending else None)
                if self._stopped:
                    return
                _, _, action = heapq.heappop(self._pending)
            action()


class WebhookSender:
    """Posts signed events to one URL, each on its own thread, and retries those not answered with 2xx."""

    def __init__(self, url: str, secret: str, stopping: Event) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError("webhook_url: an http or https URL is required")
        if not base64.b64decode(secret.removeprefix("whsec_"), validate=True):
            raise ValueError("webhook_secret: whsec_ and base64 are required")
        self._secret = secret
        self._stopping = stopping

    def send(self, message: Json, *, forged: bool = False) -> None:
        """Send the event; a forged one has a signature that does not match its body."""
        Thread(target=self._deliver, args=(message, forged), name="stand-in webhook", daemon=True).start()

    def _deliver(self, message: Json, forged: bool) -> None:
        body = json.dumps(message).encode()
        for attempt in range(MAX_ATTEMPTS):
            timestamp = int(time.time())
            headers = {
                "content-type": "application/json",
                "user-agent": "afterthought-stand-in",
                "webhook-id": message["id"],
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(self._secret, message["id"], timestamp, body + b" " if forged else body),
            }
            if self._post(body, headers) or self._stopping.wait(FIRST_RETRY_SECONDS * 2**attempt):
                return

    def _post(self, body: bytes, headers: dict[str, str]) -> bool:
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            connection.request("POST", path, body, headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
