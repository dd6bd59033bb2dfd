"""Standard Webhooks signatures (https://www.standardwebhooks.com, specification 1.0, symmetric `v1`).

We sign webhooks to callers, and verify webhooks of model providers.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from afterthought.domain.errors import AfterthoughtError

TOLERANCE_SECONDS = 300
"""Allowed difference between the timestamp and our clock, both ways. The reference libraries allow five minutes."""

_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")


class SignatureRefused(AfterthoughtError):
    """The message could not be verified."""


class HeaderMissing(SignatureRefused):
    """One of the three headers is absent or empty."""


class InvalidTimestamp(SignatureRefused):
    """`webhook-timestamp` is not a number of seconds."""


class NoMatchingSignature(SignatureRefused):
    """No signature matches this id, timestamp and body with one of our secrets."""


class MessageTooOld(SignatureRefused):
    """The signature is valid but more than five minutes old: a replay, a late delivery, or clock skew."""


class MessageTooNew(SignatureRefused):
    """The signature is valid but its timestamp is more than five minutes in the future."""


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,<base64>`, over `<id>.<timestamp in seconds>.<body>`.

    Raises ValueError when `secret` is not `whsec_` and base64.
    """
    return _signature(secret, f"{message_id}.{timestamp}.".encode() + body)


def headers(secrets: tuple[str, ...], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook, with one signature for each active secret, separated by spaces."""
    signatures = [sign(secret, message_id=message_id, timestamp=timestamp, body=body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def verify(secrets: Sequence[str], received: Mapping[str, str], body: bytes, *, now: int) -> None:
    """Accepts a message that is authentic and recent. `received` are its headers by lower-case name, `body` the raw
    bytes, `now` the time in seconds.

    The signature is checked before the timestamp, because an unsigned timestamp proves nothing. Raises a subclass of
    SignatureRefused that states the reason; ValueError when a secret is malformed.
    """
    message_id, timestamp, signatures = (_header(received, name) for name in ("id", "timestamp", "signature"))
    if not _SECONDS.fullmatch(timestamp):
        raise InvalidTimestamp("webhook-timestamp is not a number of seconds")
    # The timestamp text as received, because that text was signed.
    content = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    expected = [_signature(secret, content).encode() for secret in secrets]
    actual = [each.encode("utf-8", "surrogatepass") for each in signatures.split()]
    # Compare all pairs, each in constant time, so that the duration reveals nothing about a signature.
    if not sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in actual):
        raise NoMatchingSignature("no signature matches")
    if int(timestamp) < now - TOLERANCE_SECONDS:
        raise MessageTooOld(f"signed {now - int(timestamp)} s ago")
    if int(timestamp) > now + TOLERANCE_SECONDS:
        raise MessageTooNew(f"signed {int(timestamp) - now} s in the future")


def new_secret(random_bytes: bytes) -> str:
    """A secret from 24 to 64 random bytes, as the specification requires. Raises ValueError for fewer or more."""
    if not 24 <= len(random_bytes) <= 64:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return _PREFIX + base64.b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """The key bytes of a secret. Raises ValueError when it is not `whsec_` and base64."""
    if not secret.startswith(_PREFIX):
        raise ValueError("a webhook secret begins with whsec_")
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # The original error could contain a part of the secret.
        raise ValueError("a webhook secret is base64 after whsec_") from None


def _signature(secret: str, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()


def _header(received: Mapping[str, str], name: str) -> str:
    value = received.get(f"webhook-{name}", "")
    if not value:
        raise HeaderMissing(f"the header webhook-{name} is missing")
    return value
