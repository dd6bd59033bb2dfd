"""Which webhook URLs are taken, and which addresses may be called."""

import ipaddress
from collections.abc import Set as AbstractSet
from urllib.parse import SplitResult, urlsplit

from afterthought.domain.errors import InvalidRequest

_PARAM = "afterthought.webhook_url"
# All of IPv6 that is routed (RFC 4291, section 2.4). Outside lie the translators' prefixes and the deprecated forms,
# which carry an IPv4 address or a site's own, and which the library calls global.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_6TO4 = ipaddress.ip_network("2002::/16")


def origin(url: SplitResult) -> str:
    """`scheme://host:port`, the port always written out."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.hostname}:{port}"


def check_url(text: str, *, allowed_origins: AbstractSet[str]) -> SplitResult:
    """A URL that may be called as far as its text tells: https, a host by name, nothing that hides another target.

    `allowed_origins` (`http://127.0.0.1:9001`) are taken whatever they are; only a local stack sets them. The
    addresses behind the name are checked when it is called, since they can change. Raises InvalidRequest.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise _refused("it is not a URL") from None
    if any(char <= " " or char == "\x7f" for char in text) or not text.isascii():
        raise _refused("only visible ASCII characters are allowed in a URL")
    if not url.hostname:
        raise _refused("it has no host")
    if origin(url) in allowed_origins:
        return url
    if url.scheme != "https":
        raise _refused("only https:// is called")
    if url.username is not None or url.password is not None:
        raise _refused("a URL with a user or password in it is not called")
    if port == 0:
        raise _refused("port 0 cannot be called")
    if _is_address(url.hostname) or "." not in url.hostname.strip("."):
        raise _refused("the host must be a public name, not an address or a local name")
    return url


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet. Private, loopback, link-local (the cloud's metadata among
    them), shared, multicast, reserved and unspecified ones do not, nor does an IPv6 address that maps to one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        # Addresses that carry an IPv4 address in them reach that address through a translator.
        if ip not in _GLOBAL_UNICAST or ip in _6TO4 or ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # "127.1", "127.0.0.0x1" and "2130706433" are addresses to the resolver, though not to this library. No name
        # ends in a number (the URL standard's "ends in a number", url.spec.whatwg.org).
        last = host.rstrip(".").rpartition(".")[2].lower()
        return last.isdigit() or last.startswith("0x")
    return True


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"{_PARAM} is refused: {why}.", param=_PARAM)
