"""`ProviderSecrets`: with an invalid secret jobs wait until it is corrected, and no error shows its content."""

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


def test_connection_has_key_and_base_url() -> None:
    provider_secrets = secrets(
        json.dumps({"openai": {"api_key": KEY}, "self-hosted": {"api_key": "k", "base_url": "http://a.b/v1"}})
    )
    assert provider_secrets.connection("openai").api_key.get_secret_value() == KEY
    assert provider_secrets.connection("openai").base_url is None
    assert provider_secrets.connection("self-hosted").base_url == "http://a.b/v1"


def test_whitespace_around_key_is_stripped() -> None:
    provider_secrets = secrets(json.dumps({"openai": {"api_key": f" {KEY}\n"}}))
    assert provider_secrets.connection("openai").api_key.get_secret_value() == KEY


def test_connection_hides_its_key() -> None:
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
            json.dumps({"openai": {"api_key": KEY, "webhook_secrets": invalid}})
            for invalid in (
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
def test_invalid_secret_is_busy_and_stays_hidden(text: str | None) -> None:
    with pytest.raises(ProviderBusy) as caught:
        secrets(text).connection("openai")
    assert caught.value.code == "provider_secret"
    text = "".join(traceback.format_exception(caught.value))
    assert KEY not in text
    assert CANARY[:20] not in text


@pytest.mark.parametrize("webhook_secrets", [(), (FIRST,), (FIRST, SECOND)])
def test_zero_to_two_webhook_secrets(webhook_secrets: tuple[str, ...]) -> None:
    provider_secrets = secrets(json.dumps({"openai": {"api_key": KEY, "webhook_secrets": webhook_secrets}}))
    assert provider_secrets.webhook_secrets("openai") == webhook_secrets
    connection = provider_secrets.connection("openai")
    assert tuple(secret.get_secret_value() for secret in connection.webhook_secrets) == webhook_secrets


def test_no_webhook_secrets_by_default() -> None:
    provider_secrets = secrets(json.dumps({"openai": {"api_key": KEY}}))
    assert provider_secrets.webhook_secrets("openai") == provider_secrets.webhook_secrets("other") == ()


def test_whitespace_around_webhook_secret_is_stripped() -> None:
    provider_secrets = secrets(json.dumps({"openai": {"api_key": KEY, "webhook_secrets": [f" {FIRST}\n"]}}))
    assert provider_secrets.webhook_secrets("openai") == (FIRST,)


def test_connection_hides_its_webhook_secret() -> None:
    text = json.dumps({"openai": {"api_key": KEY, "webhook_secrets": [FIRST]}})
    connection = secrets(text).connection("openai")
    assert CANARY not in f"{connection} {connection!r} {connection.model_dump()} {connection.model_dump_json()}"


@pytest.mark.parametrize("secret", [FIRST[:-1], FIRST[:20], CANARY])
def test_error_hides_malformed_webhook_secret(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"api_key": KEY, "webhook_secrets": [secret]})
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_secret_is_cached_unless_fresh() -> None:
    client = boto3.client(
        "secretsmanager", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )

    def text(*webhook_secrets: str) -> str:
        return json.dumps({"openai": {"api_key": KEY, "webhook_secrets": webhook_secrets}})

    arn = client.create_secret(Name="rotated", SecretString=text(FIRST))["ARN"]
    provider_secrets = ProviderSecrets(client, arn)
    assert provider_secrets.webhook_secrets("openai") == (FIRST,)
    client.put_secret_value(SecretId=arn, SecretString=text(FIRST, SECOND))
    assert provider_secrets.webhook_secrets("openai") == (FIRST,)
    assert provider_secrets.webhook_secrets("openai", fresh=True) == (FIRST, SECOND)
    assert provider_secrets.webhook_secrets("openai") == (FIRST, SECOND)
