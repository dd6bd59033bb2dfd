"""Standard Webhooks signatures (https://www.standardwebhooks.com, specification 1.0, symmetric `v1`): ours on what we
send to callers, and the providers' on what they send to us."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from afterthought.domain.errors import AfterthoughtError

TOLERANCE_SECONDS = 300
"""How far a message's time may be from ours, both ways: the standard's reference libraries allow five minutes."""

_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")


class SignatureRefused(AfterthoughtError):
    """A message that is not taken for its sender's."""


class HeaderMissing(SignatureRefused):
    """One of the three headers is absent or empty: the message is not signed."""


class TimestampUnreadable(SignatureRefused):
    """`webhook-timestamp` is no number of seconds."""


class NoSignatureMatches(SignatureRefused):
    """No signature was made with one of our secrets over this id, this time and these bytes."""


class MessageTooOld(SignatureRefused):
    """Truly signed, more than five minutes ago: a replay, a late delivery, or clocks that differ."""


class MessageTooNew(SignatureRefused):
    """Truly signed, by a clock more than five minutes ahead of ours."""


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,<base64>`, over `<id>.<timestamp in seconds>.<body>`.

    Raises ValueError when `secret` is not `whsec_` and base64.
    """
    return _signature(secret, f"{message_id}.{timestamp}.".encode() + body)


def headers(secrets: tuple[str, ...], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a delivery; with several live secrets, a signature of each, parted by spaces."""
    signatures = [sign(secret, message_id=message_id, timestamp=timestamp, body=body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def verify(secrets: Sequence[str], sent: Mapping[str, str], body: bytes, *, now: int) -> None:
    """Passes a message that is its sender's and fresh. `sent` are its headers by their names in lower case, `body` its
    bytes as they came, `now` the time in seconds.

    The signature is looked at before the age: an age that nobody has signed for says nothing. Raises SignatureRefused,
    by the class that says why; ValueError when a secret is not in its form.
    """
    message_id, timestamp, signatures = (_header(sent, name) for name in ("id", "timestamp", "signature"))
    if not _SECONDS.fullmatch(timestamp):
        raise TimestampUnreadable("webhook-timestamp is not a number of seconds")
    # The time as it was written, since that is what was signed.
    content = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    ours = [_signature(secret, content).encode() for secret in secrets]
    theirs = [each.encode("utf-8", "surrogatepass") for each in signatures.split()]
    # Every one against every one, in constant time: how long it takes tells nothing about a signature.
    if not sum(hmac.compare_digest(made, given) for made in ours for given in theirs):
        raise NoSignatureMatches("no signature matches")
    if int(timestamp) < now - TOLERANCE_SECONDS:
        raise MessageTooOld(f"signed {now - int(timestamp)} s ago")
    if int(timestamp) > now + TOLERANCE_SECONDS:
        raise MessageTooNew(f"signed {int(timestamp) - now} s ahead of now")


def new_secret(random_bytes: bytes) -> str:
    """A secret from 24 to 64 random bytes, as the specification asks. Raises ValueError for fewer or more."""
    if not 24 <= len(random_bytes) <= 64:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return _PREFIX + base64.b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """The bytes that a secret stands for. Raises ValueError when it is not `whsec_` and base64."""
    if not secret.startswith(_PREFIX):
        raise ValueError("a webhook secret begins with whsec_")
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # Its message, or that of its cause, could hold a piece of the secret.
        raise ValueError("a webhook secret is base64 after whsec_") from None


def _signature(secret: str, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()


def _header(sent: Mapping[str, str], name: str) -> str:
    value = sent.get(f"webhook-{name}", "")
    if not value:
        raise HeaderMissing(f"there is no webhook-{name}")
    return value
