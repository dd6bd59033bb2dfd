"""The providers' secret: whatever is wrong with it, jobs wait until it is mended, and nobody is shown what it holds."""

import json
import traceback
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from pydantic import ValidationError

from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.errors import ProviderBusy
from afterthought.domain.webhooks.signature import new_secret

KEY = "sk-canary-4f1c9a"
FIRST, SECOND = (new_secret(bytes(range(start, start + 24))) for start in (0, 100))
CANARY = FIRST.removeprefix("whsec_")


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


def secrets(text: str | None) -> ProviderSecrets:
    client = boto3.client(
        "secretsmanager", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    if text is None:
        return ProviderSecrets(client, "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-AbCdEf")
    return ProviderSecrets(client, client.create_secret(Name="providers", SecretString=text)["ARN"])


def test_a_provider_has_its_key_and_its_own_address() -> None:
    held = secrets(json.dumps({"openai": {"api_key": KEY}, "mine": {"api_key": "k", "base_url": "http://a.b/v1"}}))
    assert held.connection("openai").api_key.get_secret_value() == KEY
    assert held.connection("openai").base_url is None
    assert held.connection("mine").base_url == "http://a.b/v1"


def test_the_line_s_end_that_came_along_with_a_pasted_key_is_dropped() -> None:
    held = secrets(json.dumps({"openai": {"api_key": f" {KEY}\n"}}))
    assert held.connection("openai").api_key.get_secret_value() == KEY


def test_a_key_is_not_shown_by_what_holds_it() -> None:
    connection = secrets(json.dumps({"openai": {"api_key": KEY}})).connection("openai")
    assert KEY not in f"{connection} {connection!r} {connection.model_dump()} {connection.model_dump_json()}"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        "[]",
        KEY,
        json.dumps(KEY),
        json.dumps({"openai": KEY}),
        json.dumps({"openai": {"key": KEY}}),
        json.dumps({"openai": {"api_key": ""}}),
        json.dumps({"openai": {"api_key": f"{KEY} {KEY}"}}),
        json.dumps({"openai": {"api_key": f"{KEY}ü"}}),
        json.dumps({"openai": {"api_key": f"{KEY}\r\nx: y"}}),
        json.dumps({"openai": {"api_key": [KEY]}}),
        json.dumps({"openai": {"api_key": KEY, "base_url": f"ftp://{KEY}/"}}),
        json.dumps({"openai": {"api_key": KEY, "base_url": ""}}),
        json.dumps({"other": {"api_key": KEY}}),
        *(
            json.dumps({"openai": {"api_key": KEY, "webhook_secrets": wrong}})
            for wrong in (
                FIRST,
                None,
                [None],
                [""],
                ["whsec_"],
                [CANARY],
                [f"whsec_{CANARY[:-1]}"],
                [f"whsec_{CANARY[:20]}"],
                [f"whsec_{CANARY}\u00fc"],
                [FIRST, SECOND, FIRST],
                [[FIRST]],
                {"0": FIRST},
            )
        ),
    ],
)
def test_a_secret_that_is_no_use_holds_jobs_back_and_shows_nothing(text: str | None) -> None:
    with pytest.raises(ProviderBusy) as caught:
        secrets(text).connection("openai")
    assert caught.value.code == "provider_secret"
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert CANARY[:20] not in told


@pytest.mark.parametrize("held", [(), (FIRST,), (FIRST, SECOND)])
def test_a_provider_signs_with_none_one_or_two_secrets(held: tuple[str, ...]) -> None:
    of_all = secrets(json.dumps({"openai": {"api_key": KEY, "webhook_secrets": held}}))
    assert of_all.webhook_secrets("openai") == held
    assert tuple(one.get_secret_value() for one in of_all.connection("openai").webhook_secrets) == held


def test_who_is_not_in_the_secret_or_announces_nothing_has_no_webhook_secret() -> None:
    held = secrets(json.dumps({"openai": {"api_key": KEY}}))
    assert held.webhook_secrets("openai") == held.webhook_secrets("other") == ()


def test_the_line_s_end_that_came_along_with_a_pasted_webhook_secret_is_dropped() -> None:
    held = secrets(json.dumps({"openai": {"api_key": KEY, "webhook_secrets": [f" {FIRST}\n"]}}))
    assert held.webhook_secrets("openai") == (FIRST,)


def test_a_webhook_secret_is_not_shown_by_what_holds_it() -> None:
    text = json.dumps({"openai": {"api_key": KEY, "webhook_secrets": [FIRST]}})
    connection = secrets(text).connection("openai")
    assert CANARY not in f"{connection} {connection!r} {connection.model_dump()} {connection.model_dump_json()}"


@pytest.mark.parametrize("secret", [FIRST[:-1], FIRST[:20], CANARY])
def test_a_webhook_secret_out_of_form_is_not_shown_by_the_error_that_says_so(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"api_key": KEY, "webhook_secrets": [secret]})
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_secret_is_read_anew_when_asked_for_and_kept_otherwise() -> None:
    client = boto3.client(
        "secretsmanager", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )

    def text(*held: str) -> str:
        return json.dumps({"openai": {"api_key": KEY, "webhook_secrets": held}})

    arn = client.create_secret(Name="rotated", SecretString=text(FIRST))["ARN"]
    kept = ProviderSecrets(client, arn)
    assert kept.webhook_secrets("openai") == (FIRST,)
    client.put_secret_value(SecretId=arn, SecretString=text(FIRST, SECOND))
    assert kept.webhook_secrets("openai") == (FIRST,)
    assert kept.webhook_secrets("openai", fresh=True) == (FIRST, SECOND)
    assert kept.webhook_secrets("openai") == (FIRST, SECOND)
