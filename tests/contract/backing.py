"""What the contracts are tested on: the ports of one backing, and what an outsider sees of it afterwards.

A further one (a deployed stack, say) is an `AwsBacking` with clients of its own: the tests take whatever the fixture
`backing` gives.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.books import BookTable
from afterthought.adapters.delivery_records import DeliveryRecords
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.rate_windows import RateWindows
from afterthought.adapters.sns import SnsTopic
from afterthought.domain.provider import Mode
from afterthought.services.limit import RateWindows as Rates
from afterthought.services.ports import Accounts, Books, Cipher, Contents, Deliveries, JobQueue, Ledger, Topic
from afterthought.services.tenants import TenantRecords
from tests.simulator import stack
from tests.simulator.accounts import SimulatedAccounts
from tests.simulator.books import SimulatedBooks
from tests.simulator.calls import CallRecorder
from tests.simulator.cipher import SimulatedCipher
from tests.simulator.clock import Clock
from tests.simulator.pattern import passes_stream_filter
from tests.simulator.queues import Queue, SimulatedJobQueue
from tests.simulator.rates import SimulatedRateWindows
from tests.simulator.tables import SimulatedContents, SimulatedDeliveries, SimulatedJobs
from tests.simulator.topic import SimulatedTopic

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


class AccountRecords(Accounts, TenantRecords, Protocol):
    """Tenants and keys, as the api and as the admin sees them."""


class Backing(Protocol):
    """The ports, and what is behind them: the messages that are visible now, by mode (taken when read), and the jobs
    whose changes the stream's filter lets through to the notifier, in the order of the changes."""

    jobs: Ledger
    books: Books
    contents: Contents
    accounts: AccountRecords
    rates: Rates
    deliveries: Deliveries
    queue: JobQueue
    topic: Topic

    @property
    def cipher(self) -> Cipher: ...

    def job_messages(self, mode: Mode = "background") -> list[str]: ...

    def webhook_messages(self) -> list[str]: ...

    def ended_on_stream(self) -> list[str]: ...


class SimulatedBacking:
    """The simulator."""

    def __init__(self) -> None:
        clock = Clock()
        calls = CallRecorder(clock)
        job_queue, direct_queue, self._webhook_queue = (
            Queue(clock, Random(0), stack.visibility_seconds(name), stack.max_receives(name))
            for name in ("JobQueue", "DirectQueue", "WebhookQueue")
        )
        self._job_queues: dict[Mode, Queue] = {"background": job_queue, "direct": direct_queue}
        self._books = SimulatedBooks(calls)
        self.books: Books = self._books
        self._jobs = SimulatedJobs(calls, self._books)
        self.jobs: Ledger = self._jobs
        self.contents: Contents = SimulatedContents(calls, clock)
        self.accounts: AccountRecords = SimulatedAccounts(calls)
        self.rates: Rates = SimulatedRateWindows(calls)
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
class Clients:
    dynamodb: "DynamoDBClient"
    streams: "DynamoDBStreamsClient"
    s3: "S3Client"
    sqs: "SQSClient"
    sns: "SNSClient"
    kms: "KMSClient"


@dataclass(frozen=True)
class Names:
    """What the resources of the stack are called. The key's id is asked for when it is first needed: moto takes longer
    to make a key than for all the rest."""

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
    """The adapters, on whatever the clients talk to."""

    def __init__(self, clients: Clients, names: Names) -> None:
        self.clients = clients
        self.names = names
        s3: Callable[[], S3Client] = lambda: clients.s3  # noqa: E731 the adapter asks for it when it needs it
        self.jobs: Ledger = LedgerTable(clients.dynamodb, names.job_table, names.account_table)
        self.books: Books = BookTable(clients.dynamodb, names.account_table)
        self.contents: Contents = Payloads(clients.dynamodb, s3, names.job_table, names.bucket)
        self.accounts: AccountRecords = AccountTable(clients.dynamodb, names.account_table)
        self.rates: Rates = RateWindows(clients.dynamodb, names.account_table)
        self.deliveries: Deliveries = DeliveryRecords(clients.dynamodb, names.job_table)
        self.queue: JobQueue = SqsJobQueue(clients.sqs, names.queue_urls)
        self.topic: Topic = SnsTopic(clients.sns, names.topic_arn)

    @cached_property
    def cipher(self) -> Cipher:
        return KmsCipher(self.clients.kms, self.names.key_id())

    def job_messages(self, mode: Mode = "background") -> list[str]:
        return self._taken(self.names.queue_urls[mode])

    def webhook_messages(self) -> list[str]:
        return self._taken(self.names.webhook_queue_url)

    def ended_on_stream(self) -> list[str]:
        passing = (record for record in self._stream_records() if passes_stream_filter(record))
        return [str(record["dynamodb"]["Keys"]["pk"]["S"]).removeprefix("JOB#") for record in passing]

    def _stream_records(self) -> Iterator[dict[str, Any]]:
        streams = self.clients.streams
        arn = self.clients.dynamodb.describe_table(TableName=self.names.job_table)["Table"]["LatestStreamArn"]
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            cursor = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )
            page = streams.get_records(ShardIterator=cursor["ShardIterator"])
            yield from (dict(record) for record in page["Records"])

    def _taken(self, queue_url: str) -> list[str]:
        taken: list[str] = []
        while messages := self.clients.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            taken.extend(message["Body"] for message in messages)
        return taken
