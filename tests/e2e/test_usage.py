"""Usage as a caller sees it, by the roles that the template gives: the sum of the jobs, as JSON and as a table."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx2
import openai
import pytest

from local.tenants import ACME, GLOBEX, LocalTenant
from tests.e2e.conftest import Whole, ours, until_ended

pytestmark = pytest.mark.e2e


def test_usage_is_what_the_jobs_cost_and_nobody_elses(whole: Whole, client: openai.OpenAI) -> None:
    tag = f"run-{uuid.uuid4().hex}"

    def ask(tenant: LocalTenant, **headers: str) -> httpx2.Response:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        answer = httpx2.get(
            f"{whole.service.base_url}/usage",
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
    spent = sum((Decimal(ours(until_ended(client, job))["cost"]["total_usd"]) for job in jobs), Decimal(0))

    told = ask(ACME).json()
    assert [(row["model"], row["status"], row["jobs"]) for row in told["data"]] == [
        ("gpt-5-nano", "completed", 2),
        ("gpt-5.4-mini", "completed", 1),
    ]
    assert (Decimal(told["total"]["spent_usd"]), told["total"]["held_usd"]) == (spent, "0")
    assert [budget["period"] for budget in told["budgets"]] == ["month", "day"]

    table = ask(ACME, Accept="text/csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(table.text, newline=""), strict=True))
    assert rows == [{name: str(held) for name, held in row.items()} for row in told["data"]]

    assert ask(GLOBEX).json()["data"] == []
