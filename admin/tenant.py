"""Make and list tenants, set what they may spend, see what they have spent: `python -m admin.tenant --help`.

Works on the tables themselves, with the AWS credentials of whoever runs it: there is no way to do this over HTTP.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from admin import books
from admin.deployment import Deployment, NoStack, connect
from admin.screen import show_table
from afterthought.adapters.bookkeeping import UnreadableJob
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.pricing import format_usd
from afterthought.domain.tenant import FIRST_TIER, Tenant
from afterthought.services.tenants import NONE, Credentials, TenantProblem

_SHOWN_ONCE = "Shown this once and stored nowhere in this form: put it away now."


def create(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.create(options.name, tier=options.tier))


def set_(deployment: Deployment, options: argparse.Namespace) -> None:
    tenants = deployment.tenants
    given = {setting: text for setting in _SETTINGS if (text := getattr(options, setting)) is not None}
    _show_limits(tenants.set(options.name, given), tenants.tiers)


def key(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.add_key(options.name))


def rotate(deployment: Deployment, options: argparse.Namespace) -> None:
    _show(deployment.tenants.rotate_secret(options.name))
    print("\nThe secret before it stays valid beside it until the next rotation.")


def revoke(deployment: Deployment, options: argparse.Namespace) -> None:
    revoked = deployment.tenants.revoke(options.name, options.key)
    print(f"The key {revoked.hint}… of {revoked.tenant} is revoked, from the next request on.")


def listing(deployment: Deployment, _: argparse.Namespace) -> None:
    keys = sorted(deployment.records.api_keys(), key=lambda each: each.created_at)
    tenants = sorted(deployment.records.tenants(), key=lambda each: each.name)
    if not tenants:
        print("There are no tenants yet.")
        return
    show_table([("TENANT", "TIER", "MONTH BUDGET", "DAY BUDGET", "REQUESTS/MIN", "TOKENS/MIN"), *map(_row, tenants)])
    print()
    rows = [("TENANT", "KEY", "CREATED", "REVOKED")]
    for tenant in tenants:
        own = [each for each in keys if each.tenant == tenant.name]
        if not own:
            rows.append((tenant.name, "(none)", _minute(tenant.created_at), ""))
        for each in own:
            ended = _minute(each.revoked_at) if each.revoked_at else ""
            rows.append((tenant.name, f"{each.hint}…", _minute(each.created_at), ended))
    show_table(rows)


def _show(made: Credentials) -> None:
    print(f"Tenant          {made.tenant}")
    if made.api_key is not None:
        print(f"API key         {made.api_key}")
    if made.webhook_secret is not None:
        print(f"Webhook secret  {made.webhook_secret}")
    print(f"\n{_SHOWN_ONCE}")


def _show_limits(tenant: Tenant, tiers: Mapping[str, RateTier]) -> None:
    tier = tiers.get(tenant.tier) or RateTier(name=tenant.tier, supported=False)
    print(f"Tenant               {tenant.name}")
    print(f"Tier                 {tier.name}")
    print(f"Month budget         {_budget(tenant.month_cap_usd)}")
    print(f"Day budget           {_budget(tenant.day_cap_usd)}")
    print(f"Requests per minute  {_limit(tenant.requests_per_minute, tier.requests_per_minute)}")
    print(f"Tokens per minute    {_limit(tenant.tokens_per_minute, tier.tokens_per_minute)}")


def _limit(own: int | None, tiers: int | None) -> str:
    if own is not None:
        return f"{own:,} (its own)"
    return "none: the tier admits no requests" if tiers is None else f"{tiers:,} (the tier's)"


def _row(tenant: Tenant) -> tuple[str, ...]:
    own = (tenant.requests_per_minute, tenant.tokens_per_minute)
    return (
        tenant.name,
        tenant.tier,
        _budget(tenant.month_cap_usd),
        _budget(tenant.day_cap_usd),
        *("tier's" if limit is None else f"{limit:,}" for limit in own),
    )


def _budget(cap_usd: Decimal | None) -> str:
    return NONE if cap_usd is None else f"${format_usd(cap_usd)}"


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


_SETTINGS = {
    "tier": ("TIER", "the rate tier"),
    "month_budget": ("USD", f"dollars a calendar month (UTC); 0 lets nothing run, {NONE} sets no limit"),
    "day_budget": ("USD", "the same for a day"),
    "requests_per_minute": ("N", f"its own limit per model in place of the tier's, or {NONE}"),
    "tokens_per_minute": ("N", "the same for tokens"),
}


def _takes_nothing(_: argparse.ArgumentParser) -> None:
    pass


def _takes_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="the tenant: 1 to 40 of a-z, 0-9 and -")


def _takes_name_and_tier(command: argparse.ArgumentParser) -> None:
    _takes_name(command)
    command.add_argument("--tier", default=FIRST_TIER, help=f"the rate tier (default: {FIRST_TIER})")


def _takes_name_and_settings(command: argparse.ArgumentParser) -> None:
    _takes_name(command)
    for setting, (metavar, words) in _SETTINGS.items():
        command.add_argument(f"--{setting.replace('_', '-')}", metavar=metavar, help=words)


def _takes_name_and_key(command: argparse.ArgumentParser) -> None:
    _takes_name(command)
    command.add_argument("key", metavar="KEY", help="the beginning of the key, as `list` shows it")


def _takes_name_and_month(command: argparse.ArgumentParser) -> None:
    _takes_name(command)
    command.add_argument("--month", metavar="YYYY-MM", help="default: this month (UTC)")


def _takes_names_and_mend(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="default: every tenant")
    command.add_argument("--mend", action="store_true", help="write what the jobs say over what differs")


@dataclass(frozen=True)
class Command:
    """`takes` adds the arguments to the command's parser; `run` gives the exit code (None: 0)."""

    run: Callable[[Deployment, argparse.Namespace], int | None]
    words: str
    takes: Callable[[argparse.ArgumentParser], None]


COMMANDS: Mapping[str, Command] = {
    "create": Command(create, "a new tenant, with an API key and a webhook secret", _takes_name_and_tier),
    "set": Command(set_, "a tenant's tier, budgets and limits: what is not named stays", _takes_name_and_settings),
    "list": Command(listing, "every tenant, with the beginnings of its keys (times in UTC)", _takes_nothing),
    "key": Command(key, "one more API key for a tenant; then hand it out and revoke the old one", _takes_name),
    "revoke": Command(revoke, "end an API key", _takes_name_and_key),
    "rotate": Command(rotate, "a new webhook secret for a tenant", _takes_name),
    "usage": Command(
        books.usage, "what a tenant's jobs used and cost in a month, and its budgets", _takes_name_and_month
    ),
    "reconcile": Command(
        books.reconcile, "make the books again from the jobs and show each difference", _takes_names_and_mend
    ),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m admin.tenant", description="Tenants and keys of a deployed stack.")
    chosen = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, each in COMMANDS.items():
        command = chosen.add_parser(name, help=each.words, description=each.words)
        each.takes(command)
        command.add_argument("--stack-name", required=True, help="the CloudFormation stack")
        command.add_argument("--region", help="default: what the AWS configuration says")
    return made


def main(arguments: Sequence[str] | None = None, reach: Callable[[str, str | None], Deployment] = connect) -> int:
    """The process's exit code: 0 done, 1 it could not be done (stderr says why), 2 the command line is wrong. `reach`
    finds the stack, by its name and region."""
    options = parser().parse_args(arguments)
    try:
        return COMMANDS[options.command].run(reach(options.stack_name, options.region), options) or 0
    except (TenantProblem, NoStack, UnreadableJob) as problem:
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


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
