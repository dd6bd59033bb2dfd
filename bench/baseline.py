"""The usual design, as a cost model: nothing of it is run here, and each of its calls is itemised as ours are.

An api Lambda puts the request into SQS; a Lambda takes it, holds the call for as long as the model thinks, and puts the
answer into DynamoDB with one write; SNS tells a webhook. No ledger, no budgets, no idempotency, no limits, and a call
whose answer is lost is paid again.
"""

from dataclasses import dataclass
from decimal import Decimal

from bench.cost import Line, Prices, total
from bench.texts import ANSWER_BYTES, QUESTION_BYTES

MEMORIES_MB = (256, 1024)
LONGEST_SECONDS = 900
"""A Lambda runs no longer."""

_API_MB = 256
_ITEM_BYTES = QUESTION_BYTES + ANSWER_BYTES + 300
"""As JSON, with its keys and ids; not compressed."""


@dataclass(frozen=True)
class Usual:
    """`billed_ms` are those of both of its Lambdas, for one job."""

    memory_mb: int
    lines: list[Line]
    billed_ms: Decimal
    requests: int

    @property
    def dollars(self) -> Decimal:
        return total(self.lines)


def model(thinking_seconds: int, memory_mb: int, prices: Prices) -> Usual | None:
    """A million such jobs; None where they cannot be."""
    if thinking_seconds >= LONGEST_SECONDS:
        return None
    rate, waits, logs = prices.per_million, prices.waits, prices.log_bytes
    work, cold = prices.processor_ms["synchronous"], "synchronous"
    api_ms = waits["sqs SendMessage"] + prices.working_ms(work, _API_MB) + prices.cold_ms(cold, _API_MB)
    worker_ms = (
        Decimal(waits["provider awaited create"] + 1000 * thinking_seconds)
        + waits["dynamodb PutItem"]
        + waits["sns Publish"]
        + prices.working_ms(work, memory_mb)
        + prices.cold_ms(cold, memory_mb)
    )
    logged = logs["an_own_line"] + logs["lambda_of_an_invocation"] + 4 * logs["a_line"]
    access = logs["an_http_request"] + logs["a_line"]
    units = -(-_ITEM_BYTES // 1024)

    def line(function: str, service: str, what: str, number: Decimal | int, dollars: Decimal) -> Line:
        return Line(function, service, what, Decimal(number), dollars)

    lines = [
        line("api", "HTTP API", "request", 1, rate["http_api_request"]),
        line("api", "Logs", "line of the HTTP API", access, prices.logs_usd(access)),
        line("api", "SQS", "SendMessage", 1, rate["sqs_request"]),
        line("api", "Lambda requests", "invocation", 1, rate["lambda_request"]),
        line("api", "Lambda duration", "ms", api_ms, prices.lambda_usd(api_ms, _API_MB)),
        line("api", "Logs", "lines", logged, prices.logs_usd(logged)),
        line("worker", "SQS", "ReceiveMessage by Lambda", 1, rate["sqs_request"]),
        line("worker", "DynamoDB writes", "PutItem", units, units * rate["dynamodb_write_unit"]),
        line("worker", "SNS", "Publish", 1, rate["sns_publish"]),
        line("worker", "SQS", "DeleteMessage by Lambda", 1, rate["sqs_request"]),
        line("worker", "Lambda requests", "invocation", 1, rate["lambda_request"]),
        line("worker", "Lambda duration", "ms", worker_ms, prices.lambda_usd(worker_ms, memory_mb)),
        line("worker", "Logs", "lines", logged, prices.logs_usd(logged)),
        line("worker", "SNS", "delivery to the webhook", 1, rate["sns_http_delivery"]),
    ]
    # A request of AWS's: those that the job makes, or that Lambda makes for it.
    return Usual(memory_mb, lines, api_ms + worker_ms, requests=5)
