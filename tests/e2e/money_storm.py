"""Submitters, workers and sweepers as processes of their own, which are killed at random moments and started again.

Run as `python -m tests.e2e.money_storm PLACE SEED`, it prints what was done until there was `ENOUGH` of everything.
Each process is forked from this one, so that it is at work in a moment and not in seconds.

How strong the machine is plays no part: a process tells of each piece of its work, and as many pieces as chance says
lie between two kills, however long they take.
"""

import json
import math
import os
import random
import secrets
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from openai import OpenAI

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.aws import CONFIG
from afterthought.adapters.circuit_breaker_table import CircuitBreakerTable
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.adapters.sns import SnsTopic
from afterthought.adapters.sqs import SqsJobQueue
from afterthought.adapters.throttle_table import ThrottleTable
from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import MoneyRefused, RequestRefused
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.services.calling import calling
from afterthought.services.intake.admit import Admitter
from afterthought.services.intake.submit import Intake
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.notify.publish import Notifier
from afterthought.services.run.sweep import Sweeper

SUBMITTERS, WORKERS, SWEEPERS = 3, 4, 1
JOBS_EACH = 100
TENANTS = ("capped", "free")
SPEED = 20
"""Times as fast as it really does the services' time passes: a lease of three minutes is over in nine seconds."""
START = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
"""What time it then is: a month ends while they run."""
MOST_PIECES_BETWEEN_KILLS = 10
LIMIT_SECONDS = 90.0

Piece = Literal["accepted", "repeated", "refused", "stepped", "completed", "swept"]
"""What a process has done: a request was answered (`refused`: for want of room in a budget), a message was taken a step
further (`completed`: to an answer), or a pass of the sweeper is over."""
PIECES: tuple[Piece, ...] = ("accepted", "repeated", "refused", "stepped", "completed", "swept")
IDLE: frozenset[Piece] = frozenset({"repeated", "refused"})
"""What submitters do over and over once all is submitted or the budget is full."""
ENOUGH: Mapping[str, int] = {"killed": 30, "accepted": 60, "refused": 10, "completed": 15}


@dataclass(frozen=True)
class Place:
    """Where all of it is. `began` is when the services' time began, in seconds since 1970; `accepted` a file with the
    ids that submitters were answered with."""

    url: str
    jobs: str
    accounts: str
    bucket: str
    queue: str
    secret: str
    topic: str
    accepted: str
    began: float

    def encoded(self) -> str:
        return json.dumps(asdict(self))


class Parts:
    """The services as the functions wire them. `ahead` is added to the time."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ahead = timedelta()
        session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        dynamodb = session.client("dynamodb", endpoint_url=place.url, config=CONFIG)
        self.sqs = session.client("sqs", endpoint_url=place.url, config=CONFIG)
        s3 = session.client("s3", endpoint_url=place.url, config=CONFIG)
        secretsmanager = session.client("secretsmanager", endpoint_url=place.url, config=CONFIG)
        sns = session.client("sns", endpoint_url=place.url, config=CONFIG)
        self.catalogue = default_catalogue()
        self.jobs = JobTable(dynamodb, place.jobs, place.accounts)
        self.contents = Payloads(dynamodb, lambda: s3, place.jobs, place.bucket)
        self.limit = RateLimiter(RateWindowTable(dynamodb, place.accounts), self.catalogue, self.now)
        self.ledger = LedgerTable(dynamodb, place.accounts)
        self.accounts = AccountTable(dynamodb, place.accounts)
        self.queue = HurriedQueue(self.sqs, {"background": place.queue})
        self.admitter = Admitter(
            catalogue=self.catalogue, providers=("standin",), allowed_origins=frozenset(), clock=self.now
        )
        self.intake = Intake(
            jobs=self.jobs,
            ledger=self.ledger,
            accounts=self.accounts,
            contents=self.contents,
            queue=self.queue,
            limit=self.limit,
            clock=self.now,
            random_bytes=os.urandom,
        )
        self.runner = calling(
            jobs=self.jobs,
            contents=self.contents,
            accounts=self.accounts,
            queue=self.queue,
            generations=OpenAIResponses(ProviderSecrets(secretsmanager, place.secret)),
            rates=RateWindowTable(dynamodb, place.accounts),
            throttles=ThrottleTable(dynamodb, place.accounts),
            breakers=CircuitBreakerTable(dynamodb, place.accounts),
            catalogue=self.catalogue,
            providers=("standin",),
            clock=self.now,
            random=random.random,
            new_token=lambda: secrets.token_hex(16),
            on_provider_paused=lambda _provider, _code: None,
        ).runner
        self.sweeper = Sweeper(self.jobs, self.queue, Notifier(self.jobs, SnsTopic(sns, place.topic)), self.now)

    def now(self) -> datetime:
        passed = timedelta(seconds=round((time.time() - self.place.began) * SPEED, 3))
        return START + passed + self.ahead

    def work(self, wait_seconds: int) -> list[Step]:
        """Takes one message and does what it asks for, if one comes."""
        received = self.sqs.receive_message(QueueUrl=self.place.queue, WaitTimeSeconds=wait_seconds)
        steps = []
        for message in received.get("Messages", []):
            steps.append(self.runner.run(str(json.loads(message["Body"])["job_id"])))
            with suppress(ClientError):
                # Another has it by now, when this took longer than it was out of sight.
                self.sqs.delete_message(QueueUrl=self.place.queue, ReceiptHandle=message["ReceiptHandle"])
        return steps


class HurriedQueue(SqsJobQueue):
    """The queue's delays pass as fast as the services' time."""

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        # Rounded up: a message that came too early would leave its job to the sweeper.
        super().send(job, delay_seconds=math.ceil(delay_seconds / SPEED))


def question(number: int) -> bytes:
    """One with the longest answer, so that few of them fill a budget."""
    asked: dict[str, Any] = {"model": "gpt-5.4-mini", "input": f"What is {number} * 23?"}
    ours = {"tags": ["odd" if number % 2 else "even"]}
    return json.dumps({**asked, "reasoning": {"effort": "none"}, "afterthought": ours}).encode()


# ---- what the processes do

Tell = Callable[[Piece], None]


def submit_all(parts: Parts, submitter: int, tell: Tell) -> None:
    """Its jobs, each under a key of its own; what finds no room is tried again, twice."""
    left = list(range(JOBS_EACH))
    random.shuffle(left)
    for _ in range(3):
        left = [number for number in left if not accepted(parts, submitter, number, tell)]


def accepted(parts: Parts, submitter: int, number: int, tell: Tell) -> bool:
    try:
        tenant, key = TENANTS[number % len(TENANTS)], f"{submitter}-{number}"
        submitted = parts.intake.submit(tenant, parts.admitter.admit(question(number)), key)
    except MoneyRefused:
        tell("refused")
        return False
    except RequestRefused:
        return False
    with Path(parts.place.accepted).open("a") as file:
        file.write(f"{submitted.job.id}\n")
    tell("repeated" if submitted.repeated else "accepted")
    return True


def work_on(parts: Parts, _worker: int, tell: Tell) -> None:
    for step in parts.work(wait_seconds=1):
        tell("completed" if step.ended is not None and step.ended.status == "completed" else "stepped")


def sweep_on(parts: Parts, _sweeper: int, tell: Tell) -> None:
    if errors := parts.sweeper.sweep(enough_time=lambda: True).errors:
        raise errors[0][1]
    tell("swept")
    time.sleep(0.5)


Role = tuple[Callable[[Parts, int, Tell], None], int]
"""What a process does, again and again, and its number."""


def play(parts: Parts, role: Role, parent: int, tell: Tell) -> NoReturn:
    try:
        part, number = role
        while os.getppid() == parent:
            # What the transport raises ends a function's call, and the record is handed out again.
            with suppress(BotoCoreError, ClientError):
                part(parts, number, tell)
    except BaseException:  # noqa: BLE001 nothing may get out of the fork into the parent's code
        traceback.print_exc()
    finally:
        os._exit(1)


# ---- the storm


@dataclass
class Storm:
    """The processes, and a pipe on which each tells of its pieces, a byte each. `done` counts them, and the kills."""

    parts: Parts
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    running: dict[int, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def blow(self) -> dict[str, int]:
        """Lets them run and kills them, by the ids of those that it started itself and that have not ended yet."""
        roles: list[Role] = [(submit_all, number) for number in range(SUBMITTERS)]
        roles += [(work_on, number) for number in range(WORKERS)]
        roles += [(sweep_on, number) for number in range(SWEEPERS)]
        for role in roles:
            self.begin(role)
        end = time.monotonic() + LIMIT_SECONDS
        while not all(self.done[name] >= most for name, most in ENOUGH.items()) and time.monotonic() < end:
            self.let_pieces_be_done(self.chance.randrange(MOST_PIECES_BETWEEN_KILLS), end)
            self.begin(self.kill(self.chance.choice(sorted(self.running))))
            self.done["killed"] += 1
        for pid in list(self.running):
            self.kill(pid)
        return dict(self.done)

    def let_pieces_be_done(self, pieces: int, end: float) -> None:
        while pieces > 0 and time.monotonic() < end:
            ready, _, _ = select.select([self.reading], [], [], 0.5)
            told = os.read(self.reading, pieces) if ready else b""
            done = [PIECES[code] for code in told]
            self.done.update(done)
            pieces -= sum(piece not in IDLE for piece in done)

    def begin(self, role: Role) -> None:
        """A process that plays the role until it is killed."""
        parent = os.getpid()
        if not (pid := os.fork()):
            play(self.parts, role, parent, self.tell)
        self.running[pid] = role

    def kill(self, pid: int) -> Role:
        """What it played. One that had ended by itself is counted."""
        os.kill(pid, signal.SIGKILL)
        self.done["ended"] += not os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        return self.running.pop(pid)

    def tell(self, piece: Piece) -> None:
        os.write(self.writing, bytes([PIECES.index(piece)]))


def main() -> None:
    place, seed = sys.argv[1:]
    # The clients are made here, once, and connect in each process anew; what they import when they are first used is
    # imported here as well.
    _ = OpenAI(api_key="none").responses.with_raw_response
    storm = Storm(Parts(Place(**json.loads(place))), random.Random(seed))
    print(json.dumps(storm.blow()))  # noqa: T201


if __name__ == "__main__":
    main()
