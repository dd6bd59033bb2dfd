"""The bench's bill contains each call once, at its price. The bill of the baseline is calculated in the same way."""

import zlib
from decimal import Decimal

import pytest

from bench.baseline import baseline
from bench.cost import Prices, bill_lines, by_service, durations, load_prices, total
from bench.meter import ItemUnits, Request, Tally
from bench.template import properties
from bench.texts import ANSWER_BYTES, QUESTION_BYTES, answer, question, random_text

MEMORY = {"api": 1769, "worker": 512, "direct": 512, "webhooks": 256}


@pytest.fixture(scope="module")
def prices() -> Prices:
    return load_prices()


def tally(*requests: Request, **invocations: int) -> Tally:
    counted = Tally()
    for request in requests:
        counted.add_uncounted(request)
    counted.invocations.update(invocations)
    return counted


def bill(job: Tally, prices: Prices, thinking_ms: int = 0) -> dict[str, Decimal]:
    return by_service(bill_lines(job, durations(job, prices, MEMORY, thinking_ms=thinking_ms), prices))


def test_waits_and_work_are_billed(prices: Prices) -> None:
    (duration,) = durations(tally(Request("api", "dynamodb", "GetItem"), api=1), prices, MEMORY)
    work = prices.processor_ms["api"] + prices.cold_share * prices.cold_processor_ms["api"]
    assert duration.billed_ms == prices.call_ms["dynamodb GetItem"] + work, "at 1,769 MB it has a whole processor"
    (duration,) = durations(tally(worker=1), prices, MEMORY)
    assert duration.working_ms == prices.processor_ms["worker"] * Decimal(1769) / 512


def test_second_processor_does_not_help(prices: Prices) -> None:
    assert prices.working_ms(10, 1769) == prices.working_ms(10, 3538) == 10


def test_gigabyte_seconds_cost_the_list_price(prices: Prices) -> None:
    assert prices.lambda_usd(Decimal(1000), 1024) == Decimal("13.3334")


def test_direct_call_time_is_billed(prices: Prices) -> None:
    job = tally(direct=1)
    job.external["direct", "awaited create"] = 1
    more = bill(job, prices, thinking_ms=60_000)["Lambda duration"] - bill(job, prices)["Lambda duration"]
    assert more == prices.lambda_usd(Decimal(60_000), 512)


def test_each_transaction_item_has_a_line(prices: Prices) -> None:
    items = (ItemUnits("STATE", write_units=2, index_units=1), ItemUnits("BUDGET", write_units=2))
    job = tally(Request("api", "dynamodb", "TransactWriteItems", items), api=1)
    lines = bill_lines(job, durations(job, prices, MEMORY), prices)
    units = {line.item: line.number for line in lines if line.service == "DynamoDB writes"}
    names = ("STATE", "STATE in the index", "BUDGET")
    assert units == dict(zip([f"TransactWriteItems {name}" for name in names], (2, 1, 2), strict=True))
    assert bill(job, prices)["DynamoDB writes"] == 5 * Decimal("0.625")


def test_message_group_costs_more(prices: Prices) -> None:
    plain = tally(Request("Lambda for worker", "sqs", "ReceiveMessage"))
    grouped = tally(Request("Lambda for worker", "sqs", "ReceiveMessage", grouped=True))
    assert bill(plain, prices)["SQS"] == Decimal("0.40")
    assert bill(grouped, prices)["SQS"] == Decimal("0.50")


def test_service_without_price_fails(prices: Prices) -> None:
    job = tally(Request("api", "translate", "TranslateText"), api=1)
    with pytest.raises(KeyError):
        bill(job, prices)


def test_total_is_the_sum_of_services(prices: Prices) -> None:
    job = tally(Request("webhooks", "sqs", "SendMessage"), webhooks=2)
    job.log_bytes["webhooks"], job.log_lines["webhooks"] = 300, 2
    lines = bill_lines(job, durations(job, prices, MEMORY), prices)
    assert total(lines) == sum(by_service(lines).values())
    assert by_service(lines)["Logs"] == prices.logs_usd(300 + 2 * prices.log_bytes["a_line"])


def test_baseline_pays_for_thinking(prices: Prices) -> None:
    short, long = (baseline(seconds, 1024, prices) for seconds in (1, 61))
    assert short is not None
    assert long is not None
    assert long.dollars - short.dollars == prices.lambda_usd(Decimal(60_000), 1024) > 790


def test_baseline_ends_at_longest_timeout(prices: Prices) -> None:
    assert baseline(899, 256, prices) is not None
    assert baseline(900, 256, prices) is None


def test_access_log_line_has_assumed_length(prices: Prices) -> None:
    line = properties("ApiStage")["AccessLogSettings"]["Format"]
    values = {
        "$context.requestId": "JKJaXmPLvHcESHA=",
        "$context.identity.sourceIp": "203.0.113.100",
        "$context.httpMethod": "POST",
        "$context.path": "/v1/provider_events/openai",
        "$context.status": "200",
        "$context.responseLength": "1843",
        "$context.responseLatency": "61",
        "$context.integrationErrorMessage": "-",
    }
    for name, value in values.items():
        line = line.replace(name, value)
    assert "$context" not in line
    assert 0 <= prices.log_bytes["an_http_request"] - len(line) < 20


def test_texts_compress_like_prose() -> None:
    assert (len(question().encode()), len(answer().encode())) == (QUESTION_BYTES, ANSWER_BYTES)
    prose, random = (len(zlib.compress(text.encode())) / ANSWER_BYTES for text in (answer(), random_text(ANSWER_BYTES)))
    assert 0.4 < prose < 0.55
    assert random > 0.7
