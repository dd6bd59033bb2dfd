"""Submitters, workers and sweepers as processes of their own, which are killed at random moments and started again.

Run as `python -m tests.e2e.money_storm PLACE SECONDS SEED`, it prints how many it killed and which ended by themselves,
which none should. Each is forked from this process, so that it is at work in a moment and not in seconds.
"""

import json
import os
import random
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.aws import CONFIG
from afterthought.adapters.books import BookTable
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_windows import RateWindows
from afterthought.adapters.sns import SnsTopic
from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import RequestRefused
from afterthought.services.admit import Admit
from afterthought.services.advance import Advance
from afterthought.services.announce import Announce
from afterthought.services.limit import Limit
from afterthought.services.submit import Submit
from afterthought.services.sweep import Sweep

SUBMITTERS, WORKERS, SWEEPERS = 3, 4, 1
JOBS_EACH = 100
TENANTS = ("capped", "free")
SPEED = 20
"""Times as fast as it really does the services' time passes: a lease of three minutes is over in nine seconds."""
START = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
"""What time it then is: a month ends while they run."""
KILLED_EVERY_SECONDS = 0.08


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
        self.jobs = LedgerTable(dynamodb, place.jobs, place.accounts)
        self.contents = Payloads(dynamodb, lambda: s3, place.jobs, place.bucket)
        self.limit = Limit(RateWindows(dynamodb, place.accounts), self.catalogue, self.now)
        self.books = BookTable(dynamodb, place.accounts)
        self.accounts = AccountTable(dynamodb, place.accounts)
        self.queue = HurriedQueue(self.sqs, place.queue)
        self.admit = Admit(
            catalogue=self.catalogue, providers=("standin",), allowed_origins=frozenset(), clock=self.now
        )
        self.submit = Submit(
            jobs=self.jobs,
            books=self.books,
            accounts=self.accounts,
            contents=self.contents,
            queue=self.queue,
            limit=self.limit,
            clock=self.now,
            random_bytes=os.urandom,
        )
        self.advance = Advance(
            jobs=self.jobs,
            contents=self.contents,
            queue=self.queue,
            generations=OpenAIResponses(ProviderSecrets(secretsmanager, place.secret)),
            catalogue=self.catalogue,
            providers=("standin",),
            limit=self.limit,
            clock=self.now,
            new_token=lambda: secrets.token_hex(16),
        )
        self.sweep = Sweep(self.jobs, self.queue, Announce(self.jobs, SnsTopic(sns, place.topic)), self.now)

    def now(self) -> datetime:
        passed = timedelta(seconds=round((time.time() - self.place.began) * SPEED, 3))
        return START + passed + self.ahead

    def work(self, wait_seconds: int) -> bool:
        """Takes one message and does what it asks for. False when none came."""
        received = self.sqs.receive_message(QueueUrl=self.place.queue, WaitTimeSeconds=wait_seconds)
        for message in received.get("Messages", []):
            self.advance(str(json.loads(message["Body"])["job_id"]))
            with suppress(ClientError):
                # Another has it by now, when this took longer than it was out of sight.
                self.sqs.delete_message(QueueUrl=self.place.queue, ReceiptHandle=message["ReceiptHandle"])
        return bool(received.get("Messages"))


class HurriedQueue(SqsJobQueue):
    """The queue's delays pass as fast as the services' time."""

    def send(self, job_id: str, *, tenant: str, delay_seconds: int = 0) -> None:
        super().send(job_id, tenant=tenant, delay_seconds=delay_seconds // SPEED)


def question(number: int) -> bytes:
    """One with the longest answer, so that few of them fill a budget."""
    asked: dict[str, Any] = {"model": "gpt-5.4-mini", "input": f"What is {number} * 23?"}
    ours = {"tags": ["odd" if number % 2 else "even"]}
    return json.dumps({**asked, "reasoning": {"effort": "none"}, "afterthought": ours}).encode()


def submit_all(parts: Parts, submitter: int) -> None:
    """Its jobs, each under a key of its own; what finds no room is tried again, twice."""
    left = list(range(JOBS_EACH))
    random.shuffle(left)
    for _ in range(3):
        left = [number for number in left if not accepted(parts, submitter, number)]


def accepted(parts: Parts, submitter: int, number: int) -> bool:
    try:
        tenant, key = TENANTS[number % len(TENANTS)], f"{submitter}-{number}"
        submitted = parts.submit(tenant, parts.admit(question(number)), key)
    except RequestRefused:
        return False
    with Path(parts.place.accepted).open("a") as file:
        file.write(f"{submitted.job.id}\n")
    return True


def work_on(parts: Parts, _worker: int) -> None:
    parts.work(wait_seconds=1)


def sweep_on(parts: Parts, _sweeper: int) -> None:
    if troubled := parts.sweep(enough_time=lambda: True).troubled:
        raise troubled[0][1]
    time.sleep(0.5)


Role = tuple[Callable[[Parts, int], None], int]
"""What a process does, again and again, and its number."""


def begin(parts: Parts, role: Role) -> int:
    """The id of a process that plays the role until it is killed."""
    parent = os.getpid()
    if not (pid := os.fork()):
        play(parts, role, parent)
    return pid


def play(parts: Parts, role: Role, parent: int) -> NoReturn:
    try:
        part, number = role
        while os.getppid() == parent:
            # What the transport raises ends a function's call, and the record is handed out again.
            with suppress(BotoCoreError, ClientError):
                part(parts, number)
    except BaseException:  # noqa: BLE001 nothing may get out of the fork into the parent's code
        traceback.print_exc()
    finally:
        os._exit(1)


def storm(parts: Parts, seconds: float, chance: random.Random) -> dict[str, int]:
    """Lets them run and kills them, by the ids of those that it started itself and that have not ended yet."""
    roles: list[Role] = [(submit_all, number) for number in range(SUBMITTERS)]
    roles += [(work_on, number) for number in range(WORKERS)]
    roles += [(sweep_on, number) for number in range(SWEEPERS)]
    running = {begin(parts, role): role for role in roles}
    killed = ended = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0, 2 * KILLED_EVERY_SECONDS))
        victim = chance.choice(sorted(running))
        ended += by_itself(victim)
        role = running.pop(victim)
        running[begin(parts, role)] = role
        killed += 1
    for pid in running:
        ended += by_itself(pid)
    return {"killed": killed, "ended": ended}


def by_itself(pid: int) -> bool:
    """Kills the process. Whether it had ended before."""
    os.kill(pid, signal.SIGKILL)
    return not os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main() -> None:
    place, seconds, seed = sys.argv[1:]
    # The clients are made here, once, and connect in each process anew.
    parts = Parts(Place(**json.loads(place)))
    print(json.dumps(storm(parts, float(seconds), random.Random(seed))))  # noqa: T201


if __name__ == "__main__":
    main()
