"""The providers' secret: whatever is wrong with it, jobs wait until it is mended, and nobody is shown what it holds."""

import json
import traceback
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.domain.errors import ProviderBusy

KEY = "sk-canary-4f1c9a"


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
    ],
)
def test_a_secret_that_is_no_use_holds_jobs_back_and_shows_nothing(text: str | None) -> None:
    with pytest.raises(ProviderBusy) as caught:
        secrets(text).connection("openai")
    assert caught.value.code == "provider_secret"
    assert KEY not in "".join(traceback.format_exception(caught.value))
