"""Submitters, workers and sweepers as separate processes, killed at random moments and started again.

`python -m tests.e2e.money_storm RESOURCES SEED` runs until every count has reached its minimum in `ENOUGH`, and prints
the counts. Each process is forked from this one, so it starts at once.

The result does not depend on the speed of the machine: processes report each piece of work, and a process is killed
after a random number of pieces.
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
from afterthought.composition import api as api_composition
from afterthought.composition import run as run_composition
from afterthought.domain.errors import MoneyRefused, RequestRefused
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.services.notify.publish import Notifier
from afterthought.services.run.sweep import Sweeper

SUBMITTERS, WORKERS, SWEEPERS = 3, 4, 1
JOBS_EACH = 100
TENANTS = ("capped", "free")
SPEED = 20
"""The services' clock runs faster by this factor: a lease of three minutes takes nine seconds."""
START = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
"""The services' time at the start. The month ends during the run."""
MAX_PIECES_BETWEEN_KILLS = 10
LIMIT_SECONDS = 90.0

Piece = Literal["accepted", "repeated", "refused", "stepped", "completed", "sweep"]
"""A piece of work: a request was answered (`refused`: by a budget), a message was handled (`completed`: its job has an
answer), or the sweeper finished a pass."""
PIECES: tuple[Piece, ...] = ("accepted", "repeated", "refused", "stepped", "completed", "sweep")
IDLE: frozenset[Piece] = frozenset({"repeated", "refused"})
"""The pieces that submitters repeat when every job is submitted or the budget is full."""
ENOUGH: Mapping[str, int] = {"killed": 30, "accepted": 60, "refused": 10, "completed": 15}


@dataclass(frozen=True)
class Resources:
    """`started_at` is when the services' clock started, in seconds since 1970. `accepted` is the path of the file
    with the ids that submitters got."""

    url: str
    jobs: str
    accounts: str
    bucket: str
    queue: str
    secret: str
    topic: str
    accepted: str
    started_at: float

    def encoded(self) -> str:
        return json.dumps(asdict(self))


class Services:
    """The services, wired as in the functions. `clock_offset` is added to their time."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.clock_offset = timedelta()
        session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        dynamodb = session.client("dynamodb", endpoint_url=resources.url, config=CONFIG)
        self.sqs = session.client("sqs", endpoint_url=resources.url, config=CONFIG)
        s3 = session.client("s3", endpoint_url=resources.url, config=CONFIG)
        secretsmanager = session.client("secretsmanager", endpoint_url=resources.url, config=CONFIG)
        sns = session.client("sns", endpoint_url=resources.url, config=CONFIG)
        self.catalogue = default_catalogue()
        self.jobs = JobTable(dynamodb, resources.jobs, resources.accounts)
        self.ledger = LedgerTable(dynamodb, resources.accounts)
        self.accounts = AccountTable(dynamodb, resources.accounts)
        self.queue = FastQueue(self.sqs, {"background": resources.queue})
        contents = Payloads(dynamodb, lambda: s3, resources.jobs, resources.bucket)
        rate_windows = RateWindowTable(dynamodb, resources.accounts)
        api = api_composition.build(
            jobs=self.jobs,
            ledger=self.ledger,
            accounts=self.accounts,
            contents=contents,
            queue=self.queue,
            rate_windows=rate_windows,
            catalogue=self.catalogue,
            providers=("standin",),
            allowed_origins=frozenset(),
            clock=self.now,
            random_bytes=os.urandom,
        )
        self.admitter, self.intake = api.admitter, api.intake
        self.runner = run_composition.build(
            jobs=self.jobs,
            contents=contents,
            accounts=self.accounts,
            queue=self.queue,
            generations=OpenAIResponses(ProviderSecrets(secretsmanager, resources.secret)),
            rate_windows=rate_windows,
            throttle=ThrottleTable(dynamodb, resources.accounts),
            circuit_breakers=CircuitBreakerTable(dynamodb, resources.accounts),
            catalogue=self.catalogue,
            providers=("standin",),
            clock=self.now,
            random=random.random,
            new_token=lambda: secrets.token_hex(16),
            on_provider_paused=lambda _provider, _code: None,
        ).runner
        self.sweeper = Sweeper(self.jobs, self.queue, Notifier(self.jobs, SnsTopic(sns, resources.topic)), self.now)

    def now(self) -> datetime:
        elapsed = timedelta(seconds=round((time.time() - self.resources.started_at) * SPEED, 3))
        return START + elapsed + self.clock_offset

    def handle_message(self, wait_seconds: int) -> list[Step]:
        """Receives at most one message and handles it."""
        received = self.sqs.receive_message(QueueUrl=self.resources.queue, WaitTimeSeconds=wait_seconds)
        steps = []
        for message in received.get("Messages", []):
            steps.append(self.runner.run(str(json.loads(message["Body"])["job_id"])))
            with suppress(ClientError):
                # Fails where handling took longer than the visibility timeout.
                self.sqs.delete_message(QueueUrl=self.resources.queue, ReceiptHandle=message["ReceiptHandle"])
        return steps


class FastQueue(SqsJobQueue):
    """A queue whose delays follow the services' clock."""

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        # Rounded up, because a message that is too early leaves its job to the sweeper.
        super().send(job, delay_seconds=math.ceil(delay_seconds / SPEED))


def question(number: int) -> bytes:
    """A request with the longest answer, so that few of them fill a budget."""
    body: dict[str, Any] = {"model": "gpt-5.4-mini", "input": f"What is {number} * 23?"}
    options = {"tags": ["odd" if number % 2 else "even"]}
    return json.dumps({**body, "reasoning": {"effort": "none"}, "afterthought": options}).encode()


# ---- the processes

Report = Callable[[Piece], None]


def submit_all(services: Services, submitter: int, report: Report) -> None:
    """Submits this submitter's jobs, each with its own key. Refused jobs are tried twice more."""
    remaining = list(range(JOBS_EACH))
    random.shuffle(remaining)
    for _ in range(3):
        remaining = [number for number in remaining if not submit(services, submitter, number, report)]


def submit(services: Services, submitter: int, number: int, report: Report) -> bool:
    try:
        tenant, key = TENANTS[number % len(TENANTS)], f"{submitter}-{number}"
        submitted = services.intake.submit(tenant, services.admitter.admit(question(number)), key)
    except MoneyRefused:
        report("refused")
        return False
    except RequestRefused:
        return False
    with Path(services.resources.accepted).open("a") as file:
        file.write(f"{submitted.job.id}\n")
    report("repeated" if submitted.repeated else "accepted")
    return True


def run_worker(services: Services, _worker: int, report: Report) -> None:
    for step in services.handle_message(wait_seconds=1):
        report("completed" if step.ended is not None and step.ended.status == "completed" else "stepped")


def run_sweeper(services: Services, _sweeper: int, report: Report) -> None:
    if errors := services.sweeper.sweep(enough_time=lambda: True).errors:
        raise errors[0][1]
    report("sweep")
    time.sleep(0.5)


Role = tuple[Callable[[Services, int, Report], None], int]
"""The function that a process repeats, and the number of the process."""


def repeat(services: Services, role: Role, parent: int, report: Report) -> NoReturn:
    try:
        work, number = role
        while os.getppid() == parent:
            # In Lambda a transport error ends the invocation, and the record is delivered again.
            with suppress(BotoCoreError, ClientError):
                work(services, number, report)
    except BaseException:  # noqa: BLE001 no exception may leave the fork and run the parent's code
        traceback.print_exc()
    finally:
        os._exit(1)


# ---- the storm


@dataclass
class Storm:
    """The processes, and a pipe on which they report each piece as a byte. `counts` counts pieces and kills."""

    services: Services
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    running: dict[int, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def run(self) -> dict[str, int]:
        """Runs the processes and kills them. Only ids of own children that have not been waited for are killed."""
        roles: list[Role] = [(submit_all, number) for number in range(SUBMITTERS)]
        roles += [(run_worker, number) for number in range(WORKERS)]
        roles += [(run_sweeper, number) for number in range(SWEEPERS)]
        for role in roles:
            self.start(role)
        end = time.monotonic() + LIMIT_SECONDS
        while not all(self.counts[name] >= minimum for name, minimum in ENOUGH.items()) and time.monotonic() < end:
            self.await_pieces(self.rng.randrange(MAX_PIECES_BETWEEN_KILLS), end)
            self.start(self.kill(self.rng.choice(sorted(self.running))))
            self.counts["killed"] += 1
        for pid in list(self.running):
            self.kill(pid)
        return dict(self.counts)

    def await_pieces(self, pieces: int, end: float) -> None:
        while pieces > 0 and time.monotonic() < end:
            ready, _, _ = select.select([self.reading], [], [], 0.5)
            codes = os.read(self.reading, pieces) if ready else b""
            reported = [PIECES[code] for code in codes]
            self.counts.update(reported)
            pieces -= sum(piece not in IDLE for piece in reported)

    def start(self, role: Role) -> None:
        """Starts a process with this role, which runs until it is killed."""
        parent = os.getpid()
        if not (pid := os.fork()):
            repeat(self.services, role, parent, self.report)
        self.running[pid] = role

    def kill(self, pid: int) -> Role:
        """Kills a process and returns its role. A process that ended by itself is counted."""
        os.kill(pid, signal.SIGKILL)
        self.counts["ended"] += not os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        return self.running.pop(pid)

    def report(self, piece: Piece) -> None:
        os.write(self.writing, bytes([PIECES.index(piece)]))


def main() -> None:
    resources, seed = sys.argv[1:]
    # The clients are created once, here, and connect in each process. This loads the modules that they import lazily.
    _ = OpenAI(api_key="none").responses.with_raw_response
    storm = Storm(Services(Resources(**json.loads(resources))), random.Random(seed))
    print(json.dumps(storm.run()))  # noqa: T201


if __name__ == "__main__":
    main()
