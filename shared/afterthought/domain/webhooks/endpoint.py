"""Validation of webhook URLs and of the IP addresses behind them."""

import ipaddress
from collections.abc import Set as AbstractSet
from urllib.parse import SplitResult, urlsplit

from afterthought.domain.errors import InvalidRequest

_PARAM = "afterthought.webhook_url"
# The routed part of IPv6 (RFC 4291, section 2.4). It excludes NAT64 prefixes and deprecated forms, which embed IPv4 or
# site-local addresses although `ipaddress` calls them global.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_6TO4 = ipaddress.ip_network("2002::/16")


def origin(url: SplitResult) -> str:
    """`scheme://host:port`, always with the port."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.hostname}:{port}"


def check_url(text: str, *, allowed_origins: AbstractSet[str]) -> SplitResult:
    """Checks the text of a webhook URL: https, a public host name, no user info. Raises InvalidRequest.

    Origins in `allowed_origins` (`http://127.0.0.1:9001`) skip these checks; only a local stack sets them. The
    addresses behind the host name are checked at each call, because they can change.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise _refused("it is not a URL") from None
    if any(char <= " " or char == "\x7f" for char in text) or not text.isascii():
        raise _refused("only visible ASCII characters are allowed")
    if not url.hostname:
        raise _refused("it has no host")
    if origin(url) in allowed_origins:
        return url
    if url.scheme != "https":
        raise _refused("the scheme must be https")
    if url.username is not None or url.password is not None:
        raise _refused("a user name or password is not allowed")
    if port == 0:
        raise _refused("port 0 is not allowed")
    if _is_address(url.hostname) or "." not in url.hostname.strip("."):
        raise _refused("the host must be a public name, not an address or a local name")
    return url


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not private, loopback, link-local (cloud metadata), shared,
    multicast, reserved or unspecified, and not an IPv6 form of an IPv4 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        # An embedded IPv4 address is reached through a translator.
        if ip not in _GLOBAL_UNICAST or ip in _6TO4 or ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Resolvers accept "127.1", "127.0.0.0x1" and "2130706433" as addresses; `ipaddress` does not. No host name
        # ends in a number (url.spec.whatwg.org, "ends in a number").
        last = host.rstrip(".").rpartition(".")[2].lower()
        return last.isdigit() or last.startswith("0x")
    return True


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(f"{_PARAM} is refused: {reason}.", param=_PARAM)
