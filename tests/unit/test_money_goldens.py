"""Known errors in costs and holds, each with the correct amount calculated by hand.

All on one model. Per million tokens: $2 input, $0.50 cached input, $2.50 cache write, $8 output; twice that in the tier
`priority`, half in `flex`; $4, $1, $5 and $12 when the request has more than 272,000 input tokens.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.errors import MoneyRefused, ProviderBusy
from afterthought.domain.jobs.job import Job
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.models.model import Model
from afterthought.domain.models.pricing import Price, Usage
from tests.laws import money
from tests.simulator import world as simulated
from tests.simulator.queues import QueueFaults
from tests.simulator.world import World

PRICES: dict[str, str] = {"input": "2", "cached_input": "0.5", "cache_write": "2.5", "output": "8"}
DOUBLE: dict[str, str] = {"input": "4", "cached_input": "1", "cache_write": "5", "output": "16"}
HALF: dict[str, str] = {"input": "1", "cached_input": "0.25", "cache_write": "1.25", "output": "4"}
LONG: dict[str, str] = {"input": "4", "cached_input": "1", "cache_write": "5", "output": "12"}
PAST = date(2026, 1, 1)
MILLION = 1_000_000


def row(prices: dict[str, str], *, tier: str = "standard", first_day: date = PAST, above: int = 0) -> Price:
    name = f"golden/{tier}/{first_day}" + ("/above-272k" if above else "")
    values = {"id": name, "model": "golden", "tier": tier, "effective_from": first_day, "above_input_tokens": above}
    return Price.model_validate({**values, **prices})


BASE_PRICES = (row(PRICES), row(LONG, above=272_000), row(DOUBLE, tier="priority"), row(HALF, tier="flex"))


def golden(*changes: Price) -> Model:
    return Model(
        id="golden",
        reasoning=True,
        context_window_input=1_000_000,
        max_output_tokens=100_000,
        typical_output_tokens=1_000,
        efforts=("low", "high"),
        default_effort="low",
        tools=True,
        parallel_tool_calls=True,
        structured_outputs=True,
        prices=(*BASE_PRICES, *changes),
    )


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> "GoldenCatalogue":
    return GoldenCatalogue(monkeypatch)


class GoldenCatalogue:
    """Creates worlds whose catalogue has only the golden model, with optional price changes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def world(self, *changes: Price, at: datetime | None = None) -> World:
        """A world that starts at `at`."""
        default = default_catalogue()
        tier5 = RateTier(name="tier5", supported=True, requests_per_minute=10_000, tokens_per_minute=30_000_000)
        catalogue = Catalogue(models={"golden": golden(*changes)}, providers=default.providers, tiers={"tier5": tier5})
        self._patch.setattr(simulated, "default_catalogue", lambda: catalogue)
        world = World()
        if at is not None:
            world.clock.move_to(at)
        return world


@pytest.fixture
def world(catalogue: GoldenCatalogue) -> World:
    return catalogue.world()


def submitted(world: World, usage: Usage | None = None, **body: Any) -> Job:
    """A job that was just accepted and will have this usage."""
    if usage is not None:
        world.provider.plan.usages.append(usage)
    return world.submit({"model": "golden", "input": "Why?", **body}).job


def ended(world: World, usage: Usage | None = None, **body: Any) -> Job:
    """A job after its end."""
    job_id = submitted(world, usage, **body).id
    world.run()
    expected, actual = money.of_jobs(world.jobs.items.values()), money.of_ledger(world.ledger)
    assert list(money.differences(expected, actual)) == []
    return world.job(job_id)


def balance(world: World, period: str = "2026-11") -> tuple[Decimal | int, Decimal | int]:
    """Dollars held and spent in a month or on a day."""
    held, spent = money.of_ledger(world.ledger).budgets.get(("acme", period), money.Budget())
    return Decimal(held.numerator) / held.denominator, Decimal(spent.numerator) / spent.denominator


def cost_of(world: World, job: Job) -> dict[str, Any]:
    """The cost in the response."""
    return dict(world.reader.read("acme", job.id)["afterthought"]["cost"])


def hold(world: World, **body: Any) -> Decimal:
    return submitted(world, **body).held_usd


def cap(world: World, **caps: Decimal) -> None:
    world.accounts.by_name["acme"] = world.accounts.by_name["acme"].model_copy(update=caps)


# ---- the cost


def test_reasoning_tokens_are_not_added(world: World) -> None:
    job = ended(world, Usage(input_tokens=1_000, output_tokens=5_000, reasoning_tokens=4_000))
    # 1,000 at $2 and 5,000 at $8. With reasoning added it would be $0.074.
    assert job.spent_usd == Decimal("0.042")
    assert balance(world) == (0, Decimal("0.042"))
    cost = cost_of(world, job)
    assert (cost["output_usd"], cost["reasoning_usd"], cost["total_usd"]) == ("0.04", "0.032", "0.042")


def test_cached_and_written_input_prices(world: World) -> None:
    usage = Usage(input_tokens=10_000, cached_input_tokens=7_000, cache_write_tokens=2_000, output_tokens=100)
    job = ended(world, usage)
    # 1,000 at $2, 7,000 at $0.50, 2,000 at $2.50, 100 at $8. Uncached, the input would be $0.02.
    assert job.spent_usd == Decimal("0.002") + Decimal("0.0035") + Decimal("0.005") + Decimal("0.0008")
    cost = cost_of(world, job)
    assert (cost["input_usd"], cost["cached_input_usd"], cost["cache_write_usd"]) == ("0.002", "0.0035", "0.005")


def test_cached_tokens_are_billed(world: World) -> None:
    job = ended(world, Usage(input_tokens=10_000, cached_input_tokens=10_000, output_tokens=0))
    assert job.spent_usd == Decimal("0.005")
    usage = world.reader.read("acme", job.id)["usage"]
    assert usage is not None
    assert (usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]) == (10_000, 10_000)
    (rows,) = money.of_ledger(world.ledger).usage.values()
    assert rows["completed_input_tokens"] == rows["completed_cached_input_tokens"] == 10_000


def test_polling_costs_nothing(world: World) -> None:
    job = ended(world, Usage(input_tokens=1_000, output_tokens=5_000), reasoning={"effort": "high"})
    assert job.attempt is not None
    assert job.attempt.polls >= 5
    history = world.jobs.history[job.id]
    assert {version.spent_usd for version in history if not version.terminal} == {Decimal(0)}
    assert balance(world) == (0, Decimal("0.042"))
    for _ in range(5):
        assert world.step(job.id).outcome == "ignored"
    assert balance(world) == (0, Decimal("0.042"))


@pytest.mark.parametrize(
    ("input_tokens", "dollars", "price_id"),
    [
        (272_000, "0.552", "golden/standard/2026-01-01"),  # × $2, and 1,000 × $8
        (272_001, "1.100004", "golden/standard/2026-01-01/above-272k"),  # × $4, and 1,000 × $12
    ],
)
def test_long_request_has_the_long_price(world: World, input_tokens: int, dollars: str, price_id: str) -> None:
    prompt = "x" * input_tokens
    job = ended(world, Usage(input_tokens=input_tokens, output_tokens=1_000), input=prompt, max_output_tokens=1_000)
    assert job.attempt is not None
    assert (job.attempt.cost_usd, job.attempt.price_id) == (Decimal(dollars), price_id)
    assert not job.over_max_cost


def test_cheaper_served_tier_is_billed(world: World) -> None:
    world.provider.plan.served_tier = "flex"
    job = ended(world, Usage(input_tokens=1_000, output_tokens=5_000))
    assert job.spent_usd == Decimal("0.021")


def test_dearer_served_tier_is_billed_in_full(world: World) -> None:
    job = submitted(world, Usage(input_tokens=1_000, output_tokens=5_000), max_output_tokens=5_000)
    cap(world, month_cap_usd=job.held_usd)
    world.provider.plan.served_tier = "priority"
    world.run()
    # 1,000 at $4 and 5,000 at $16. The hold was 5,000 at $8 and some input.
    assert balance(world) == (0, Decimal("0.084"))
    assert job.held_usd < Decimal("0.084")
    cost = cost_of(world, job)
    assert (cost["total_usd"], cost["overrun"], cost["estimated"]) == ("0.084", True, False)
    assert cost["price_id"] == "golden/priority/2026-01-01"
    with pytest.raises(MoneyRefused) as refused:
        submitted(world, max_output_tokens=16)
    assert refused.value.detail is not None
    assert Decimal(refused.value.detail["budgets"][0]["left_usd"]) == job.held_usd - Decimal("0.084")


# ---- the hold


def test_default_hold_is_the_models_limit(world: World) -> None:
    """100,000 tokens, not the typical 16,000. The difference is 84,000 × $8."""
    assert hold(world) - hold(world, max_output_tokens=16_000) == Decimal("0.672")


def test_hold_follows_max_output_tokens(world: World) -> None:
    assert hold(world, max_output_tokens=1_016) - hold(world, max_output_tokens=16) == Decimal("0.008")


@pytest.mark.parametrize(
    "part",
    [
        {"instructions": "w" * 1_000},
        {"tools": [{"type": "function", "name": "f", "description": "w" * 1_000, "parameters": {"type": "object"}}]},
        {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "description": "w" * 1_000}}]},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": {"type": "object", "properties": {"w" * 1_000: {"type": "string"}}},
                }
            }
        },
        {"input": [{"role": "user", "content": "w" * 1_000}, {"role": "user", "content": "Why?"}]},
        {"input": [{"role": "assistant", "content": "w" * 1_000}, {"role": "user", "content": "Why?"}]},
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x": "' + "w" * 1_000 + '"}'},
                {"type": "function_call_output", "call_id": "c", "output": "4"},
                {"role": "user", "content": "Why?"},
            ]
        },
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "w" * 1_000},
                {"role": "user", "content": "Why?"},
            ]
        },
    ],
    ids=["instructions", "a tool", "its parameters", "a schema", "history", "answers", "calls", "their outputs"],
)
def test_hold_covers_every_input_part(world: World, part: dict[str, Any]) -> None:
    """A thousand bytes can be a thousand tokens, at the highest input price: that of a cache write."""
    difference = hold(world, max_output_tokens=16, **part) - hold(world, max_output_tokens=16)
    assert difference >= 1_000 * Decimal("2.5") / MILLION


def test_input_is_held_at_cache_write_price(world: World) -> None:
    """$2.50, because all of it may be written to the cache."""
    difference = hold(world, input="x" * 11_000, max_output_tokens=16) - hold(
        world, input="x" * 1_000, max_output_tokens=16
    )
    assert difference == Decimal("0.025")


def test_possibly_long_prompt_is_held_at_long_price(world: World) -> None:
    """300,000 bytes can be 300,000 tokens at $5, and the output costs $12."""
    held = hold(world, input="x" * 300_000, max_output_tokens=100_000)
    assert held >= Decimal("1.5") + Decimal("1.2")
    assert held < Decimal("1.52") + Decimal("1.2")


@pytest.mark.parametrize(("tier", "output_usd"), [("flex", "0.4"), ("default", "0.8"), ("priority", "1.6")])
def test_hold_follows_the_requested_tier(world: World, tier: str, output_usd: str) -> None:
    """100,000 tokens of output, and less than two cents of input."""
    held = hold(world, service_tier=tier)
    assert Decimal(output_usd) < held < Decimal(output_usd) + Decimal("0.02")


# ---- unknown usage


def test_run_without_usage_costs_its_hold(world: World) -> None:
    world.provider.plan.endings.append("never")
    job = ended(world, max_output_tokens=5_000)
    assert (job.status, job.failure.code if job.failure else None) == ("failed", "deadline_exceeded")
    assert balance(world) == (0, world.jobs.history[job.id][0].held_usd)
    cost = cost_of(world, job)
    assert (cost["estimated"], cost["overrun"], cost["price_id"]) == (True, False, None)
    assert cost["total_usd"] == cost["bound_usd"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_late_usage_replaces_the_estimate(world: World, *, cancelled: bool) -> None:
    world.provider.plan.endings.append("late usage")
    usage = Usage(input_tokens=1_000, output_tokens=5_000, reasoning_tokens=4_000)
    webhook = {"webhook_url": simulated.WEBHOOK_URL}
    job_id = submitted(world, usage, afterthought=webhook).id
    held = world.job(job_id).held_usd
    if cancelled:
        world.run_until(lambda: bool(world.provider.runs), timedelta(hours=1))
        (run,) = world.provider.runs.values()
        run.ends_at += timedelta(days=2)
    world.run_until(lambda: world.job(job_id).terminal, timedelta(hours=26))
    estimate = world.job(job_id)
    assert estimate.estimated
    assert not estimate.held_usd
    assert estimate.spent_usd == held

    world.run()
    corrected = world.job(job_id)
    assert balance(world) == (0, Decimal("0.042"))
    assert (corrected.spent_usd, corrected.estimated) == (Decimal("0.042"), False)
    assert (corrected.status, corrected.finished_at) == (estimate.status, estimate.finished_at)
    assert (len(world.topic.published), len(world.receiver.received)) == (1, 1)
    expected, actual = money.of_jobs([corrected]), money.of_ledger(world.ledger)
    assert list(money.differences(expected, actual)) == []


def test_messages_of_an_estimate_do_not_multiply(catalogue: GoldenCatalogue) -> None:
    """Each message is delivered twice, and the provider is busy when the usage is requested."""
    world = catalogue.world()
    world.job_messages.faults = QueueFaults(duplicates=1.0)
    world.provider.plan.endings.append("never")
    job = submitted(world, reasoning={"effort": "high"})
    world.provider.poll_error = ProviderBusy("away")
    world.run_until(lambda: world.job(job.id).terminal, timedelta(hours=26))
    assert world.job(job.id).estimated
    calls = len(world.calls.recorded)
    world.run()
    assert len(world.calls.recorded) - calls < 1_000


def test_late_usage_above_the_hold_is_an_overrun(world: World) -> None:
    world.provider.plan.endings.append("late usage")
    job = ended(world, Usage(input_tokens=1_000, output_tokens=6_000), max_output_tokens=5_000)
    assert balance(world) == (0, Decimal("0.05"))
    assert (job.over_max_cost, cost_of(world, job)["overrun"]) == (True, True)


# ---- price changes and periods

EVENING = datetime(2026, 11, 10, 23, 59, tzinfo=UTC)
NEXT_DAY = date(2026, 11, 11)


def test_price_change_after_the_call_is_ignored(catalogue: GoldenCatalogue) -> None:
    world = catalogue.world(row(DOUBLE, first_day=NEXT_DAY), at=EVENING)
    job = ended(world, Usage(input_tokens=1_000, output_tokens=5_000), reasoning={"effort": "high"})
    assert job.finished_at is not None
    assert job.finished_at.date() == NEXT_DAY
    assert (job.spent_usd, cost_of(world, job)["price_date"]) == (Decimal("0.042"), "2026-01-01")


@pytest.mark.parametrize(("prices", "dollars"), [(DOUBLE, "0.084"), (HALF, "0.021")], ids=["more_expensive", "cheaper"])
def test_price_change_before_the_call_applies(catalogue: GoldenCatalogue, prices: dict[str, str], dollars: str) -> None:
    world = catalogue.world(row(prices, first_day=NEXT_DAY), at=EVENING)
    world.provider.plan.answers = ["busy"] * 6
    usage = Usage(input_tokens=1_000, output_tokens=5_000)
    job = ended(world, usage, input="x" * 1_000, max_output_tokens=5_000)
    assert job.attempt is not None
    assert job.attempt.called_at is not None
    assert (job.attempt.held_at.date(), job.attempt.called_at.date()) == (EVENING.date(), NEXT_DAY)
    assert (job.spent_usd, job.over_max_cost) == (Decimal(dollars), False)
    assert cost_of(world, job)["price_date"] == "2026-11-11"


def test_price_after_the_deadline_is_not_held(catalogue: GoldenCatalogue) -> None:
    with_price_change = catalogue.world(row(DOUBLE, first_day=date(2026, 11, 12)), at=EVENING)
    constant = catalogue.world(at=EVENING)
    assert hold(with_price_change) == hold(constant)


@pytest.mark.parametrize(
    ("last", "month", "day", "next_month", "next_day"),
    [
        ((2026, 11, 30), "2026-11", "2026-11-30", "2026-12", "2026-12-01"),
        ((2026, 12, 31), "2026-12", "2026-12-31", "2027-01", "2027-01-01"),
        ((2028, 2, 29), "2028-02", "2028-02-29", "2028-03", "2028-03-01"),
    ],
)
def test_job_past_month_end_counts_in_its_month(
    catalogue: GoldenCatalogue, last: tuple[int, int, int], month: str, day: str, next_month: str, next_day: str
) -> None:
    world = catalogue.world(at=datetime(*last, 23, 59, tzinfo=UTC))
    job = submitted(world, Usage(input_tokens=1_000, output_tokens=5_000), reasoning={"effort": "high"})
    world.run_for(minutes=2)
    assert not world.job(job.id).terminal
    assert balance(world, month) == balance(world, day) == (job.held_usd, 0)
    assert balance(world, next_month) == balance(world, next_day) == (0, 0)

    world.run()
    finished_at = world.job(job.id).finished_at
    assert finished_at is not None
    assert finished_at.date().isoformat() == next_day
    assert balance(world, month) == balance(world, day) == (0, Decimal("0.042"))
    assert balance(world, next_month) == balance(world, next_day) == (0, 0)


def test_new_day_and_month_have_full_budgets(catalogue: GoldenCatalogue) -> None:
    world = catalogue.world(at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    first = submitted(world, max_output_tokens=5_000)
    cap(world, month_cap_usd=first.held_usd, day_cap_usd=first.held_usd)
    with pytest.raises(MoneyRefused):
        submitted(world, max_output_tokens=5_000)
    world.clock.pass_by(120)
    second = submitted(world, max_output_tokens=5_000)
    assert world.ledger.balance("acme", date(2026, 12, 1)).total.held_usd == second.held_usd
    assert world.ledger.balance("acme", date(2026, 11, 1)).total.held_usd == first.held_usd


def test_deadline_after_midnight_raises_the_hold(catalogue: GoldenCatalogue) -> None:
    """The deadline is then a day later, where another price applies: 5,000 tokens of output at $16."""
    world = catalogue.world(row(DOUBLE, first_day=date(2026, 11, 12)), at=EVENING + timedelta(seconds=59.999))
    job = submitted(world, max_output_tokens=5_000)
    assert job.deadline_at.date() == date(2026, 11, 12)
    assert job.held_usd > Decimal("0.08")
