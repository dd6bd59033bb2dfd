"""Signatures, checked with the published test vector and with OpenAI's SDK."""

import base64
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import InvalidWebhookSignatureError, OpenAI

from afterthought.domain.webhooks import signature
from afterthought.domain.webhooks.event import CompletionEvent
from tests.simulator.examples import a_settled_job

# The test vector of the reference implementations (github.com/standard-webhooks/standard-webhooks).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

EVENT = CompletionEvent.of(a_settled_job()).payload()
OTHER = signature.new_secret(bytes(range(32)))


def headers(*secrets: str, body: bytes = EVENT, timestamp: int | None = None) -> dict[str, str]:
    at = int(time.time()) if timestamp is None else timestamp
    return signature.headers(secrets, message_id=MESSAGE_ID, timestamp=at, body=body)


def unwrap(body: bytes, received: dict[str, str], secret: str) -> str:
    client = OpenAI(api_key="unused", base_url="http://127.0.0.1:9/v1")
    return str(client.webhooks.unwrap(body, received, secret=secret).type)


def test_sign_matches_published_vector() -> None:
    assert signature.sign(SECRET, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY) == SIGNATURE


def test_openai_sdk_accepts_our_signature() -> None:
    assert unwrap(EVENT, headers(SECRET), SECRET) == "response.completed"


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_openai_sdk_accepts_rotated_secrets(secret: str) -> None:
    assert unwrap(EVENT, headers(OTHER, SECRET), secret) == "response.completed"


def test_new_secret_signs_first() -> None:
    received = headers(OTHER, SECRET, timestamp=TIMESTAMP)["webhook-signature"].split(" ")
    assert received == [
        signature.sign(secret, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=EVENT) for secret in (OTHER, SECRET)
    ]


def test_header_names() -> None:
    assert set(headers(SECRET)) == {"webhook-id", "webhook-timestamp", "webhook-signature"}


Message = tuple[bytes, dict[str, str]]

ALTERATIONS: dict[str, Callable[[dict[str, str]], Message]] = {
    "another body": lambda received: (EVENT.replace(b"completed", b"cancelled"), received),
    "one byte more": lambda received: (EVENT + b" ", received),
    "another id": lambda received: (EVENT, {**received, "webhook-id": "msg_other"}),
    "another time": lambda received: (
        EVENT,
        {**received, "webhook-timestamp": str(int(received["webhook-timestamp"]) + 1)},
    ),
    "another signature": lambda received: (EVENT, {**received, "webhook-signature": SIGNATURE}),
    "another signature version": lambda received: (
        EVENT,
        {**received, "webhook-signature": received["webhook-signature"].replace("v1,", "v2,")},
    ),
    "half a signature": lambda received: (EVENT, {**received, "webhook-signature": received["webhook-signature"][:20]}),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_openai_sdk_refuses_altered_message(alteration: str) -> None:
    body, received = ALTERATIONS[alteration](headers(SECRET))
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(body, received, SECRET)


def test_openai_sdk_refuses_another_secret() -> None:
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(EVENT, headers(OTHER), SECRET)


@pytest.mark.parametrize("seconds", [-600, 600])
def test_openai_sdk_refuses_wrong_time(seconds: int) -> None:
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(EVENT, headers(SECRET, timestamp=int(time.time()) + seconds), SECRET)


@pytest.mark.parametrize("secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***", "whsec_a", "WHSEC_MfKQ"])
def test_malformed_secret_does_not_sign(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        signature.sign(secret, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY)
    assert not secret or secret not in str(caught.value)


@given(st.binary(min_size=24, max_size=64))
def test_new_secret_encodes_its_bytes(random_bytes: bytes) -> None:
    secret = signature.new_secret(random_bytes)
    assert base64.b64decode(secret.removeprefix("whsec_"), validate=True) == random_bytes
    assert signature.sign(secret, message_id="m", timestamp=1, body=b"").startswith("v1,")


@pytest.mark.parametrize("size", [0, 23, 65])
def test_new_secret_checks_its_size(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        signature.new_secret(bytes(size))


def verify(received: dict[str, str], *secrets: str, body: bytes = EVENT, now: int | None = None) -> None:
    signature.verify(secrets or (SECRET,), received, body, now=int(time.time()) if now is None else now)


def test_published_vector_verifies() -> None:
    received = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}
    verify(received, body=BODY, now=TIMESTAMP)


@pytest.mark.parametrize("secrets", [(SECRET,), (OTHER,), (SECRET, OTHER), (OTHER, SECRET)])
@pytest.mark.parametrize("signed_with", [(SECRET, OTHER), (OTHER, SECRET)])
def test_rotation_on_either_side_verifies(secrets: tuple[str, ...], signed_with: tuple[str, ...]) -> None:
    verify(headers(*signed_with), *secrets)


def test_either_active_secret_verifies() -> None:
    for one in (SECRET, OTHER):
        verify(headers(one), SECRET, OTHER)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_message_is_refused(alteration: str) -> None:
    body, received = ALTERATIONS[alteration](headers(SECRET))
    with pytest.raises(signature.NoMatchingSignature):
        verify(received, SECRET, OTHER, body=body)


@pytest.mark.parametrize(
    "received", ["v1,", "v1", ",", "v1,\udcff", "v1,é", "v2," + SIGNATURE[3:], SIGNATURE.lower(), "\u00a0"]
)
def test_malformed_signature_header_is_refused(received: str) -> None:
    with pytest.raises(signature.NoMatchingSignature):
        verify({**headers(SECRET), "webhook-signature": received})


def test_other_secret_or_no_secret_is_refused() -> None:
    with pytest.raises(signature.NoMatchingSignature):
        verify(headers(OTHER), SECRET)
    with pytest.raises(signature.NoMatchingSignature):
        signature.verify((), headers(SECRET), EVENT, now=int(time.time()))


def test_other_signature_versions_are_ignored() -> None:
    received = headers(SECRET)
    verify({**received, "webhook-signature": f"v1a,abc  {received['webhook-signature']} v9,{'x' * 400}"})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_header_is_refused(name: str, value: str | None) -> None:
    received = headers(SECRET)
    del received[name]
    with pytest.raises(signature.HeaderMissing, match=name):
        verify(received if value is None else {**received, name: value})


@pytest.mark.parametrize("timestamp", ["now", "-1", "+1", " 1", "1.5", "1e9", "0x10", "１７９５", "1" * 13, "nan"])
def test_invalid_timestamp_is_refused(timestamp: str) -> None:
    with pytest.raises(signature.InvalidTimestamp):
        verify({**headers(SECRET), "webhook-timestamp": timestamp})


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_tolerance_is_five_minutes(seconds: int) -> None:
    verify(headers(SECRET, timestamp=TIMESTAMP), now=TIMESTAMP + seconds)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(301, signature.MessageTooOld), (-301, signature.MessageTooNew), (10**9, signature.MessageTooOld)],
)
def test_message_outside_tolerance_is_refused(seconds: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        verify(headers(SECRET, timestamp=TIMESTAMP), now=TIMESTAMP + seconds)


def test_unsigned_old_message_is_wrong_signature() -> None:
    """`MessageTooOld` counts real messages of the provider, not those that anyone can send."""
    with pytest.raises(signature.NoMatchingSignature):
        verify({**headers(SECRET), "webhook-timestamp": "1"})


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40), st.integers(0, 10**11))
def test_our_signature_verifies(body: bytes, message_id: str, timestamp: int) -> None:
    try:
        message_id.encode()
    except UnicodeEncodeError:
        return
    received = signature.headers((OTHER,), message_id=message_id, timestamp=timestamp, body=body)
    verify(received, SECRET, OTHER, body=body, now=timestamp)


@pytest.mark.parametrize("secret", ["", "whsec_***", "whsec_a", "WHSEC_MfKQ", "whsec_é"])
def test_malformed_secret_does_not_verify(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        verify(headers(SECRET), secret)
    assert not secret or secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_verify_needs_only_the_standard_library() -> None:
    script = (
        "import sys; from afterthought.domain.webhooks import signature; "
        "print({name.split('.')[0] for name in sys.modules} - {'__main__'} - sys.stdlib_module_names)"
    )
    shared = Path(__file__).parents[2] / "shared"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(shared)!r}); {script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == "{'afterthought'}", result.stderr
