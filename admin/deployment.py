"""A deployed stack, found by its name, and what the admin's commands work on in it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.clock import now
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable
from afterthought.services.reconcile import Reconciler
from afterthought.services.tenants import Tenants

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient


class NoStack(Exception):
    """The stack is not there, or is none of this service's; the message says which and where."""


def outputs(client: "CloudFormationClient", stack: str, region: str) -> dict[str, str]:
    """What the deployed template says of itself, by the names of template.yaml's outputs. Raises NoStack."""
    try:
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        # CloudFormation has no code of its own for this one.
        if error.response["Error"]["Code"] == "ValidationError":
            raise NoStack(f"There is no stack '{stack}' in {region}.") from error
        raise
    held = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if missing := {"AccountTableName", "JobTableName", "SecretsKeyArn"} - held.keys():
        raise NoStack(
            f"The stack '{stack}' in {region} has no output {', '.join(sorted(missing))}: is it this service's?"
        )
    return held


@dataclass(frozen=True)
class Deployment:
    """A deployed stack, as the commands work on it. `outputs` are the template's."""

    outputs: Mapping[str, str]
    dynamodb: "DynamoDBClient"
    kms: "KMSClient"

    @property
    def records(self) -> AccountTable:
        return AccountTable(self.dynamodb, self.outputs["AccountTableName"])

    @property
    def ledger(self) -> LedgerTable:
        return LedgerTable(self.dynamodb, self.outputs["AccountTableName"])

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            JobTableScan(self.dynamodb, self.outputs["JobTableName"]),
            LedgerItemTable(self.dynamodb, self.outputs["AccountTableName"]),
            now,
        )

    @property
    def tenants(self) -> Tenants:
        return Tenants(self.records, KmsCipher(self.kms, self.outputs["SecretsKeyArn"]), now, secrets.token_bytes)


def connect(stack: str, region: str | None) -> Deployment:
    """Raises NoStack, and what botocore raises."""
    session = boto3.Session(region_name=region)
    held = outputs(session.client("cloudformation"), stack, session.region_name)
    return Deployment(held, session.client("dynamodb"), session.client("kms"))
