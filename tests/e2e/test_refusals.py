"""Invalid input raises a typed exception of the openai SDK that names the field."""

from typing import Any

import httpx2
import openai
import pytest

from local.tenants import ACME
from tests.e2e.conftest import Deployment, wait_until_ended

pytestmark = pytest.mark.e2e

VALID: dict[str, Any] = {"model": "gpt-5.4-mini", "input": "What is 1 + 2?", "background": True}


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"model": "gpt-99"}, "model"),
        ({"model": "o1-mini", "reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"input": ""}, "input"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"no_such_parameter": 1}, "no_such_parameter"),
        ({"afterthought": {"webhook_url": "http://169.254.169.254/"}}, "afterthought.webhook_url"),
    ],
)
def test_invalid_field_is_named(client: openai.OpenAI, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**VALID, extra_body=changed)

    assert refused.value.param == param
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000, b'{"input":"\xff"}', b'{"input":"\\u0000"}']
)
def test_malformed_body_is_400(deployment: Deployment, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {ACME.api_key}", "Content-Type": "application/json"}

    answer = httpx2.post(f"{deployment.service.base_url}/responses", content=body, headers=headers, timeout=30)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_body_of_five_megabytes_is_413(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(**{**VALID, "input": "a" * 5_000_000})
    assert refused.value.status_code == 413

    # Long in bytes and short in tokens: more tokens than the model's context would be refused.
    fits = " " * 2_900_000 + "\nWhat is 20 * 21?"
    job = client.responses.create(**{**VALID, "input": fits, "reasoning": {"effort": "none"}})
    assert "420" in wait_until_ended(client, job).output_text
