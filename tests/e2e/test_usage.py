"""The usage report is the sum of the tenant's jobs, as JSON and as CSV."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx2
import openai
import pytest

from local.tenants import ACME, GLOBEX, LocalTenant
from tests.e2e.conftest import Deployment, extension_of, wait_until_ended

pytestmark = pytest.mark.e2e


def test_usage_is_the_sum_of_the_jobs(deployment: Deployment, client: openai.OpenAI) -> None:
    tag = f"run-{uuid.uuid4().hex}"

    def report(tenant: LocalTenant, **headers: str) -> httpx2.Response:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        answer = httpx2.get(
            f"{deployment.service.base_url}/usage",
            params={"tag": tag, "start": yesterday, "group_by": "model,status"},
            headers={"Authorization": f"Bearer {tenant.api_key}", **headers},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer

    jobs = [
        client.responses.create(
            model=model,
            input="What is 17 * 23?",
            max_output_tokens=4000,
            background=True,
            extra_body={"afterthought": {"tags": [tag]}},
        )
        for model in ("gpt-5.4-mini", "gpt-5-nano", "gpt-5-nano")
    ]
    spent = sum((Decimal(extension_of(wait_until_ended(client, job))["cost"]["total_usd"]) for job in jobs), Decimal(0))

    usage = report(ACME).json()
    assert [(row["model"], row["status"], row["jobs"]) for row in usage["data"]] == [
        ("gpt-5-nano", "completed", 2),
        ("gpt-5.4-mini", "completed", 1),
    ]
    assert (Decimal(usage["total"]["spent_usd"]), usage["total"]["held_usd"]) == (spent, "0")
    assert [budget["period"] for budget in usage["budgets"]] == ["month", "day"]

    table = report(ACME, Accept="text/csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(table.text, newline=""), strict=True))
    assert rows == [{name: str(value) for name, value in row.items()} for row in usage["data"]]

    assert report(GLOBEX).json()["data"] == []
