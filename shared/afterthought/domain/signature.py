"""Standard Webhooks signatures (https://www.standardwebhooks.com, specification 1.0, symmetric `v1`)."""

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,<base64>`, over `<id>.<timestamp in seconds>.<body>`.

    Raises ValueError when `secret` is not `whsec_` and base64.
    """
    if not secret.startswith(_PREFIX):
        raise ValueError("a webhook secret begins with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is base64 after whsec_") from error
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def headers(secrets: tuple[str, ...], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a delivery; with several live secrets, a signature of each, parted by spaces."""
    signatures = [sign(secret, message_id=message_id, timestamp=timestamp, body=body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def new_secret(random_bytes: bytes) -> str:
    """A secret from 24 to 64 random bytes, as the specification asks. Raises ValueError for fewer or more."""
    if not 24 <= len(random_bytes) <= 64:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return _PREFIX + base64.b64encode(random_bytes).decode()
