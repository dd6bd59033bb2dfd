"""Make, list and end tenants and their keys on a deployed stack: `python -m admin.tenant --help`.

Works on the tables themselves, with the AWS credentials of whoever runs it: there is no way to do this over HTTP.
"""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.clock import now
from afterthought.adapters.kms import KmsCipher
from afterthought.services.tenants import Credentials, TenantProblem, Tenants

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_SHOWN_ONCE = "Shown this once and stored nowhere in this form: put it away now."


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
    if missing := {"AccountTableName", "SecretsKeyArn"} - held.keys():
        raise NoStack(
            f"The stack '{stack}' in {region} has no output {', '.join(sorted(missing))}: is it this service's?"
        )
    return held


def connect(stack: str, region: str | None) -> tuple[Tenants, AccountTable]:
    """The service's tenants, on a deployed stack. Raises NoStack, and what botocore raises."""
    session = boto3.Session(region_name=region)
    held = outputs(session.client("cloudformation"), stack, session.region_name)
    records = AccountTable(session.client("dynamodb"), held["AccountTableName"])
    cipher = KmsCipher(session.client("kms"), held["SecretsKeyArn"])
    return Tenants(records, cipher, now, secrets.token_bytes), records


def create(tenants: Tenants, _: AccountTable, options: argparse.Namespace) -> None:
    _show(tenants.create(options.name))


def key(tenants: Tenants, _: AccountTable, options: argparse.Namespace) -> None:
    _show(tenants.add_key(options.name))


def rotate(tenants: Tenants, _: AccountTable, options: argparse.Namespace) -> None:
    _show(tenants.rotate_secret(options.name))
    print("\nThe secret before it stays valid beside it until the next rotation.")


def revoke(tenants: Tenants, _: AccountTable, options: argparse.Namespace) -> None:
    revoked = tenants.revoke(options.name, options.key)
    print(f"The key {revoked.hint}… of {revoked.tenant} is revoked, from the next request on.")


def listing(_: Tenants, records: AccountTable, __: argparse.Namespace) -> None:
    keys = sorted(records.api_keys(), key=lambda each: each.created_at)
    tenants = sorted(records.tenants(), key=lambda each: each.name)
    if not tenants:
        print("There are no tenants yet.")
        return
    print(f"{'TENANT':<40}  {'KEY':<11}  {'CREATED':<16}  REVOKED")
    for tenant in tenants:
        own = [each for each in keys if each.tenant == tenant.name]
        if not own:
            print(f"{tenant.name:<40}  {'(none)':<11}  {_minute(tenant.created_at):<16}")
        for each in own:
            ended = _minute(each.revoked_at) if each.revoked_at else ""
            print(f"{tenant.name:<40}  {each.hint + '…':<11}  {_minute(each.created_at):<16}  {ended}".rstrip())


def _show(made: Credentials) -> None:
    print(f"Tenant          {made.tenant}")
    if made.api_key is not None:
        print(f"API key         {made.api_key}")
    if made.webhook_secret is not None:
        print(f"Webhook secret  {made.webhook_secret}")
    print(f"\n{_SHOWN_ONCE}")


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


Command = Callable[[Tenants, AccountTable, argparse.Namespace], None]

COMMANDS: dict[str, tuple[Command, str, tuple[str, ...]]] = {
    "create": (create, "a new tenant, with an API key and a webhook secret", ("name",)),
    "list": (listing, "every tenant and the beginnings of its keys (times in UTC)", ()),
    "key": (key, "one more API key for a tenant; then hand it out and revoke the old one", ("name",)),
    "revoke": (revoke, "end an API key", ("name", "key")),
    "rotate": (rotate, "a new webhook secret for a tenant", ("name",)),
}

_ARGUMENTS = {"name": "the tenant: 1 to 40 of a-z, 0-9 and -", "key": "the beginning of the key, as `list` shows it"}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m admin.tenant", description="Tenants and keys of a deployed stack.")
    chosen = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, words, arguments) in COMMANDS.items():
        command = chosen.add_parser(name, help=words, description=words)
        for argument in arguments:
            command.add_argument(argument, metavar=argument.upper(), help=_ARGUMENTS[argument])
        command.add_argument("--stack-name", required=True, help="the CloudFormation stack")
        command.add_argument("--region", help="default: what the AWS configuration says")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The process's exit code: 0 done, 1 it could not be done (stderr says why), 2 the command line is wrong."""
    options = parser().parse_args(arguments)
    try:
        tenants, records = connect(options.stack_name, options.region)
        COMMANDS[options.command][0](tenants, records, options)
    except (TenantProblem, NoStack) as problem:
        return _fail(str(problem))
    except NoCredentialsError:
        return _fail("There are no AWS credentials here. Log in (aws sso login, aws configure), or set AWS_PROFILE.")
    except NoRegionError:
        return _fail("Which AWS region? Say --region, or set AWS_DEFAULT_REGION or AWS_PROFILE.")
    except ClientError as error:
        told = error.response["Error"]
        return _fail(f"AWS refused {error.operation_name}: {told.get('Message') or told['Code']}")
    except BotoCoreError as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
