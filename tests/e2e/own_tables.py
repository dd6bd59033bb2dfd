"""Tables as template.yaml has them, beside the deployed ones: the deployed functions know nothing of these."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from afterthought.adapters.reconcile_tables import JobTableScan
from afterthought.domain.jobs.job import Job
from local.cloud import Cloud
from tests.simulator import money, stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_APART = ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification", "StreamSpecification")


@dataclass(frozen=True)
class Tables:
    """`jobs` and `accounts` are their names."""

    dynamodb: "DynamoDBClient"
    jobs: str
    accounts: str

    def all_jobs(self) -> list[Job]:
        return list(JobTableScan(self.dynamodb, self.jobs).jobs(None))

    def differences(self) -> list[str]:
        """Where the books are not what the jobs say."""
        return list(money.differences(money.of_jobs(self.all_jobs()), self.money()))

    def money(self) -> money.Money:
        return money.of_items(scanned(self.dynamodb, self.accounts))


@contextmanager
def made(cloud: Cloud, name: str) -> Iterator[Tables]:
    """Both tables, until the block ends."""
    client = many_at_once(cloud)
    names = {"JobTable": f"{name}-jobs", "AccountTable": f"{name}-accounts"}
    for logical_id, table in names.items():
        properties = {key: value for key, value in stack.properties(logical_id).items() if key not in _APART}
        client.create_table(TableName=table, **properties)
    try:
        yield Tables(client, names["JobTable"], names["AccountTable"])
    finally:
        for table in names.values():
            client.delete_table(TableName=table)


def many_at_once(cloud: Cloud) -> "DynamoDBClient":
    """A client that many threads may share."""
    config = cloud.config.merge(Config(max_pool_connections=32))
    return cloud.session.client("dynamodb", endpoint_url=cloud.url, config=config)


def scanned(dynamodb: "DynamoDBClient", table: str) -> Iterator[Mapping[str, Any]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]
