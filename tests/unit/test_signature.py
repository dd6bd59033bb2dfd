"""Signatures: by the published vector, and accepted by the receivers' own library, OpenAI's SDK."""

import base64
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import InvalidWebhookSignatureError, OpenAI

from afterthought.domain import signature
from afterthought.domain.event import CompletionEvent
from tests.simulator.examples import a_settled_job

# The vector of the reference implementations (github.com/standard-webhooks/standard-webhooks, their tests).
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


def unwrap(body: bytes, sent: dict[str, str], secret: str) -> str:
    client = OpenAI(api_key="unused", base_url="http://127.0.0.1:9/v1")
    return str(client.webhooks.unwrap(body, sent, secret=secret).type)


def test_the_published_vector_is_met() -> None:
    assert signature.sign(SECRET, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY) == SIGNATURE


def test_openais_sdk_accepts_a_delivery() -> None:
    assert unwrap(EVENT, headers(SECRET), SECRET) == "response.completed"


@pytest.mark.parametrize("held", [SECRET, OTHER])
def test_while_a_rotation_overlaps_either_secret_verifies(held: str) -> None:
    assert unwrap(EVENT, headers(OTHER, SECRET), held) == "response.completed"


def test_the_new_secret_stands_first() -> None:
    sent = headers(OTHER, SECRET, timestamp=TIMESTAMP)["webhook-signature"].split(" ")
    assert sent == [
        signature.sign(secret, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=EVENT) for secret in (OTHER, SECRET)
    ]


def test_the_names_of_the_headers_are_the_standards() -> None:
    assert set(headers(SECRET)) == {"webhook-id", "webhook-timestamp", "webhook-signature"}


Delivery = tuple[bytes, dict[str, str]]

WRONG: dict[str, Callable[[dict[str, str]], Delivery]] = {
    "another body": lambda sent: (EVENT.replace(b"completed", b"cancelled"), sent),
    "one byte more": lambda sent: (EVENT + b" ", sent),
    "another id": lambda sent: (EVENT, {**sent, "webhook-id": "msg_other"}),
    "another time": lambda sent: (EVENT, {**sent, "webhook-timestamp": str(int(sent["webhook-timestamp"]) + 1)}),
    "another signature": lambda sent: (EVENT, {**sent, "webhook-signature": SIGNATURE}),
    "a signature of another version": lambda sent: (
        EVENT,
        {**sent, "webhook-signature": sent["webhook-signature"].replace("v1,", "v2,")},
    ),
    "half a signature": lambda sent: (EVENT, {**sent, "webhook-signature": sent["webhook-signature"][:20]}),
}


@pytest.mark.parametrize("way", WRONG)
def test_openais_sdk_refuses_a_delivery_that_is_wrong(way: str) -> None:
    body, sent = WRONG[way](headers(SECRET))
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(body, sent, SECRET)


def test_openais_sdk_refuses_a_delivery_signed_with_another_secret() -> None:
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(EVENT, headers(OTHER), SECRET)


@pytest.mark.parametrize("seconds", [-600, 600])
def test_openais_sdk_refuses_a_delivery_of_another_time(seconds: int) -> None:
    with pytest.raises(InvalidWebhookSignatureError):
        unwrap(EVENT, headers(SECRET, timestamp=int(time.time()) + seconds), SECRET)


@pytest.mark.parametrize("secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***", "whsec_a", "WHSEC_MfKQ"])
def test_a_secret_out_of_form_raises_and_does_not_show(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        signature.sign(secret, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY)
    assert not secret or secret not in str(refused.value)


@given(st.binary(min_size=24, max_size=64))
def test_a_new_secret_carries_its_bytes_in_the_standards_form(random_bytes: bytes) -> None:
    secret = signature.new_secret(random_bytes)
    assert base64.b64decode(secret.removeprefix("whsec_"), validate=True) == random_bytes
    assert signature.sign(secret, message_id="m", timestamp=1, body=b"").startswith("v1,")


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_too_short_or_too_long_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        signature.new_secret(bytes(size))
