"""HTTPS client for the callers' webhook endpoints, protected against server-side request forgery.

The host name is resolved once, all its addresses are checked, and the connection goes to one of those addresses. So a
later DNS change (DNS rebinding) has no effect. Redirects are not followed.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult

from afterthought.domain.errors import DeliveryFailed, InvalidRequest
from afterthought.domain.webhooks.endpoint import check_url, is_public, origin

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 12.0
"""The limit of one exchange, from the connection to the response headers. It must end within the function's 60 s."""

_MAX_ADDRESSES = 2

_MAX_BODY_BYTES = 4096
_BODY_SECONDS = 0.5
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host name. Raises OSError."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class HttpsWebhookClient:
    """The port `WebhookClient` over HTTPS. `allowed_origins` are called at any address; only a local stack sets them.
    `tls` verifies server certificates (default: the system's certificate authorities)."""

    def __init__(
        self,
        allowed_origins: AbstractSet[str],
        resolver: Resolve = resolve,
        *,
        tls: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._allowed_origins = allowed_origins
        self._resolve = resolver
        self._tls = tls or ssl.create_default_context()
        self._total_seconds = total_seconds

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            target = check_url(url, allowed_origins=self._allowed_origins)
        except InvalidRequest as error:
            raise DeliveryFailed(error.message) from None
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = self._addresses(target, port)
        try:
            status = self._send(target, _connect(addresses, port), body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"The endpoint could not be reached ({type(error).__name__}).") from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"The endpoint returned {status}.", status=status)
        return status

    def _send(self, target: SplitResult, raw_socket: socket.socket, body: bytes, headers: Mapping[str, str]) -> int:
        host = target.hostname or ""
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        with raw_socket, _closed_after(self._total_seconds, raw_socket):
            raw_socket.settimeout(self._total_seconds)
            # The certificate is verified against the host name, not against the address.
            secure = target.scheme == "https"
            stream = self._tls.wrap_socket(raw_socket, server_hostname=host) if secure else raw_socket
            with stream:
                connection = http.client.HTTPConnection(host)
                connection.sock = stream
                connection.request("POST", path, body=body, headers={**headers, **_headers(target)})
                with connection.getresponse() as response:
                    # Only the status matters. A small body is read so that the endpoint can finish sending it.
                    stream.settimeout(_BODY_SECONDS)
                    with suppress(OSError, http.client.HTTPException):
                        response.read1(_MAX_BODY_BYTES)
                    return response.status

    def _addresses(self, target: SplitResult, port: int) -> list[str]:
        try:
            addresses = self._resolve(target.hostname or "", port)
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed("The endpoint's host name could not be resolved.") from error
        if not addresses:
            raise DeliveryFailed("The endpoint's host name has no address.")
        if origin(target) not in self._allowed_origins and not all(map(is_public, addresses)):
            raise DeliveryFailed("The endpoint's host name has an address that is not public.")
        return addresses


def _connect(addresses: list[str], port: int) -> socket.socket:
    """Connects to the first reachable address, IPv4 before IPv6: a function outside a VPC has only IPv4."""
    *others, last = sorted(addresses, key=lambda address: ":" in address)[:_MAX_ADDRESSES]
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, port), timeout=CONNECT_SECONDS)
    return socket.create_connection((last, port), timeout=CONNECT_SECONDS)


def _headers(target: SplitResult) -> dict[str, str]:
    return {
        "host": target.netloc.rpartition("@")[2],
        "content-type": "application/json",
        "user-agent": "Afterthought/1.0",
        "connection": "close",
    }


@contextmanager
def _closed_after(seconds: float, raw_socket: socket.socket) -> Iterator[None]:
    """Closes the connection after `seconds`. A socket timeout restarts with every byte, so an endpoint that sends one
    byte at a time could block the function, and other tenants' webhooks with it."""
    # A second handle of the same connection: TLS detaches the first one.
    with raw_socket.dup() as handle:

        def close() -> None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # Otherwise the timer could close a later socket with the same file descriptor.
            timer.join()
