"""The callers' webhook endpoints: called by an address that was checked, so that no name can lead us inside.

The name is resolved once, every address of it is checked, and the call goes to one of those very addresses: a name
that resolves differently a moment later (DNS rebinding) changes nothing. Redirects are not followed.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from urllib.parse import SplitResult

import urllib3

from afterthought.domain.endpoint import check_url, is_public, origin
from afterthought.domain.errors import DeliveryFailed, InvalidRequest

_TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
_MOST_BYTES_READ = 4096
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses behind a name. Raises OSError."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class WebhookReceiver:
    """The port `Receiver` over HTTPS. `allowed_origins` are called whatever their address; only a local stack sets
    them."""

    def __init__(self, allowed_origins: AbstractSet[str], resolver: Resolve = resolve) -> None:
        self._allowed_origins = allowed_origins
        self._resolve = resolver
        self._tls = ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            target = check_url(url, allowed_origins=self._allowed_origins)
        except InvalidRequest as refused:
            raise DeliveryFailed(refused.message) from None
        address = self._address(target)
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        try:
            with self._pool(target, address) as pool:
                response = pool.urlopen(
                    "POST",
                    path,
                    body=body,
                    headers={
                        **headers,
                        "host": target.netloc.rpartition("@")[2],
                        "content-type": "application/json",
                        "user-agent": "Afterthought/1.0",
                    },
                    redirect=False,
                    retries=False,
                    timeout=_TIMEOUT,
                    preload_content=False,
                )
                # Enough to let a small answer end; a large one is not ours to read.
                response.read(_MOST_BYTES_READ)
                status = response.status
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise DeliveryFailed(f"The endpoint could not be reached ({type(error).__name__}).") from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"The endpoint answered {status}.", status=status)
        return status

    def _address(self, target: SplitResult) -> str:
        host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed("The endpoint's name could not be resolved.") from error
        if not addresses:
            raise DeliveryFailed("The endpoint's name has no address.")
        if origin(target) not in self._allowed_origins and not all(map(is_public, addresses)):
            raise DeliveryFailed("The endpoint's name leads to an address that is not public.")
        return addresses[0]

    def _pool(self, target: SplitResult, address: str) -> urllib3.HTTPConnectionPool:
        if target.scheme == "http":
            return urllib3.HTTPConnectionPool(address, port=target.port or 80)
        return urllib3.HTTPSConnectionPool(
            address,
            port=target.port or 443,
            ssl_context=self._tls,
            server_hostname=target.hostname,
            assert_hostname=target.hostname,
        )
