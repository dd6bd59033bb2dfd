"""A response that costs more than its hold is billed in full and raises an alarm."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from afterthought.adapters import aws
from local.standin import StandIn
from tests.integration.deployed import Deployed, sample
from tests.laws import money
from tests.simulator.stack import properties

Json = dict[str, Any]

KEY = "local-key-acme"
# The tier `priority` costs twice as much. At this effort the stand-in uses up all output tokens.
QUESTION: Json = {
    "model": "gpt-5.4-mini",
    "input": "Why?",
    "reasoning": {"effort": "xhigh"},
    "max_output_tokens": 2_048,
}


def ended(service: Deployed, capture: pytest.CaptureFixture[str]) -> tuple[Json, list[Json]]:
    """The job's cost, and the metrics that the worker printed."""
    answer = service.call("POST", "/v1/responses", QUESTION, key=KEY)
    [record] = sample("worker")["Records"]
    capture.readouterr()
    for _ in range(2):
        service.invoke("Worker", {"Records": [{**record, "body": json.dumps({"job_id": answer.body["id"]})}]})
        service.clock.pass_seconds(30)
    lines = [json.loads(line) for line in capture.readouterr().out.splitlines()]
    cost: Json = service.call("GET", f"/v1/responses/{answer.body['id']}", key=KEY).body["afterthought"]["cost"]
    return cost, [line for line in lines if "_aws" in line]


def overrun_metrics(metrics: list[Json]) -> list[Json]:
    return [line for line in metrics if "CostOverruns" in line]


def test_dearer_tier_raises_the_alarm(service: Deployed, standin: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    service.make_tenant("acme", api_key=KEY)
    standin.script("served_otherwise", service_tier="priority")
    cost, metrics = ended(service, capsys)
    assert cost["overrun"] is True
    assert Decimal(cost["total_usd"]) > Decimal(cost["bound_usd"])
    ledger = money.of_items(aws.dynamodb().scan(TableName="AccountTable")["Items"])
    assert set(ledger.budgets.values()) == {money.Budget(spent=Fraction(cost["total_usd"]))}

    [line] = overrun_metrics(metrics)
    assert line["CostOverruns"] == [1.0]
    [metric] = line["_aws"]["CloudWatchMetrics"]
    alarm = properties("CostOverrunAlarm")
    assert (metric["Namespace"], [each["Name"] for each in metric["Metrics"]]) == (
        alarm["Namespace"],
        [alarm["MetricName"]],
    )
    [dimensions] = metric["Dimensions"]
    assert [{"Name": name, "Value": line[name]} for name in dimensions] == alarm["Dimensions"]


def test_cost_within_the_hold_raises_no_alarm(
    service: Deployed, standin: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    service.make_tenant("acme", api_key=KEY)
    cost, metrics = ended(service, capsys)
    assert cost["overrun"] is False
    assert metrics
    assert overrun_metrics(metrics) == []
