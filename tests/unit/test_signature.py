"""Signatures: by the published vector, ours accepted by the receivers' own library, OpenAI's SDK, and theirs by us."""

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


def verify(sent: dict[str, str], *secrets: str, body: bytes = EVENT, now: int | None = None) -> None:
    signature.verify(secrets or (SECRET,), sent, body, now=int(time.time()) if now is None else now)


def test_the_published_vector_verifies() -> None:
    sent = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}
    verify(sent, body=BODY, now=TIMESTAMP)


@pytest.mark.parametrize("held", [(SECRET,), (OTHER,), (SECRET, OTHER), (OTHER, SECRET)])
@pytest.mark.parametrize("signed_with", [(SECRET, OTHER), (OTHER, SECRET)])
def test_while_a_rotation_overlaps_on_either_side_a_message_verifies(
    held: tuple[str, ...], signed_with: tuple[str, ...]
) -> None:
    verify(headers(*signed_with), *held)


def test_two_live_secrets_verify_what_either_signed() -> None:
    for one in (SECRET, OTHER):
        verify(headers(one), SECRET, OTHER)


@pytest.mark.parametrize("way", WRONG)
def test_a_message_that_is_wrong_matches_no_signature(way: str) -> None:
    body, sent = WRONG[way](headers(SECRET))
    with pytest.raises(signature.NoSignatureMatches):
        verify(sent, SECRET, OTHER, body=body)


@pytest.mark.parametrize(
    "sent", ["v1,", "v1", ",", "v1,\udcff", "v1,é", "v2," + SIGNATURE[3:], SIGNATURE.lower(), "\u00a0"]
)
def test_a_signature_header_that_makes_no_sense_matches_nothing(sent: str) -> None:
    with pytest.raises(signature.NoSignatureMatches):
        verify({**headers(SECRET), "webhook-signature": sent})


def test_a_secret_that_is_not_held_matches_nothing() -> None:
    with pytest.raises(signature.NoSignatureMatches):
        verify(headers(OTHER), SECRET)
    with pytest.raises(signature.NoSignatureMatches):
        signature.verify((), headers(SECRET), EVENT, now=int(time.time()))


def test_other_versions_of_the_signature_beside_ours_do_no_harm() -> None:
    sent = headers(SECRET)
    verify({**sent, "webhook-signature": f"v1a,abc  {sent['webhook-signature']} v9,{'x' * 400}"})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_message_without_one_of_the_headers_is_not_signed(name: str, value: str | None) -> None:
    sent = headers(SECRET)
    del sent[name]
    with pytest.raises(signature.HeaderMissing, match=name):
        verify(sent if value is None else {**sent, name: value})


@pytest.mark.parametrize("timestamp", ["now", "-1", "+1", " 1", "1.5", "1e9", "0x10", "１７９５", "1" * 13, "nan"])
def test_a_time_that_is_no_number_of_seconds_is_refused(timestamp: str) -> None:
    with pytest.raises(signature.TimestampUnreadable):
        verify({**headers(SECRET), "webhook-timestamp": timestamp})


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_clocks_may_differ_by_five_minutes_both_ways(seconds: int) -> None:
    verify(headers(SECRET, timestamp=TIMESTAMP), now=TIMESTAMP + seconds)


@pytest.mark.parametrize(
    ("seconds", "refused"),
    [(301, signature.MessageTooOld), (-301, signature.MessageTooNew), (10**9, signature.MessageTooOld)],
)
def test_a_message_of_another_time_is_refused(seconds: int, refused: type[Exception]) -> None:
    with pytest.raises(refused):
        verify(headers(SECRET, timestamp=TIMESTAMP), now=TIMESTAMP + seconds)


def test_an_age_that_nobody_signed_for_is_a_wrong_signature() -> None:
    """Who counts old messages wants to know those of the provider, not those that anybody can send."""
    with pytest.raises(signature.NoSignatureMatches):
        verify({**headers(SECRET), "webhook-timestamp": "1"})


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40), st.integers(0, 10**11))
def test_what_we_sign_we_verify(body: bytes, message_id: str, timestamp: int) -> None:
    try:
        message_id.encode()
    except UnicodeEncodeError:
        return
    sent = signature.headers((OTHER,), message_id=message_id, timestamp=timestamp, body=body)
    verify(sent, SECRET, OTHER, body=body, now=timestamp)


@pytest.mark.parametrize("secret", ["", "whsec_***", "whsec_a", "WHSEC_MfKQ", "whsec_é"])
def test_a_secret_out_of_form_raises_when_it_is_to_verify_and_does_not_show(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        verify(headers(SECRET), secret)
    assert not secret or secret not in str(refused.value)
    assert refused.value.__cause__ is None


def test_verifying_takes_the_standard_library_alone() -> None:
    show = (
        "import sys; from afterthought.domain.webhooks import signature; "
        "print({name.split('.')[0] for name in sys.modules} - {'__main__'} - sys.stdlib_module_names)"
    )
    shared = Path(__file__).parents[2] / "shared"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(shared)!r}); {show}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.stdout.strip() == "{'afterthought'}", loaded.stderr
