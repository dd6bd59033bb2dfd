"""The lives that a job can have: each a few lines of what its owner does, and what the provider does."""

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
from afterthought.domain.limits.throttle import ProviderLimits
from afterthought.domain.models.provider import Provider
from tests.simulator.line import ProcessDied, TransportFailed
from tests.simulator.provider import Answer, Ending, Plan
from tests.simulator.world import WEBHOOK_URL, Announced, World

Result = TypeVar("Result")

PATIENCE = timedelta(hours=3)
"""How long a journey waits for what it wants to see; a fault may keep it from ever seeing that."""


@dataclass(frozen=True)
class Journey:
    """`ends` is how its jobs end where nothing fails, and `swept` whether the sweeper has a part in that: so that it is
    known to be what its name says."""

    name: str
    ends: tuple[str, ...]
    act: Callable[[World], object]
    swept: bool = False
    events: bool = False
    announced: Mapping[int, Announced] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    start: datetime | None = None

    def world(self, make: Callable[..., World] = World, **more: Any) -> World:
        optional = {"catalogue": self.catalogue, "start": self.start}
        given = {name: value for name, value in optional.items() if value is not None}
        return make(events=self.events, announced=self.announced, **given, **more)


# ---- what owners do ----

LONG: dict[str, Any] = {"effort": "xhigh", "model": "gpt-5.6-sol"}
"""A quarter of an hour."""


def ask(world: World, *, tenant: str = "acme", key: str | None = None, **asked: Any) -> str | None:
    """The id of the job, if its owner got it. With a key, one who got no answer asks again, as SDKs do."""
    ours = {"webhook_url": WEBHOOK_URL, **asked.pop("afterthought", {})}
    effort = asked.pop("effort", "low")
    body = {"model": "o3", "input": "Why?", "reasoning": {"effort": effort}, "max_output_tokens": 5_000, **asked}
    again = partial(world.submit, {**body, "afterthought": ours}, tenant=tenant, key=key)
    submitted = insist(again, tries=3 if key else 1)
    return submitted.job.id if submitted else None


def cancel(world: World, job_id: str | None) -> None:
    if job_id is not None:
        insist(partial(world.cancel, job_id))


def insist(call: Callable[[], Result], tries: int = 3) -> Result | None:
    """What it gives, once it does: a function that dies or fails answers 5xx."""
    for _ in range(tries):
        with suppress(ProcessDied, TransportFailed, TablesBusy):
            return call()
    return None


def wait(world: World, job_id: str | None, *states: AttemptState) -> None:
    """Until the newest attempt is in one of these states, or the job has ended."""

    def reached() -> bool:
        job = world.jobs.items.get(job_id or "")
        return job is None or job.terminal or (job.attempt is not None and job.attempt.state in states)

    world.run_until(reached, PATIENCE)


# ---- journeys ----


def plain(world: World) -> None:
    ask(world, effort="medium")


def asked_again(world: World) -> None:
    ask(world, key="the-same")


def two_at_once(world: World) -> None:
    ask(world)
    ask(world, tenant="globex", afterthought={"tags": ["a", "b"]})


def overtaken(world: World) -> None:
    """The generation ends at once, and its event is there before the answer to the call."""
    world.provider.plan = Plan(seconds=0)
    world.provider.meanwhile = partial(world.run_for, seconds=2)
    ask(world)


def planned(
    *,
    answers: tuple[Answer, ...] = (),
    endings: tuple[Ending, ...] = (),
    seconds: float | None = None,
    retry_after_seconds: float | None = None,
    **asked: Any,
) -> Callable[[World], None]:
    """The provider answers, and ends, like this."""

    def act(world: World) -> None:
        world.provider.plan = Plan(
            list(answers), list(endings), retry_after_seconds=retry_after_seconds, seconds=seconds
        )
        ask(world, **asked)

    return act


def cancelled_queued(world: World) -> None:
    world.provider.plan = Plan(answers=["busy"], retry_after_seconds=600)
    job_id = ask(world)
    world.run_for(seconds=60)
    cancel(world, job_id)


def cancelled_at_once(world: World) -> None:
    cancel(world, ask(world))


def cancelled_submitting(world: World) -> None:
    job_id = ask(world, **LONG)
    world.provider.meanwhile = partial(cancel, world, job_id)


def cancelled_refused(answer: Answer, **policies: str) -> Callable[[World], None]:
    """While the call is made, which then is refused."""

    def act(world: World) -> None:
        world.provider.plan = Plan(answers=[answer])
        job_id = ask(world, afterthought=policies)
        world.provider.meanwhile = partial(cancel, world, job_id)

    return act


def cancelled_thinking(world: World) -> None:
    job_id = ask(world, **LONG)
    wait(world, job_id, "running")
    world.run_for(seconds=100)
    cancel(world, job_id)


def cancelled_late_usage(world: World) -> None:
    world.provider.plan = Plan(endings=["late usage"])
    cancelled_thinking(world)


def cancelled_unknown(world: World) -> None:
    world.provider.plan = Plan(answers=["lost after"], seconds=3000)
    job_id = ask(world)
    wait(world, job_id, "outcome_unknown")
    world.run_for(seconds=100)
    cancel(world, job_id)


def cancelled_ended(world: World) -> None:
    job_id = ask(world)
    world.run_until(lambda: bool(world.receiver.received), PATIENCE)
    cancel(world, job_id)


def cancelled_while_awaited(world: World) -> None:
    job_id = ask(world, effort="high")
    at(world, 60, partial(cancel, world, job_id))


def at(world: World, seconds: float, do: Callable[[], object]) -> None:
    world.later.append((world.clock() + timedelta(seconds=seconds), do))


def no_money(world: World) -> None:
    world.provider.plan = Plan(answers=["no money", "no money"])
    ask(world)
    world.run_for(minutes=2)
    ask(world, tenant="globex")


def paced(world: World) -> None:
    for number in range(4):
        ask(world, tenant=("acme", "globex")[number % 2])


def out_of_budget(room: str) -> Callable[[World], None]:
    """The first call is lost, and its owner wants it repeated: a second hold, in a budget with so many holds' room. A
    second job, of which there is only one at a time, comes in between."""

    def act(world: World) -> None:
        world.provider.plan = Plan(answers=["lost after"])
        job_id = ask(world, afterthought={"on_unknown": "retry"})
        if job_id is None:
            return
        world.cap(day_usd=world.job(job_id).held_usd * Decimal(room))
        wait(world, job_id, "settled", "running")
        with suppress(MoneyRefused):
            ask(world)

    return act


def receiver_down(world: World) -> None:
    world.receiver.status = 503
    ask(world)
    world.run_until(lambda: bool(world.receiver.received), PATIENCE)
    world.receiver.status = 200


def o3_by(**changes: Any) -> Catalogue:
    """The catalogue, with a stand-in that differs in this."""
    catalogue = default_catalogue()
    standin = Provider.model_validate({**catalogue.providers["standin"].model_dump(), **changes})
    return catalogue.model_copy(update={"providers": {**catalogue.providers, "standin": standin}})


DIRECT = o3_by(modes={"o3": "direct"})
"""o3 has a price, which what is served directly has not."""
PACED = o3_by(limits={"o3": ProviderLimits(requests_per_minute=2, tokens_per_minute=8_000)})
RETIRING = o3_by(shutdown={"o3": date(2026, 11, 3)})
EVE = datetime(2026, 11, 2, 23, 58, tzinfo=UTC)

RETRY = {"on_unknown": "retry"}
SUCCESSOR = {"model_policy": "successor"}
STARVED = {"on_starved": "retry"}
SOON = {"deadline_seconds": 60}

DONE, FAILED = "completed", "failed"

JOURNEYS = (
    Journey("checked", (DONE,), plain),
    Journey("woken", (DONE,), plain, events=True),
    Journey("woken, event lost", (DONE,), plain, events=True, announced={1: "lost"}, swept=True),
    Journey("woken, event twice", (DONE,), plain, events=True, announced={1: "doubled"}),
    Journey("woken, event late", (DONE,), plain, events=True, announced={1: "late"}, swept=True),
    Journey("woken, event overtakes", (DONE,), overtaken, events=True),
    Journey("asked again by its key", (DONE,), asked_again),
    Journey("two tenants", (DONE, DONE), two_at_once, events=True),
    Journey("direct", (DONE,), plain, catalogue=DIRECT),
    Journey("direct, open weights", (DONE,), planned(model="gpt-oss-20b")),
    Journey("direct, busy", (DONE,), planned(answers=("busy",)), catalogue=DIRECT),
    Journey("direct, lost", ("failed outcome_unknown",), planned(answers=("lost after",)), catalogue=DIRECT),
    Journey("direct, lost, retried", (DONE,), planned(answers=("lost after",), afterthought=RETRY), catalogue=DIRECT),
    Journey(
        "direct, never ends", ("failed outcome_unknown",), planned(endings=("never",)), catalogue=DIRECT, swept=True
    ),
    Journey("direct, cancelled", ("cancelled",), cancelled_while_awaited, catalogue=DIRECT),
    Journey(
        "direct, deadline", ("failed deadline_exceeded",), planned(effort="high", afterthought=SOON), catalogue=DIRECT
    ),
    Journey("cancelled at once", ("cancelled",), cancelled_at_once),
    Journey("cancelled while queued", ("cancelled",), cancelled_queued),
    Journey("cancelled while submitting", ("cancelled",), cancelled_submitting),
    Journey("cancelled while submitting, woken", ("cancelled",), cancelled_submitting, events=True),
    Journey("cancelled while submitting, busy", ("cancelled",), cancelled_refused("busy")),
    Journey("cancelled while submitting, model gone", ("cancelled",), cancelled_refused("model gone", **SUCCESSOR)),
    Journey("cancelled while submitting, lost", ("cancelled",), cancelled_refused("lost before", **RETRY)),
    Journey("cancelled while thinking", ("cancelled",), cancelled_thinking),
    Journey("cancelled while thinking, woken", ("cancelled",), cancelled_thinking, events=True),
    Journey("cancelled while unknown", ("cancelled",), cancelled_unknown, events=True),
    Journey("cancelled when ended", (DONE,), cancelled_ended),
    Journey("cancelled, usage told late", ("cancelled",), cancelled_late_usage),
    Journey("deadline while thinking", ("failed deadline_exceeded",), planned(**LONG, afterthought=SOON)),
    Journey(
        "deadline while thinking, woken",
        ("failed deadline_exceeded",),
        planned(**LONG, afterthought=SOON),
        events=True,
    ),
    Journey(
        "deadline while queued",
        ("failed deadline_exceeded",),
        planned(answers=("busy",), retry_after_seconds=600, afterthought=SOON),
    ),
    Journey("unknown, fails", ("failed outcome_unknown",), planned(answers=("lost after",))),
    Journey("unknown, retried", (DONE,), planned(answers=("lost after",), afterthought=RETRY)),
    Journey(
        "unknown, never ran, retried",
        (DONE,),
        planned(answers=("lost before",), afterthought=RETRY),
        events=True,
        swept=True,
    ),
    Journey("unknown, told by the event", (DONE,), planned(answers=("lost after",)), events=True),
    Journey(
        "unknown, told too late, fails",
        ("failed outcome_unknown",),
        planned(answers=("lost after",), seconds=5000),
        events=True,
        swept=True,
    ),
    Journey(
        "unknown, told too late, retried",
        (DONE,),
        planned(answers=("lost after",), seconds=5000, afterthought=RETRY),
        events=True,
        swept=True,
    ),
    Journey("model gone, refused", ("failed model_not_found",), planned(answers=("model gone",))),
    Journey("model gone, successor", (DONE,), planned(answers=("model gone",), afterthought=SUCCESSOR)),
    Journey(
        "model retired meanwhile, successor",
        (DONE,),
        planned(answers=("busy",), retry_after_seconds=180, afterthought=SUCCESSOR),
        catalogue=RETIRING,
        start=EVE,
    ),
    Journey("refused", ("failed invalid_prompt",), planned(answers=("refuses",))),
    Journey("starved", ("incomplete",), planned(endings=("starved",))),
    Journey("starved, retried", (DONE,), planned(endings=("starved",), afterthought=STARVED), events=True),
    Journey("busy", (DONE,), planned(answers=("busy", "busy"))),
    Journey("busy, says until when", (DONE,), planned(answers=("busy", "busy"), retry_after_seconds=300)),
    Journey(
        "busy for longer than a message waits",
        (DONE,),
        planned(answers=("busy",), retry_after_seconds=2000),
        swept=True,
    ),
    Journey("no money, until a probe", (DONE, DONE), no_money),
    Journey("run refused for its rate", (DONE,), planned(endings=("rate limited",))),
    Journey("run refused for its rate, woken", (DONE,), planned(endings=("rate limited",)), events=True),
    Journey("run refused for money", (DONE,), planned(endings=("out of money",))),
    Journey("paced", (DONE,) * 4, paced, catalogue=PACED),
    Journey("a budget with room for a second hold", (DONE,), out_of_budget("2")),
    Journey("a budget without", ("failed outcome_unknown",), out_of_budget("1.9")),
    Journey("receiver down once", (DONE,), receiver_down),
    Journey("run failed", ("failed server_error",), planned(endings=("failed",))),
    Journey("incomplete", ("incomplete",), planned(endings=("incomplete",)), events=True),
    Journey("nobody says what was used", (DONE,), planned(endings=("without usage",))),
    Journey("usage told late", (DONE,), planned(endings=("late usage",)), events=True),
    Journey("another's answer under its id", ("failed internal_error",), planned(endings=("foreign",))),
    Journey("generation gone", ("failed generation_gone",), planned(endings=("gone",))),
    Journey("dearer than its hold", (DONE,), planned(endings=("dearer",))),
)
