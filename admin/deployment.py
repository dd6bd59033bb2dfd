"""A deployed stack, found by its name, and the adapters and services that the admin commands use."""

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
from afterthought.services.admin.reconcile import Reconciler
from afterthought.services.admin.tenants import TenantAdmin

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient


class StackNotFound(Exception):
    """The stack does not exist or is not one of this service. The message names it and its region."""


def outputs(client: "CloudFormationClient", stack: str, region: str) -> dict[str, str]:
    """The outputs of the deployed template, by name. Raises StackNotFound."""
    try:
        description = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        # CloudFormation has no specific error code for a missing stack.
        if error.response["Error"]["Code"] == "ValidationError":
            raise StackNotFound(f"There is no stack '{stack}' in {region}.") from error
        raise
    values = {each["OutputKey"]: each["OutputValue"] for each in description.get("Outputs", [])}
    if missing := {"AccountTableName", "JobTableName", "SecretsKeyArn"} - values.keys():
        raise StackNotFound(
            f"The stack '{stack}' in {region} does not belong to this service: "
            f"it has no output {', '.join(sorted(missing))}."
        )
    return values


@dataclass(frozen=True)
class Deployment:
    """A deployed stack. `outputs` are those of the template."""

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
    def tenants(self) -> TenantAdmin:
        return TenantAdmin(self.records, KmsCipher(self.kms, self.outputs["SecretsKeyArn"]), now, secrets.token_bytes)


def connect(stack: str, region: str | None) -> Deployment:
    """Raises StackNotFound and botocore's exceptions."""
    session = boto3.Session(region_name=region)
    values = outputs(session.client("cloudformation"), stack, session.region_name)
    return Deployment(values, session.client("dynamodb"), session.client("kms"))
