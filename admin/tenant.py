"""Create and list tenants, set their budgets, show their usage: `python -m admin.tenant --help`.

Works directly on the tables, with the AWS credentials of the caller. There is no HTTP API for this.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from admin import ledger
from admin.console import show_table
from admin.deployment import Deployment, StackNotFound, connect
from afterthought.adapters.reconcile_tables import UnreadableJob
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.models.pricing import format_usd
from afterthought.domain.tenants.tenant import DEFAULT_TIER, Tenant
from afterthought.services.admin.tenants import NONE, AdminError, Credentials

_SHOWN_ONCE = "This is shown only once and is not stored in this form. Save it now."


def create(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.create(options.name, tier=options.tier))


def set_(deployment: Deployment, options: argparse.Namespace) -> None:
    tenants = deployment.tenants
    settings = {setting: text for setting in _SETTINGS if (text := getattr(options, setting)) is not None}
    _show_limits(tenants.configure(options.name, settings), tenants.tiers)


def key(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.add_key(options.name))


def rotate(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.rotate_secret(options.name))
    print("\nThe previous secret stays valid until the next rotation.")


def revoke(deployment: Deployment, options: argparse.Namespace) -> None:
    revoked = deployment.tenants.revoke_key(options.name, options.key)
    print(f"The key {revoked.hint}… of {revoked.tenant} is revoked. The next request with it is refused.")


def listing(deployment: Deployment, _: argparse.Namespace) -> None:
    keys = sorted(deployment.records.api_keys(), key=lambda key: key.created_at)
    tenants = sorted(deployment.records.tenants(), key=lambda tenant: tenant.name)
    if not tenants:
        print("There are no tenants yet.")
        return
    show_table([("TENANT", "TIER", "MONTH BUDGET", "DAY BUDGET", "REQUESTS/MIN", "TOKENS/MIN"), *map(_row, tenants)])
    print()
    rows = [("TENANT", "KEY", "CREATED", "REVOKED")]
    for tenant in tenants:
        own_keys = [key for key in keys if key.tenant == tenant.name]
        if not own_keys:
            rows.append((tenant.name, "(none)", _minute(tenant.created_at), ""))
        for own_key in own_keys:
            revoked = _minute(own_key.revoked_at) if own_key.revoked_at else ""
            rows.append((tenant.name, f"{own_key.hint}…", _minute(own_key.created_at), revoked))
    show_table(rows)


def _show(credentials: Credentials) -> None:
    print(f"Tenant          {credentials.tenant}")
    if credentials.api_key is not None:
        print(f"API key         {credentials.api_key}")
    if credentials.webhook_secret is not None:
        print(f"Webhook secret  {credentials.webhook_secret}")
    print(f"\n{_SHOWN_ONCE}")


def _show_limits(tenant: Tenant, tiers: Mapping[str, RateTier]) -> None:
    tier = tiers.get(tenant.tier) or RateTier(name=tenant.tier, supported=False)
    print(f"Tenant               {tenant.name}")
    print(f"Tier                 {tier.name}")
    print(f"Month budget         {_budget(tenant.month_cap_usd)}")
    print(f"Day budget           {_budget(tenant.day_cap_usd)}")
    print(f"Requests per minute  {_limit(tenant.requests_per_minute, tier.requests_per_minute)}")
    print(f"Tokens per minute    {_limit(tenant.tokens_per_minute, tier.tokens_per_minute)}")


def _limit(own: int | None, of_tier: int | None) -> str:
    if own is not None:
        return f"{own:,} (own limit)"
    return "none: the tier admits no requests" if of_tier is None else f"{of_tier:,} (from the tier)"


def _row(tenant: Tenant) -> tuple[str, ...]:
    limits = (tenant.requests_per_minute, tenant.tokens_per_minute)
    return (
        tenant.name,
        tenant.tier,
        _budget(tenant.month_cap_usd),
        _budget(tenant.day_cap_usd),
        *("from tier" if limit is None else f"{limit:,}" for limit in limits),
    )


def _budget(cap_usd: Decimal | None) -> str:
    return NONE if cap_usd is None else f"${format_usd(cap_usd)}"


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


_SETTINGS = {
    "tier": ("TIER", "the rate tier"),
    "month_budget": ("USD", f"dollars per calendar month (UTC); 0 blocks every job, {NONE} removes the budget"),
    "day_budget": ("USD", "the same per day"),
    "requests_per_minute": ("N", f"a limit per model instead of the tier's; {NONE} restores the tier's"),
    "tokens_per_minute": ("N", "the same for tokens"),
}


def _add_nothing(_: argparse.ArgumentParser) -> None:
    pass


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="the tenant: 1 to 40 characters of a-z, 0-9 and -")


def _add_name_and_tier(command: argparse.ArgumentParser) -> None:
    _add_name(command)
    command.add_argument("--tier", default=DEFAULT_TIER, help=f"the rate tier (default: {DEFAULT_TIER})")


def _add_name_and_settings(command: argparse.ArgumentParser) -> None:
    _add_name(command)
    for setting, (metavar, words) in _SETTINGS.items():
        command.add_argument(f"--{setting.replace('_', '-')}", metavar=metavar, help=words)


def _add_name_and_key(command: argparse.ArgumentParser) -> None:
    _add_name(command)
    command.add_argument("key", metavar="KEY", help="the first characters of the key, as `list` shows them")


def _add_name_and_month(command: argparse.ArgumentParser) -> None:
    _add_name(command)
    command.add_argument("--month", metavar="YYYY-MM", help="default: this month (UTC)")


def _add_names_and_repair(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="default: every tenant")
    command.add_argument("--repair", action="store_true", help="set different items to the sums of the jobs")


@dataclass(frozen=True)
class Command:
    """`add_arguments` adds the arguments to the command's parser. `run` returns the exit code (None: 0)."""

    run: Callable[[Deployment, argparse.Namespace], int | None]
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


COMMANDS: Mapping[str, Command] = {
    "create": Command(create, "create a tenant with an API key and a webhook secret", _add_name_and_tier),
    "set": Command(set_, "set the tier, budgets and limits of a tenant; others do not change", _add_name_and_settings),
    "list": Command(listing, "list the tenants and the first characters of their keys (times in UTC)", _add_nothing),
    "key": Command(key, "create another API key; give it to the tenant, then revoke the old one", _add_name),
    "revoke": Command(revoke, "revoke an API key", _add_name_and_key),
    "rotate": Command(rotate, "create a new webhook secret", _add_name),
    "usage": Command(
        ledger.usage, "show what a tenant's jobs used and cost in a month, and its budgets", _add_name_and_month
    ),
    "reconcile": Command(
        ledger.reconcile, "compare the ledger with the jobs and show each difference", _add_names_and_repair
    ),
}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m admin.tenant", description="Tenants and keys of a deployed stack.")
    subparsers = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help, description=command.help)
        command.add_arguments(subparser)
        subparser.add_argument("--stack-name", required=True, help="the CloudFormation stack")
        subparser.add_argument("--region", help="default: the region of the AWS configuration")
    return root


def main(arguments: Sequence[str] | None = None, connect: Callable[[str, str | None], Deployment] = connect) -> int:
    """Returns the exit code: 0 success, 1 failure (stderr says why), 2 invalid command line. `connect` takes the name
    and the region of the stack."""
    options = parser().parse_args(arguments)
    try:
        return COMMANDS[options.command].run(connect(options.stack_name, options.region), options) or 0
    except (AdminError, StackNotFound, UnreadableJob) as error:
        return _fail(str(error))
    except NoCredentialsError:
        return _fail("No AWS credentials found. Log in (aws sso login, aws configure), or set AWS_PROFILE.")
    except NoRegionError:
        return _fail("No AWS region found. Use --region, or set AWS_DEFAULT_REGION or AWS_PROFILE.")
    except ClientError as error:
        details = error.response["Error"]
        return _fail(f"AWS refused {error.operation_name}: {details.get('Message') or details['Code']}")
    except BotoCoreError as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
