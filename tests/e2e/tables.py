"""Tables with template.yaml's keys and indexes. The deployed functions do not use these."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from afterthought.adapters.reconcile_tables import JobTableScan
from afterthought.domain.jobs.job import Job
from local.cloud import Cloud
from tests.laws import money
from tests.simulator import stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NOT_IN_CREATE_TABLE = (
    "TimeToLiveSpecification",
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "StreamSpecification",
)


@dataclass(frozen=True)
class Tables:
    """`jobs` and `accounts` are table names."""

    dynamodb: "DynamoDBClient"
    jobs: str
    accounts: str

    def all_jobs(self) -> list[Job]:
        return list(JobTableScan(self.dynamodb, self.jobs).jobs(None))

    def differences(self) -> list[str]:
        """Where the ledger is not the sum of the jobs."""
        return list(money.differences(money.of_jobs(self.all_jobs()), self.money()))

    def money(self) -> money.Money:
        return money.of_items(scan(self.dynamodb, self.accounts))


@contextmanager
def temporary(cloud: Cloud, name: str) -> Iterator[Tables]:
    """Both tables, deleted when the block ends."""
    client = pooled_client(cloud)
    names = {"JobTable": f"{name}-jobs", "AccountTable": f"{name}-accounts"}
    for logical_id, table in names.items():
        properties = stack.properties(logical_id).items()
        client.create_table(
            TableName=table, **{key: value for key, value in properties if key not in _NOT_IN_CREATE_TABLE}
        )
    try:
        yield Tables(client, names["JobTable"], names["AccountTable"])
    finally:
        for table in names.values():
            client.delete_table(TableName=table)


def pooled_client(cloud: Cloud) -> "DynamoDBClient":
    """A client that many threads may share."""
    config = cloud.config.merge(Config(max_pool_connections=32))
    return cloud.session.client("dynamodb", endpoint_url=cloud.url, config=config)


def scan(dynamodb: "DynamoDBClient", table: str) -> Iterator[Mapping[str, Any]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]
