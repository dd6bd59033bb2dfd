"""The callers' webhook endpoints: called by an address that was checked, so that no name can lead us inside.

The name is resolved once, every address of it is checked, and the call goes to one of those very addresses: a name
that resolves differently a moment later (DNS rebinding) changes nothing. Redirects are not followed.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult

from afterthought.domain.webhooks.endpoint import check_url, is_public, origin
from afterthought.domain.errors import DeliveryFailed, InvalidRequest

CONNECT_SECONDS = 3.0
WHOLE_SECONDS = 12.0
"""For one exchange, from the connection to the answer's head. A batch of three that all wait must end within the
function's 60 s."""

_MOST_ADDRESSES = 2

_MOST_BYTES_READ = 4096
_ANSWER_BODY_SECONDS = 0.5
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses behind a name. Raises OSError."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class WebhookReceiver:
    """The port `Receiver` over HTTPS. `allowed_origins` are called whatever their address; only a local stack sets
    them. `tls` is what servers' certificates are checked by (default: the system's authorities)."""

    def __init__(
        self,
        allowed_origins: AbstractSet[str],
        resolver: Resolve = resolve,
        *,
        tls: ssl.SSLContext | None = None,
        whole_seconds: float = WHOLE_SECONDS,
    ) -> None:
        self._allowed_origins = allowed_origins
        self._resolve = resolver
        self._tls = tls or ssl.create_default_context()
        self._whole_seconds = whole_seconds

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            target = check_url(url, allowed_origins=self._allowed_origins)
        except InvalidRequest as refused:
            raise DeliveryFailed(refused.message) from None
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = self._addresses(target, port)
        try:
            status = self._exchange(target, _connect(addresses, port), body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"The endpoint could not be reached ({type(error).__name__}).") from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"The endpoint answered {status}.", status=status)
        return status

    def _exchange(self, target: SplitResult, connected: socket.socket, body: bytes, headers: Mapping[str, str]) -> int:
        host = target.hostname or ""
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        with connected, _ended_after(self._whole_seconds, connected):
            connected.settimeout(self._whole_seconds)
            # The certificate is checked against the name that the caller gave, not against the address.
            secure = target.scheme == "https"
            line = self._tls.wrap_socket(connected, server_hostname=host) if secure else connected
            with line:
                connection = http.client.HTTPConnection(host)
                connection.sock = line
                connection.request("POST", path, body=body, headers={**headers, **_headers(target)})
                with connection.getresponse() as response:
                    # The head alone decides. Enough of the body is read to let a small one end; no more is ours.
                    line.settimeout(_ANSWER_BODY_SECONDS)
                    with suppress(OSError, http.client.HTTPException):
                        response.read1(_MOST_BYTES_READ)
                    return response.status

    def _addresses(self, target: SplitResult, port: int) -> list[str]:
        try:
            addresses = self._resolve(target.hostname or "", port)
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed("The endpoint's name could not be resolved.") from error
        if not addresses:
            raise DeliveryFailed("The endpoint's name has no address.")
        if origin(target) not in self._allowed_origins and not all(map(is_public, addresses)):
            raise DeliveryFailed("The endpoint's name leads to an address that is not public.")
        return addresses


def _connect(addresses: list[str], port: int) -> socket.socket:
    """To the first address that answers, IPv4 before IPv6: a function outside of a network of its own has only that."""
    *others, last = sorted(addresses, key=lambda address: ":" in address)[:_MOST_ADDRESSES]
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
def _ended_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """Cuts the connection when the time is over. A socket's own timeout begins anew with every byte, so a receiver that
    gives one now and then could hold the function until its end, and the other tenants' webhooks with it."""
    # A second handle on the same connection: TLS takes the first one over.
    with connected.dup() as handle:

        def cut() -> None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # Or it might cut whatever gets the handle's number next.
            timer.join()
