"""The functions' log lines and metrics: complete for a job, and without prompts, answers and keys."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from afterthought.adapters import aws
from local.standin import StandIn
from tests.integration.conftest import deploy
from tests.integration.deployed import PROVIDER_KEY, Context, Deployed, sample

Json = dict[str, Any]

KEY = "at_canary-key-93a1"
CANARY = "canary4242"
URL = f"https://hooks.example.com/h?token={CANARY}-url"
# The stand-in answers in this schema, so the answer contains the canary too.
SCHEMA = {"type": "object", "properties": {f"{CANARY}_answer": {"type": "string"}}, "required": [f"{CANARY}_answer"]}
QUESTION: Json = {
    "model": "o3",
    "input": [{"role": "user", "content": f"What is {CANARY}? Say {CANARY}."}],
    "instructions": f"{CANARY}-instructions",
    "metadata": {f"{CANARY}-name": f"{CANARY}-value"},
    "user": f"{CANARY}-user",
    "tools": [{"type": "function", "name": f"{CANARY}-tool", "description": f"{CANARY}-description"}],
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "afterthought": {"webhook_url": URL},
}


@pytest.fixture
def service() -> Iterator[Deployed]:
    yield from deploy()


class Printed:
    """The output of the functions and of all libraries, at every level."""

    def __init__(self, capture: pytest.CaptureFixture[str], logs: pytest.LogCaptureFixture) -> None:
        self._capture, self._logs = capture, logs
        self.text = ""

    def read(self) -> list[Json]:
        """The lines since the last call. Each must be JSON."""
        out, err = self._capture.readouterr()
        self.text += out + err + "\n".join(record.getMessage() for record in self._logs.records)
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    def metrics(self, lines: list[Json]) -> list[Json]:
        return [line for line in lines if "_aws" in line]

    def logs(self, lines: list[Json]) -> list[Json]:
        return [line for line in lines if "message" in line]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Printed:
    # As Lambda does for a function with log level DEBUG.
    caplog.set_level(logging.DEBUG)
    return Printed(capsys, caplog)


def submit(service: Deployed, **changes: Any) -> str:
    answer = service.call("POST", "/v1/responses", {**QUESTION, **changes}, key=KEY)
    assert answer.status == 200, answer.event
    response_id: str = answer.body["id"]
    return response_id


def work(service: Deployed, job_id: str) -> None:
    [record] = sample("worker")["Records"]
    service.invoke("Worker", {"Records": [{**record, "body": json.dumps({"job_id": job_id})}]})
    service.clock.pass_seconds(30)


def test_every_line_has_job_id_and_tenant(
    service: Deployed, standin: StandIn, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    service.make_tenant("acme", api_key=KEY)
    printed.read()
    job_id = submit(service)
    lines = printed.logs(printed.read())
    work(service, job_id)
    work(service, job_id)
    service.invoke("Notifier", {"Records": service.stream_records()[-1:]})
    [message] = service.receive("WebhookQueue")
    service.invoke("Webhooks", {"Records": [message]})
    lines += printed.logs(printed.read())
    lines = [line for line in lines if "exception" not in line]
    assert [(line["service"], line["message"]) for line in lines] == [
        ("api", "job submitted"),
        ("worker", "job step"),
        ("worker", "job step"),
        ("notifier", "completion event published"),
        ("webhooks", "webhook failed"),
    ]
    for line in lines:
        assert (line["job_id"], line["tenant"]) == (job_id, "acme")
        assert line["level"] == "INFO"
        for field in ("location", "function_request_id", "timestamp", "xray_trace_id"):
            assert field not in line
    assert lines[0]["request_id"] == sample("api")["requestContext"]["requestId"]


def test_keys_are_cleared_between_invocations(service: Deployed, standin: StandIn, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    submit(service)
    printed.read()
    assert service.call("GET", "/v1/models", headers={"authorization": "Bearer unknown"}).status == 401
    [line] = printed.logs(printed.read())
    assert "tenant" not in line
    assert "job_id" not in line


def test_job_logs_no_content_and_no_key(service: Deployed, standin: StandIn, printed: Printed) -> None:
    secret = service.make_tenant("acme", api_key=KEY).webhook_secret
    assert secret is not None
    job_id = submit(service)
    work(service, job_id)
    work(service, job_id)
    response = service.call("GET", f"/v1/responses/{job_id}", key=KEY).event["body"]
    assert CANARY in json.dumps(json.loads(response)["output"])
    service.invoke("Notifier", {"Records": service.stream_records()[-1:]})
    for message in service.receive("WebhookQueue"):
        service.invoke("Webhooks", {"Records": [message]})
    service.clock.pass_seconds(7200)
    service.invoke("Sweeper", sample("sweeper"))
    printed.read()
    for secret_text in (CANARY, KEY, PROVIDER_KEY, secret, secret.removeprefix("whsec_"), "hooks.example.com"):
        assert secret_text not in printed.text


REFUSED: list[Any] = [
    {f"What is {CANARY}?": 1},
    {"model": f"{CANARY}-model", "input": "x"},
    {**QUESTION, "temperature": f"{CANARY}"},
    {**QUESTION, "input": [{"role": f"{CANARY}", "content": "x"}]},
    {**QUESTION, "input": [{"type": f"{CANARY}"}]},
    {**QUESTION, "tools": [{"type": f"{CANARY}"}]},
    {**QUESTION, "metadata": {f"{CANARY}": 1}},
    {**QUESTION, "afterthought": {"webhook_url": f"http://{CANARY}.example.com/"}},
    {**QUESTION, "instructions": f"{CANARY}\0"},
    f'{{"input": "{CANARY}',
    f'["{CANARY}"]',
    CANARY,
]


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: json.dumps(body)[:40])
def test_refusal_logs_no_content(service: Deployed, printed: Printed, body: Any) -> None:
    service.make_tenant("acme", api_key=KEY)
    answer = service.call("POST", "/v1/responses", body, key=KEY, headers={"idempotency-key": "two words"})
    assert answer.status == 400
    [line] = printed.logs(printed.read())
    assert line["message"] == "request refused"
    assert (line["http_status"], line["code"]) == (400, answer.error["code"])
    assert CANARY not in printed.text
    assert KEY not in printed.text


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "unauthorized", "message": f"Incorrect API key provided: {PROVIDER_KEY}"},
        {"do": "invalid_prompt", "message": f"Flagged: {CANARY}"},
        {"do": "run_failed", "message": f"Could not say {CANARY}"},
        {"do": "garbage"},
        {"do": "truncated"},
        {"do": "close_after"},
        {"do": "rate_limited"},
        {"do": "server_error"},
        {"do": "garbage", "on": "retrieve"},
        {"do": "truncated", "on": "retrieve"},
        {"do": "unauthorized", "on": "retrieve", "message": f"Incorrect API key provided: {PROVIDER_KEY}"},
    ],
    ids=lambda rule: "-".join(rule.values())[:30],
)
def test_provider_failure_logs_no_content(service: Deployed, standin: StandIn, printed: Printed, rule: Json) -> None:
    service.make_tenant("acme", api_key=KEY)
    standin.script(**rule)
    job_id = submit(service)
    for _ in range(3):
        work(service, job_id)
    assert any(line.get("job_id") == job_id for line in printed.read())
    for secret_text in (CANARY, PROVIDER_KEY, KEY):
        assert secret_text not in printed.text


def test_unexpected_failure_logs_no_content(service: Deployed, standin: StandIn, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    job_id = submit(service)
    aws.s3().delete_bucket(Bucket="payloads")
    aws.dynamodb().delete_table(TableName="JobTable")
    assert service.call("POST", "/v1/responses", QUESTION, key=KEY).status == 500
    work(service, job_id)
    lines = printed.logs(printed.read())
    failed = [line for line in lines if "exception" in line]
    assert [line["level"] for line in failed] == ["ERROR", "WARNING"]
    assert failed[1]["job_id"] == job_id
    for line in failed:
        assert line["function_request_id"] == Context.aws_request_id
        assert "location" in line
    for secret_text in (CANARY, PROVIDER_KEY, KEY):
        assert secret_text not in printed.text


def test_submission_is_counted_once_by_model(service: Deployed, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    for _ in range(2):
        service.call("POST", "/v1/responses", QUESTION, key=KEY, headers={"idempotency-key": "k"})
    [metric] = printed.metrics(printed.read())
    assert (metric["JobsSubmitted"], metric["model"], metric["service"]) == ([1], "o3", "api")
    [directive] = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Afterthought"
    assert directive["Metrics"] == [{"Name": "JobsSubmitted", "Unit": "Count"}]


def test_finished_job_has_metrics(service: Deployed, standin: StandIn, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    job_id = submit(service)
    service.clock.pass_seconds(7)
    work(service, job_id)
    work(service, job_id)
    work(service, job_id)
    [finished] = [line for line in printed.metrics(printed.read()) if "JobsFinished" in line]
    response = service.call("GET", f"/v1/responses/{job_id}", key=KEY).body
    assert (finished["status"], finished["model"], finished["JobsFinished"]) == ("completed", "o3", [1])
    assert finished["CostUsd"] == [float(response["afterthought"]["cost"]["total_usd"])]
    assert finished["ReasoningTokens"] == [response["usage"]["output_tokens_details"]["reasoning_tokens"]]
    assert 7 <= finished["QueueDuration"][0] < 20
    assert 30 <= finished["RunDuration"][0] < 45
    [directive] = finished["_aws"]["CloudWatchMetrics"]
    assert {"status", "model"} <= set(directive["Dimensions"][0])
    units = {metric["Name"]: metric.get("Unit") for metric in directive["Metrics"]}
    assert units["QueueDuration"] == units["RunDuration"] == "Seconds"


def test_failed_job_is_counted(service: Deployed, standin: StandIn, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    standin.script("invalid_prompt")
    work(service, submit(service))
    [finished] = [line for line in printed.metrics(printed.read()) if "JobsFinished" in line]
    assert (finished["status"], finished["JobsFinished"]) == ("failed", [1])
    assert "CostUsd" not in finished


def test_webhook_outcome_is_counted(service: Deployed, standin: StandIn, printed: Printed) -> None:
    service.make_tenant("acme", api_key=KEY)
    service.invoke("Webhooks", sample("webhooks"))
    [metric] = printed.metrics(printed.read())
    assert metric["WebhooksSkipped"] == [1]
