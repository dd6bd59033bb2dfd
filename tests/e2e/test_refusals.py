"""Bad input, as the openai SDK meets it: a typed exception that names the field, and nothing stored, queued or paid."""

from typing import Any

import httpx2
import openai
import pytest

from local.tenants import ACME
from tests.e2e.conftest import Whole, until_ended

pytestmark = pytest.mark.e2e

GOOD: dict[str, Any] = {"model": "gpt-5.4-mini", "input": "What is 1 + 2?", "background": True}


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
def test_a_bad_field_is_refused_by_its_name(client: openai.OpenAI, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**GOOD, extra_body=changed)

    assert refused.value.param == param
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000, b'{"input":"\xff"}', b'{"input":"\\u0000"}']
)
def test_what_is_no_request_is_refused_with_a_400(whole: Whole, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {ACME.api_key}", "Content-Type": "application/json"}

    answer = httpx2.post(f"{whole.service.base_url}/responses", content=body, headers=headers, timeout=30)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_three_megabytes_are_taken_and_five_are_not(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(**{**GOOD, "input": "a" * 5_000_000})
    assert refused.value.status_code == 413

    # Long in bytes, short in tokens: what certainly cannot fit the model would be refused for that.
    fits = " " * 2_900_000 + "\nWhat is 20 * 21?"
    job = client.responses.create(**{**GOOD, "input": fits, "reasoning": {"effort": "none"}})
    assert "420" in until_ended(client, job).output_text
