"""What is asked of the service, and what shall go wrong with each of it: drawn beforehand, from one seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MODEL, DIRECT_MODEL = "gpt-5.4-mini", "gpt-oss-20b"
SHARE = 0.05
"""How often each thing goes wrong."""
DEADLINE_SECONDS = (200, 75)
"""Of the first job, and of the last. A call that nobody tells of would be waited for for an hour; nobody waits longer
than a deadline. Whoever asks late has less time, so that all come to rest together."""

Rule = Mapping[str, Any]
"""How the stand-in misbehaves towards one job, as its script takes it."""

# What leaves the outcome of a create unknown. The first three never reach a generation; of what the others started the
# provider's event tells. The seconds are longer than anybody here waits for an answer.
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
LOOKS: tuple[Rule, ...] = (
    {"do": "server_error", "on": "retrieve"},
    {"do": "close_before", "on": "retrieve"},
)
DROPPED: tuple[Rule, ...] = ({"do": "webhook_dropped"},)
DUPLICATED: tuple[Rule, ...] = ({"do": "webhook_duplicated"},)
DELAYED: tuple[Rule, ...] = ({"do": "webhook_delayed", "seconds": 10.0},)
IN_BACKGROUND = (UNKNOWN, BUSY, RUNS, LOOKS, DROPPED, DUPLICATED, DELAYED)
# A call that is awaited may take ten minutes, so none of them hangs; and no event tells of one.
ON_THE_LINE = (tuple(rule for rule in UNKNOWN if not rule["do"].startswith("hang")), BUSY, RUNS)


@dataclass(frozen=True)
class Wanted:
    """One job. `twice`: its request is sent twice; `doubled`: so is its message; `cancelled_after` seconds, if at all,
    its owner wants it no more."""

    number: int
    tenant: str
    body: Mapping[str, Any]
    answer: str
    rules: tuple[Rule, ...]
    twice: bool
    doubled: bool
    cancelled_after: float | None

    @property
    def key(self) -> str:
        return f"soak-{self.number}"

    @property
    def direct(self) -> bool:
        return bool(self.body["model"] == DIRECT_MODEL)


def plan(jobs: int, tenants: tuple[str, ...], seed: int) -> Iterator[Wanted]:
    chance = random.Random(seed)

    def struck() -> bool:
        return chance.random() < SHARE

    for number in range(jobs):
        direct = struck()
        kinds = ON_THE_LINE if direct else IN_BACKGROUND
        yield Wanted(
            number=number,
            tenant=tenants[number % len(tenants)],
            body=request(number, number / jobs, direct=direct, chance=chance),
            answer=str(number * 23),
            rules=tuple(chance.choice(kind) for kind in kinds if struck()),
            twice=struck(),
            doubled=struck(),
            cancelled_after=chance.uniform(0, 4) if struck() else None,
        )


def request(number: int, part: float, *, direct: bool, chance: random.Random) -> dict[str, Any]:
    """`part` is how much was asked before it, from 0 to 1."""
    first, last = DEADLINE_SECONDS
    ours: dict[str, Any] = {
        "deadline_seconds": round(first + (last - first) * part),
        "tags": ["odd" if number % 2 else "even"],
    }
    for setting in ("on_unknown", "on_starved"):
        if chance.random() < 0.3:
            ours[setting] = "retry"
    return {
        "model": DIRECT_MODEL if direct else MODEL,
        "input": f"What is {number} * 23?",
        "reasoning": {"effort": "low" if direct else chance.choice(["none", "none", "low"])},
        "max_output_tokens": 1_000,
        "afterthought": ours,
    }
