"""A cost model of the common design, for comparison. It is not run; its calls are priced like those of this service.

An api function puts the request into SQS. A worker function receives it, waits for the model, writes the answer
to DynamoDB and publishes it with SNS to a webhook. It has no ledger, no budgets, no idempotency and no
limits, and a call whose answer is lost is paid for again.
"""

from dataclasses import dataclass
from decimal import Decimal

from bench.cost import Line, Prices, total
from bench.fake_provider import CREATE_DIRECT
from bench.texts import ANSWER_BYTES, QUESTION_BYTES

MEMORIES_MB = (256, 1024)
MAX_SECONDS = 900
"""The longest timeout of a Lambda function."""

REQUESTS = 5
"""SendMessage, ReceiveMessage, PutItem, Publish, DeleteMessage."""

_API_MB = 256
_ITEM_BYTES = QUESTION_BYTES + ANSWER_BYTES + 300
"""Uncompressed JSON with its keys and ids."""


@dataclass(frozen=True)
class Baseline:
    """`billed_ms` is for both functions and one job."""

    lines: list[Line]
    billed_ms: Decimal

    @property
    def dollars(self) -> Decimal:
        return total(self.lines)


def baseline(thinking_seconds: int, memory_mb: int, prices: Prices) -> Baseline | None:
    """The cost of a million such jobs; None if a function cannot wait that long."""
    if thinking_seconds >= MAX_SECONDS:
        return None
    rate, call_ms, logs = prices.per_million, prices.call_ms, prices.log_bytes
    work, cold = prices.processor_ms["synchronous"], "synchronous"
    api_ms = call_ms["sqs SendMessage"] + prices.working_ms(work, _API_MB) + prices.cold_ms(cold, _API_MB)
    worker_ms = (
        Decimal(call_ms[f"provider {CREATE_DIRECT}"] + 1000 * thinking_seconds)
        + call_ms["dynamodb PutItem"]
        + call_ms["sns Publish"]
        + prices.working_ms(work, memory_mb)
        + prices.cold_ms(cold, memory_mb)
    )
    log_bytes = logs["an_own_line"] + logs["lambda_of_an_invocation"] + 4 * logs["a_line"]
    access_log_bytes = logs["an_http_request"] + logs["a_line"]
    units = -(-_ITEM_BYTES // 1024)

    def line(function: str, service: str, item: str, number: Decimal | int, dollars: Decimal) -> Line:
        return Line(function, service, item, Decimal(number), dollars)

    lines = [
        line("api", "HTTP API", "request", 1, rate["http_api_request"]),
        line("api", "Logs", "access log line of the HTTP API", access_log_bytes, prices.logs_usd(access_log_bytes)),
        line("api", "SQS", "SendMessage", 1, rate["sqs_request"]),
        line("api", "Lambda requests", "invocation", 1, rate["lambda_request"]),
        line("api", "Lambda duration", "ms", api_ms, prices.lambda_usd(api_ms, _API_MB)),
        line("api", "Logs", "lines", log_bytes, prices.logs_usd(log_bytes)),
        line("worker", "SQS", "ReceiveMessage by Lambda", 1, rate["sqs_request"]),
        line("worker", "DynamoDB writes", "PutItem", units, units * rate["dynamodb_write_unit"]),
        line("worker", "SNS", "Publish", 1, rate["sns_publish"]),
        line("worker", "SQS", "DeleteMessage by Lambda", 1, rate["sqs_request"]),
        line("worker", "Lambda requests", "invocation", 1, rate["lambda_request"]),
        line("worker", "Lambda duration", "ms", worker_ms, prices.lambda_usd(worker_ms, memory_mb)),
        line("worker", "Logs", "lines", log_bytes, prices.logs_usd(log_bytes)),
        line("worker", "SNS", "delivery to the webhook", 1, rate["sns_http_delivery"]),
    ]
    return Baseline(lines, api_ms + worker_ms)
