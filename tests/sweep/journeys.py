"""The journeys of a job: what its owner does, and how the provider behaves."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.errors import MoneyRefused, TablesBusy
from afterthought.domain.jobs.attempt import AttemptState
from afterthought.domain.models.provider import Provider, ProviderLimits
from tests.simulator.calls import ProcessDied, TransportFailed
from tests.simulator.provider import Answer, Ending, ProviderPlan
from tests.simulator.world import WEBHOOK_URL, EventFault, World

Result = TypeVar("Result")

MAX_WAIT = timedelta(hours=3)
"""How long a journey waits for a state: a fault may prevent it."""


@dataclass(frozen=True)
class Journey:
    """`ends` and `uses_sweeper` describe the run without faults: how its jobs end, and whether the sweeper has to act.
    A test checks them."""

    name: str
    ends: tuple[str, ...]
    act: Callable[[World], object]
    uses_sweeper: bool = False
    events: bool = False
    event_faults: Mapping[int, EventFault] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    start: datetime | None = None

    def create_world(self, world_class: type[World] = World, **more: Any) -> World:
        optional = {"catalogue": self.catalogue, "start": self.start}
        present: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
        return world_class(events=self.events, event_faults=self.event_faults, **present, **more)


# ---- what owners do --------------------------------------------------------------------------------------------------

LONG: dict[str, Any] = {"effort": "xhigh", "model": "gpt-5.6-sol"}
"""A run of a quarter of an hour."""


def submit(world: World, *, tenant: str = "acme", key: str | None = None, **parameters: Any) -> str | None:
    """The job's id, None where the owner got no answer. With a key the request is retried, as SDKs do."""
    options = {"webhook_url": WEBHOOK_URL, **parameters.pop("afterthought", {})}
    effort = parameters.pop("effort", "low")
    body = {"model": "o3", "input": "Why?", "reasoning": {"effort": effort}, "max_output_tokens": 5_000, **parameters}
    post = partial(world.submit, {**body, "afterthought": options}, tenant=tenant, key=key)
    submitted = retry(post, tries=3 if key else 1)
    return submitted.job.id if submitted else None


def cancel(world: World, job_id: str | None) -> None:
    if job_id is not None:
        retry(partial(world.cancel, job_id))


def retry(call: Callable[[], Result], tries: int = 3) -> Result | None:
    """The first result; a function that crashed or failed answers 5xx."""
    for _ in range(tries):
        with suppress(ProcessDied, TransportFailed, TablesBusy):
            return call()
    return None


def wait_for(world: World, job_id: str | None, *states: AttemptState) -> None:
    """Runs until the newest attempt is in one of the states, or the job has ended."""

    def reached() -> bool:
        job = world.jobs.items.get(job_id or "")
        return job is None or job.terminal or (job.attempt is not None and job.attempt.state in states)

    world.run_until(reached, MAX_WAIT)


def schedule(world: World, seconds: float, action: Callable[[], object]) -> None:
    world.scheduled.append((world.clock() + timedelta(seconds=seconds), action))


# ---- journeys --------------------------------------------------------------------------------------------------------


def submit_one(world: World) -> None:
    submit(world, effort="medium")


def submit_with_key(world: World) -> None:
    submit(world, key="the-same")


def submit_for_two_tenants(world: World) -> None:
    submit(world)
    submit(world, tenant="globex", afterthought={"tags": ["a", "b"]})


def event_before_answer(world: World) -> None:
    """The run ends at once, and its event arrives before the answer to the call."""
    world.provider.plan = ProviderPlan(seconds=0)
    world.provider.during_call = partial(world.run_for, seconds=2)
    submit(world)


def with_plan(
    *,
    answers: tuple[Answer, ...] = (),
    endings: tuple[Ending, ...] = (),
    seconds: float | None = None,
    retry_after_seconds: float | None = None,
    **parameters: Any,
) -> Callable[[World], None]:
    """One job with this behaviour of the provider."""

    def act(world: World) -> None:
        world.provider.plan = ProviderPlan(
            list(answers), list(endings), retry_after_seconds=retry_after_seconds, seconds=seconds
        )
        submit(world, **parameters)

    return act


def cancel_at_once(world: World) -> None:
    cancel(world, submit(world))


def cancel_while_queued(world: World) -> None:
    world.provider.plan = ProviderPlan(answers=["busy"], retry_after_seconds=600)
    job_id = submit(world)
    world.run_for(seconds=60)
    cancel(world, job_id)


def cancel_while_calling(world: World) -> None:
    job_id = submit(world, **LONG)
    world.provider.during_call = partial(cancel, world, job_id)


def cancel_while_calling_with(answer: Answer, **policies: str) -> Callable[[World], None]:
    """The call then gets this answer."""

    def act(world: World) -> None:
        world.provider.plan = ProviderPlan(answers=[answer])
        job_id = submit(world, afterthought=policies)
        world.provider.during_call = partial(cancel, world, job_id)

    return act


def cancel_while_running(world: World) -> None:
    job_id = submit(world, **LONG)
    wait_for(world, job_id, "running")
    world.run_for(seconds=100)
    cancel(world, job_id)


def cancel_with_late_usage(world: World) -> None:
    world.provider.plan = ProviderPlan(endings=["late usage"])
    cancel_while_running(world)


def cancel_while_outcome_unknown(world: World) -> None:
    world.provider.plan = ProviderPlan(answers=["lost after"], seconds=3000)
    job_id = submit(world)
    wait_for(world, job_id, "outcome_unknown")
    world.run_for(seconds=100)
    cancel(world, job_id)


def cancel_after_end(world: World) -> None:
    job_id = submit(world)
    world.run_until(lambda: bool(world.receiver.received), MAX_WAIT)
    cancel(world, job_id)


def cancel_direct_call(world: World) -> None:
    job_id = submit(world, effort="high")
    schedule(world, 60, partial(cancel, world, job_id))


def without_money(world: World) -> None:
    world.provider.plan = ProviderPlan(answers=["no money", "no money"])
    submit(world)
    world.run_for(minutes=2)
    submit(world, tenant="globex")


def submit_four(world: World) -> None:
    for number in range(4):
        submit(world, tenant=("acme", "globex")[number % 2])


def repeat_within_budget(holds: str) -> Callable[[World], None]:
    """The answer to the first call is lost, and the owner wants it repeated: a second hold, in a budget of this many
    holds. Then a second job is submitted."""

    def act(world: World) -> None:
        world.provider.plan = ProviderPlan(answers=["lost after"])
        job_id = submit(world, afterthought={"on_unknown": "retry"})
        if job_id is None:
            return
        world.set_day_cap(day_usd=world.job(job_id).held_usd * Decimal(holds))
        wait_for(world, job_id, "settled", "running")
        with suppress(MoneyRefused):
            submit(world)

    return act


def receiver_down_once(world: World) -> None:
    world.receiver.status = 503
    submit(world)
    world.run_until(lambda: bool(world.receiver.received), MAX_WAIT)
    world.receiver.status = 200


def catalogue_with_standin(**changes: Any) -> Catalogue:
    """The catalogue with changed fields of the provider `standin`, which serves o3."""
    catalogue = default_catalogue()
    standin = Provider.model_validate({**catalogue.providers["standin"].model_dump(), **changes})
    return catalogue.model_copy(update={"providers": {**catalogue.providers, "standin": standin}})


DIRECT = catalogue_with_standin(modes={"o3": "direct"})
"""o3 has a price; the models of direct providers have none."""
THROTTLED = catalogue_with_standin(limits={"o3": ProviderLimits(requests_per_minute=2, tokens_per_minute=8_000)})
RETIRING = catalogue_with_standin(shutdown={"o3": date(2026, 11, 3)})
BEFORE_SHUTDOWN = datetime(2026, 11, 2, 23, 58, tzinfo=UTC)

RETRY = {"on_unknown": "retry"}
SUCCESSOR = {"model_policy": "successor"}
STARVED = {"on_starved": "retry"}
SOON = {"deadline_seconds": 60}

DONE, CANCELLED = "completed", "cancelled"
OUTCOME_UNKNOWN, DEADLINE_EXCEEDED = "failed outcome_unknown", "failed deadline_exceeded"

JOURNEYS = (
    Journey("polled", (DONE,), submit_one),
    Journey("woken", (DONE,), submit_one, events=True),
    Journey("woken, event lost", (DONE,), submit_one, events=True, event_faults={1: "lost"}, uses_sweeper=True),
    Journey("woken, event duplicated", (DONE,), submit_one, events=True, event_faults={1: "duplicated"}),
    Journey("woken, event late", (DONE,), submit_one, events=True, event_faults={1: "late"}, uses_sweeper=True),
    Journey("woken, event before the answer", (DONE,), event_before_answer, events=True),
    Journey("idempotency key", (DONE,), submit_with_key),
    Journey("two tenants", (DONE, DONE), submit_for_two_tenants, events=True),
    Journey("direct", (DONE,), submit_one, catalogue=DIRECT),
    Journey("direct, open-weight model", (DONE,), with_plan(model="gpt-oss-20b")),
    Journey("direct, busy", (DONE,), with_plan(answers=("busy",)), catalogue=DIRECT),
    Journey("direct, outcome unknown", (OUTCOME_UNKNOWN,), with_plan(answers=("lost after",)), catalogue=DIRECT),
    Journey(
        "direct, outcome unknown, retried",
        (DONE,),
        with_plan(answers=("lost after",), afterthought=RETRY),
        catalogue=DIRECT,
    ),
    Journey("direct, never ends", (OUTCOME_UNKNOWN,), with_plan(endings=("never",)), catalogue=DIRECT),
    Journey("direct, cancelled", (CANCELLED,), cancel_direct_call, catalogue=DIRECT),
    Journey("direct, deadline", (DEADLINE_EXCEEDED,), with_plan(effort="high", afterthought=SOON), catalogue=DIRECT),
    Journey("cancelled at once", (CANCELLED,), cancel_at_once),
    Journey("cancelled while queued", (CANCELLED,), cancel_while_queued),
    Journey("cancelled while calling", (CANCELLED,), cancel_while_calling),
    Journey("cancelled while calling, woken", (CANCELLED,), cancel_while_calling, events=True),
    Journey("cancelled while calling, busy", (CANCELLED,), cancel_while_calling_with("busy")),
    Journey("cancelled while calling, model gone", (CANCELLED,), cancel_while_calling_with("model gone", **SUCCESSOR)),
    Journey("cancelled while calling, call lost", (CANCELLED,), cancel_while_calling_with("lost before", **RETRY)),
    Journey("cancelled while running", (CANCELLED,), cancel_while_running),
    Journey("cancelled while running, woken", (CANCELLED,), cancel_while_running, events=True),
    Journey("cancelled while outcome unknown", (CANCELLED,), cancel_while_outcome_unknown, events=True),
    Journey("cancelled after the end", (DONE,), cancel_after_end),
    Journey("cancelled, late usage", (CANCELLED,), cancel_with_late_usage),
    Journey("deadline while running", (DEADLINE_EXCEEDED,), with_plan(**LONG, afterthought=SOON)),
    Journey("deadline while running, woken", (DEADLINE_EXCEEDED,), with_plan(**LONG, afterthought=SOON), events=True),
    Journey(
        "deadline while queued",
        (DEADLINE_EXCEEDED,),
        with_plan(answers=("busy",), retry_after_seconds=600, afterthought=SOON),
    ),
    Journey("outcome unknown", (OUTCOME_UNKNOWN,), with_plan(answers=("lost after",))),
    Journey("outcome unknown, retried", (DONE,), with_plan(answers=("lost after",), afterthought=RETRY)),
    Journey(
        "outcome unknown, never ran, retried",
        (DONE,),
        with_plan(answers=("lost before",), afterthought=RETRY),
        events=True,
        uses_sweeper=True,
    ),
    Journey("outcome unknown, resolved by the event", (DONE,), with_plan(answers=("lost after",)), events=True),
    Journey(
        "outcome unknown, event too late",
        (OUTCOME_UNKNOWN,),
        with_plan(answers=("lost after",), seconds=5000),
        events=True,
        uses_sweeper=True,
    ),
    Journey(
        "outcome unknown, event too late, retried",
        (DONE,),
        with_plan(answers=("lost after",), seconds=5000, afterthought=RETRY),
        events=True,
        uses_sweeper=True,
    ),
    Journey("model gone", ("failed model_not_found",), with_plan(answers=("model gone",))),
    Journey("model gone, successor", (DONE,), with_plan(answers=("model gone",), afterthought=SUCCESSOR)),
    Journey(
        "model retired while queued, successor",
        (DONE,),
        with_plan(answers=("busy",), retry_after_seconds=180, afterthought=SUCCESSOR),
        catalogue=RETIRING,
        start=BEFORE_SHUTDOWN,
    ),
    Journey("refused", ("failed invalid_prompt",), with_plan(answers=("refuses",))),
    Journey("starved", ("incomplete",), with_plan(endings=("starved",))),
    Journey("starved, retried", (DONE,), with_plan(endings=("starved",), afterthought=STARVED), events=True),
    Journey("busy", (DONE,), with_plan(answers=("busy", "busy"))),
    Journey("busy, with retry-after", (DONE,), with_plan(answers=("busy", "busy"), retry_after_seconds=300)),
    Journey(
        "busy for longer than the longest delay",
        (DONE,),
        with_plan(answers=("busy",), retry_after_seconds=2000),
        uses_sweeper=True,
    ),
    Journey("no money, until a probe", (DONE, DONE), without_money),
    Journey("accepted, then rate limited", (DONE,), with_plan(endings=("rate limited",))),
    Journey("accepted, then rate limited, woken", (DONE,), with_plan(endings=("rate limited",)), events=True),
    Journey("accepted, then out of money", (DONE,), with_plan(endings=("out of money",))),
    Journey("throttled", (DONE,) * 4, submit_four, catalogue=THROTTLED),
    Journey("budget of two holds", (DONE,), repeat_within_budget("2")),
    Journey("budget of 1.9 holds", (OUTCOME_UNKNOWN,), repeat_within_budget("1.9")),
    Journey("receiver down once", (DONE,), receiver_down_once),
    Journey("run failed", ("failed server_error",), with_plan(endings=("failed",))),
    Journey("incomplete", ("incomplete",), with_plan(endings=("incomplete",)), events=True),
    Journey("usage never reported", (DONE,), with_plan(endings=("without usage",))),
    Journey("late usage", (DONE,), with_plan(endings=("late usage",)), events=True),
    Journey("response of another attempt", ("failed internal_error",), with_plan(endings=("other token",))),
    Journey("response gone", ("failed generation_gone",), with_plan(endings=("gone",))),
    Journey("over its maximum cost", (DONE,), with_plan(endings=("over max cost",))),
)
