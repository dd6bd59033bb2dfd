"""The requests, and the faults of each, drawn from one seed before the run."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MODEL, DIRECT_MODEL = "gpt-5.4-mini", "gpt-oss-20b"
SHARE = 0.05
"""The share of jobs with a fault, for each kind of fault."""
DEADLINE_SECONDS = (200, 75)
"""Of the first job and of the last. A call with an unknown outcome waits an hour for an event, but not beyond the
deadline. Later jobs have less time, so all jobs end at about the same time."""

Rule = Mapping[str, Any]
"""A rule of the stand-in's script: a fault for one job."""

# These leave the outcome of a create unknown. The first three start no generation; for the others the provider sends an
# event. The seconds are longer than any client here waits for an answer.
UNKNOWN: tuple[Rule, ...] = (
    {"do": "server_error"},
    {"do": "close_before"},
    {"do": "hang_before", "seconds": 20.0},
    {"do": "hang_after", "seconds": 20.0},
    {"do": "close_after"},
    {"do": "garbage"},
)
BUSY: tuple[Rule, ...] = (
    {"do": "rate_limited", "retry_after": 2.0, "times": 2},
    {"do": "unavailable", "times": 2},
)
RUNS: tuple[Rule, ...] = (
    {"do": "run_failed", "with_usage": True},
    {"do": "run_failed"},
    {"do": "run_incomplete"},
    {"do": "no_usage"},
    {"do": "slow_run", "seconds": 8.0},
)
RETRIEVES: tuple[Rule, ...] = (
    {"do": "server_error", "on": "retrieve"},
    {"do": "close_before", "on": "retrieve"},
)
DROPPED: tuple[Rule, ...] = ({"do": "webhook_dropped"},)
DUPLICATED: tuple[Rule, ...] = ({"do": "webhook_duplicated"},)
DELAYED: tuple[Rule, ...] = ({"do": "webhook_delayed", "seconds": 10.0},)
IN_BACKGROUND = (UNKNOWN, BUSY, RUNS, RETRIEVES, DROPPED, DUPLICATED, DELAYED)
# A direct call may take ten minutes, so none of them hangs, and there are no events.
IN_DIRECT = (tuple(rule for rule in UNKNOWN if not rule["do"].startswith("hang")), BUSY, RUNS)


@dataclass(frozen=True)
class PlannedJob:
    """With `send_twice` the request is sent twice, with `duplicate_message` the queue message. The owner cancels the
    job after `cancelled_after` seconds, unless None."""

    number: int
    tenant: str
    body: Mapping[str, Any]
    answer: str
    rules: tuple[Rule, ...]
    send_twice: bool
    duplicate_message: bool
    cancelled_after: float | None

    @property
    def key(self) -> str:
        return f"soak-{self.number}"

    @property
    def direct(self) -> bool:
        return bool(self.body["model"] == DIRECT_MODEL)


def plan(jobs: int, tenants: tuple[str, ...], seed: int) -> Iterator[PlannedJob]:
    rng = random.Random(seed)

    def is_drawn() -> bool:
        return rng.random() < SHARE

    for number in range(jobs):
        direct = is_drawn()
        kinds = IN_DIRECT if direct else IN_BACKGROUND
        yield PlannedJob(
            number=number,
            tenant=tenants[number % len(tenants)],
            body=request(number, number / jobs, direct=direct, rng=rng),
            answer=str(number * 23),
            rules=tuple(rng.choice(kind) for kind in kinds if is_drawn()),
            send_twice=is_drawn(),
            duplicate_message=is_drawn(),
            cancelled_after=rng.uniform(0, 4) if is_drawn() else None,
        )


def request(number: int, part: float, *, direct: bool, rng: random.Random) -> dict[str, Any]:
    """`part` is the share of jobs before this one, from 0 to 1."""
    first, last = DEADLINE_SECONDS
    options: dict[str, Any] = {
        "deadline_seconds": round(first + (last - first) * part),
        "tags": ["odd" if number % 2 else "even"],
    }
    for setting in ("on_unknown", "on_starved"):
        if rng.random() < 0.3:
            options[setting] = "retry"
    return {
        "model": DIRECT_MODEL if direct else MODEL,
        "input": f"What is {number} * 23?",
        "reasoning": {"effort": "low" if direct else rng.choice(["none", "none", "low"])},
        "max_output_tokens": 1_000,
        "afterthought": options,
    }
