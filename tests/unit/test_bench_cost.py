"""The bench's bill: that each call is on it once, by its price, and that the usual design's is as honest."""

import zlib
from decimal import Decimal

import pytest

from bench import baseline
from bench.cost import Prices, by_service, lines, load, running, total
from bench.meter import Request, Tally, Touched
from bench.texts import ANSWER_BYTES, QUESTION_BYTES, answer, question, random_text
from local.stack import read_template

MEMORY = {"api": 1769, "worker": 512, "direct": 512, "webhooks": 256}


@pytest.fixture(scope="module")
def prices() -> Prices:
    return load()


def tally(*requests: Request, **invocations: int) -> Tally:
    made = Tally()
    for request in requests:
        made.add_counted(request)
    made.invocations.update(invocations)
    return made


def bill(job: Tally, prices: Prices, awaited_ms: int = 0) -> dict[str, Decimal]:
    return by_service(lines(job, running(job, prices, MEMORY, awaited_ms=awaited_ms), prices))


def test_a_function_is_billed_for_what_it_waits_and_for_its_work_by_its_part_of_a_processor(prices: Prices) -> None:
    (ran,) = running(tally(Request("api", "dynamodb", "GetItem"), api=1), prices, MEMORY)
    whole = prices.processor_ms["api"] + prices.cold_share * prices.cold_processor_ms["api"]
    assert ran.billed_ms == prices.waits["dynamodb GetItem"] + whole, "at 1,769 MB it has a whole processor"
    (ran,) = running(tally(worker=1), prices, MEMORY)
    assert ran.working_ms == prices.processor_ms["worker"] * Decimal(1769) / 512


def test_more_memory_than_one_processor_works_no_faster(prices: Prices) -> None:
    assert prices.working_ms(10, 1769) == prices.working_ms(10, 3538) == 10


def test_a_million_gigabyte_seconds_cost_what_the_list_says(prices: Prices) -> None:
    assert prices.lambda_usd(Decimal(1000), 1024) == Decimal("13.3334")


def test_the_time_of_an_awaited_call_is_paid_for(prices: Prices) -> None:
    job = tally(direct=1)
    job.outside["direct", "awaited create"] = 1
    more = bill(job, prices, awaited_ms=60_000)["Lambda duration"] - bill(job, prices)["Lambda duration"]
    assert more == prices.lambda_usd(Decimal(60_000), 512)


def test_each_item_of_a_transaction_has_its_own_line(prices: Prices) -> None:
    items = (Touched("STATE", write_units=2, index_units=1), Touched("BUDGET", write_units=2))
    job = tally(Request("api", "dynamodb", "TransactWriteItems", items), api=1)
    found = lines(job, running(job, prices, MEMORY), prices)
    units = {line.what: line.number for line in found if line.service == "DynamoDB writes"}
    names = ("STATE", "STATE in the index", "BUDGET")
    assert units == dict(zip([f"TransactWriteItems {name}" for name in names], (2, 1, 2), strict=True))
    assert bill(job, prices)["DynamoDB writes"] == 5 * Decimal("0.625")


def test_a_message_with_a_group_costs_more_and_is_paid_for_whoever_takes_it(prices: Prices) -> None:
    plain = tally(Request("Lambda for worker", "sqs", "ReceiveMessage"))
    grouped = tally(Request("Lambda for worker", "sqs", "ReceiveMessage", grouped=True))
    assert bill(plain, prices)["SQS"] == Decimal("0.40")
    assert bill(grouped, prices)["SQS"] == Decimal("0.50")


def test_a_service_without_a_price_is_not_forgotten(prices: Prices) -> None:
    job = tally(Request("api", "translate", "TranslateText"), api=1)
    with pytest.raises(KeyError):
        lines(job, running(job, prices, MEMORY), prices)


def test_the_sum_is_the_sum_of_the_services(prices: Prices) -> None:
    job = tally(Request("webhooks", "sqs", "SendMessage"), webhooks=2)
    job.log_bytes["webhooks"], job.log_lines["webhooks"] = 300, 2
    found = lines(job, running(job, prices, MEMORY), prices)
    assert total(found) == sum(by_service(found).values())
    assert by_service(found)["Logs"] == prices.logs_usd(300 + 2 * prices.log_bytes["a_line"])


def test_the_usual_design_pays_for_the_thinking_and_ends_at_a_quarter_of_an_hour(prices: Prices) -> None:
    short, long = (baseline.model(seconds, 1024, prices) for seconds in (1, 61))
    assert short is not None
    assert long is not None
    assert long.dollars - short.dollars == prices.lambda_usd(Decimal(60_000), 1024) > 790
    assert baseline.model(899, 256, prices) is not None
    assert baseline.model(900, 256, prices) is None


def test_the_line_of_an_http_request_is_as_long_as_the_template_makes_it(prices: Prices) -> None:
    form = read_template()["Resources"]["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    told = {
        "$context.requestId": "JKJaXmPLvHcESHA=",
        "$context.identity.sourceIp": "203.0.113.100",
        "$context.httpMethod": "POST",
        "$context.path": "/v1/provider_events/openai",
        "$context.status": "200",
        "$context.responseLength": "1843",
        "$context.responseLatency": "61",
        "$context.integrationErrorMessage": "-",
    }
    for name, value in told.items():
        form = form.replace(name, value)
    assert "$context" not in form
    assert 0 <= prices.log_bytes["an_http_request"] - len(form) < 20


def test_the_texts_are_as_long_as_said_and_compress_as_prose_does() -> None:
    assert (len(question().encode()), len(answer().encode())) == (QUESTION_BYTES, ANSWER_BYTES)
    prose, random = (len(zlib.compress(text.encode())) / ANSWER_BYTES for text in (answer(), random_text(ANSWER_BYTES)))
    assert 0.4 < prose < 0.55
    assert random > 0.7
