"""Implementations of the ports for the contract tests: the simulator, and the adapters on an AWS.

The tests get one from the fixture `backing`. An `AwsBacking` with other clients could be a deployed stack.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.delivery_records import DeliveryRecords
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.adapters.sns import SnsTopic
from afterthought.adapters.sqs import SqsJobQueue
from afterthought.domain.models.provider import Mode
from afterthought.services.admin.tenants import TenantRecords
from afterthought.services.limits.rate_limiter import RateWindowStore
from afterthought.services.ports import Accounts, Cipher, Contents, Deliveries, JobQueue, JobStore, Ledger, Topic
from bench.moto_stack import Clients
from tests.simulator import stack
from tests.simulator.accounts import SimulatedAccounts
from tests.simulator.calls import CallRecorder
from tests.simulator.cipher import SimulatedCipher
from tests.simulator.clock import Clock
from tests.simulator.ledger import SimulatedLedger
from tests.simulator.pattern import passes_stream_filter
from tests.simulator.queues import Queue, SimulatedJobQueue
from tests.simulator.rate_windows import SimulatedRateWindows
from tests.simulator.tables import SimulatedContents, SimulatedDeliveries, SimulatedJobs
from tests.simulator.topic import SimulatedTopic

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class AccountRecords(Accounts, TenantRecords, Protocol):
    """Tenants and keys, for the api and for the administrator."""


class Backing(Protocol):
    """The ports, and three views behind them: the visible messages (reading takes them), and the ids of the jobs whose
    changes pass the stream's filter to the notifier, in the order of the changes."""

    jobs: JobStore
    ledger: Ledger
    contents: Contents
    accounts: AccountRecords
    rates: RateWindowStore
    deliveries: Deliveries
    queue: JobQueue
    topic: Topic

    @property
    def cipher(self) -> Cipher: ...

    def job_messages(self, mode: Mode = "background") -> list[str]: ...

    def webhook_messages(self) -> list[str]: ...

    def ended_on_stream(self) -> list[str]: ...


class SimulatedBacking:
    def __init__(self) -> None:
        clock = Clock()
        calls = CallRecorder(clock)
        job_queue, direct_queue, self._webhook_queue = (
            Queue(clock, Random(0), stack.visibility_seconds(name), stack.max_receives(name))
            for name in ("JobQueue", "DirectQueue", "WebhookQueue")
        )
        self._job_queues: dict[Mode, Queue] = {"background": job_queue, "direct": direct_queue}
        self._ledger = SimulatedLedger(calls)
        self.ledger: Ledger = self._ledger
        self._jobs = SimulatedJobs(calls, self._ledger)
        self.jobs: JobStore = self._jobs
        self.contents: Contents = SimulatedContents(calls, clock)
        self.accounts: AccountRecords = SimulatedAccounts(calls)
        self.rates: RateWindowStore = SimulatedRateWindows(calls)
        self.deliveries: Deliveries = SimulatedDeliveries(calls)
        self.queue: JobQueue = SimulatedJobQueue(calls, self._job_queues)
        self.topic: Topic = SimulatedTopic(calls, self._webhook_queue, stack.webhook_filter())
        self.cipher: Cipher = SimulatedCipher(calls)

    def job_messages(self, mode: Mode = "background") -> list[str]:
        return list(_bodies(self._job_queues[mode]))

    def webhook_messages(self) -> list[str]:
        return list(_bodies(self._webhook_queue))

    def ended_on_stream(self) -> list[str]:
        return [record.job_id for record in self._jobs.stream if passes_stream_filter(record.image())]


def _bodies(queue: Queue) -> Iterator[str]:
    while (message := queue.receive()) is not None:
        yield message.body


@dataclass(frozen=True)
class Names:
    """The names of the stack's resources. `key_id` is called on first use, since moto creates keys slowly."""

    job_table: str
    account_table: str
    bucket: str
    job_queue_url: str
    direct_queue_url: str
    webhook_queue_url: str
    topic_arn: str
    key_id: Callable[[], str]

    @property
    def queue_urls(self) -> dict[Mode, str]:
        return {"background": self.job_queue_url, "direct": self.direct_queue_url}


class AwsBacking:
    """The adapters, on the AWS that the clients are connected to."""

    def __init__(self, clients: Clients, names: Names) -> None:
        self.clients = clients
        self.names = names
        s3: Callable[[], S3Client] = lambda: clients.s3  # noqa: E731 - the adapter calls it on first use
        self.jobs: JobStore = JobTable(clients.dynamodb, names.job_table, names.account_table)
        self.ledger: Ledger = LedgerTable(clients.dynamodb, names.account_table)
        self.contents: Contents = Payloads(clients.dynamodb, s3, names.job_table, names.bucket)
        self.accounts: AccountRecords = AccountTable(clients.dynamodb, names.account_table)
        self.rates: RateWindowStore = RateWindowTable(clients.dynamodb, names.account_table)
        self.deliveries: Deliveries = DeliveryRecords(clients.dynamodb, names.job_table)
        self.queue: JobQueue = SqsJobQueue(clients.sqs, names.queue_urls)
        self.topic: Topic = SnsTopic(clients.sns, names.topic_arn)

    @cached_property
    def cipher(self) -> Cipher:
        return KmsCipher(self.clients.kms, self.names.key_id())

    def job_messages(self, mode: Mode = "background") -> list[str]:
        return self._receive_all(self.names.queue_urls[mode])

    def webhook_messages(self) -> list[str]:
        return self._receive_all(self.names.webhook_queue_url)

    def ended_on_stream(self) -> list[str]:
        matching = (record for record in self._stream_records() if passes_stream_filter(record))
        return [str(record["dynamodb"]["Keys"]["pk"]["S"]).removeprefix("JOB#") for record in matching]

    def _stream_records(self) -> Iterator[dict[str, Any]]:
        streams = self.clients.streams
        arn = self.clients.dynamodb.describe_table(TableName=self.names.job_table)["Table"]["LatestStreamArn"]
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            cursor = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )
            page = streams.get_records(ShardIterator=cursor["ShardIterator"])
            yield from (dict(record) for record in page["Records"])

    def _receive_all(self, queue_url: str) -> list[str]:
        bodies: list[str] = []
        while messages := self.clients.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            bodies.extend(message["Body"] for message in messages)
        return bodies
